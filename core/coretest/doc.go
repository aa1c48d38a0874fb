// Package coretest holds an adapter of quietws to what quietws promises. It
// serves a small application through the adapter, does to it what platforms,
// proxies, clients and the open internet do, in the clear and under TLS, and
// judges what a user sees: the bytes that the peer got, the lines in the log,
// the counters, the framework's own access log and error log.
//
//	func TestConformance(t *testing.T) {
//		coretest.Run(t, coretest.Adapter{Start: start})
//	}
//
// Each row has a rule, which is printed where it is broken. Nothing here knows
// how a framework serves: an adapter gets a [Setup] and starts its server. What
// cannot hold on it, or cannot be known there, is a [Limit] of its [Framework],
// with the reason, and with Limit.Instead what holds in its place. README.md lists the rows. For routers on net/http package
// httpapp has the application and the server: examples/chi runs the suite on
// one that quietws does not know.
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
//	/hijack          takes the connection over, writes [HijackText] and closes it
//
// On its WebSocket routes every text message is echoed, the subprotocol
// [Subprotocol] is spoken, and compression is on where the library has it. What
// a session does otherwise is in [Socket.Session].
//
// With [Bare] there is no guard, and the routes are what a user of the framework
// writes without quietws, with the same libraries.
//
// # What is counted
//
// In every row a guard of its own watches a listener of its own. The row counts
// the connections that it opens, and at its end holds them against the guard's:
// accepted is what it opened, and the sum over the classes when all have ended.
// After the last row no goroutine of quietws may be left.
package coretest

// Texts that the application says on purpose, to see where they end up.
const (
	// PanicText is what handlers panic with. It belongs into the log and
	// never onto the wire.
	PanicText = "coretest: the handler panics on purpose"
	// LogLine is what /log writes to the server's own error log.
	LogLine = "coretest: a line of the application's own"
	// HijackText is what /hijack writes in place of an HTTP answer.
	HijackText = "coretest: no HTTP from here on\n"
	// Subprotocol is spoken by every WebSocket route.
	Subprotocol = "echo.coretest"
)
