// Package coretest checks that an adapter keeps the promises of quietws. It serves a small
// application through the adapter and does to it what platforms, proxies, clients and the
// open internet do, in plain text and under TLS. It checks what a user sees: the bytes that
// the peer got, the lines in the log, the counters, and the framework's own access log and
// error log.
//
//	func TestConformance(t *testing.T) {
//		coretest.Run(t, coretest.Adapter{Start: start})
//	}
//
// Each row has a rule, which is printed if it is broken. The package does not know how a
// framework serves: an adapter gets a [Setup] and starts its server. A rule that cannot
// hold or cannot be known there is a [Limit] of its [Framework], with the reason, and with
// Limit.Instead for what holds instead. README.md lists the rows. Package httpapp has the
// application and the server for routers on net/http: examples/chi runs the suite on a
// router without an adapter.
//
// # The application
//
// The adapter serves these routes, each registered for GET as the framework's
// users register it. Bodies are as quoted, without a line feed.
//
//	App.Answers      a status and a body
//	Sockets          WebSocket
//	/key/:x          200 "key " and x
//	/error           fails with [ErrOnPurpose] in the framework's way: 500
//	/panic           panics with [PanicText]
//	/panic/lent/:x   panics with [Lent](x)
//	/log             writes [LogLine] to the server's own error log (ErrorLog,
//	                 StdLogger), and answers 200 "logged"
//	/hijack          hijacks the connection, writes [HijackText] and closes it
//
// Its WebSocket routes echo every text message, speak the subprotocol [Subprotocol], and
// use compression if the library has it. [Socket.Session] has the rest.
//
// With [Bare] there is no guard, and the routes are those of a user of the framework
// without quietws, with the same libraries.
//
// # What is counted
//
// Each row has its own guard and listener. The row counts the connections that it opens. At
// the end the guard must have accepted that many, and the sum over the classes must be the
// same. After the last row no goroutine of quietws may be left.
package coretest

// Texts that the application writes on purpose, to see where they appear.
const (
	// PanicText is what handlers panic with. It belongs in the log and never in an
	// answer.
	PanicText = "coretest: the handler panics on purpose"
	// LogLine is what /log writes to the server's own error log.
	LogLine = "coretest: a line of the application's own"
	// HijackText is what /hijack writes instead of an HTTP answer.
	HijackText = "coretest: no HTTP from here on\n"
	// Subprotocol is the subprotocol of every WebSocket route.
	Subprotocol = "echo.coretest"
)
