// Package coretest holds an adapter of quietws to what quietws promises. It
// serves a small application through the adapter, does to it what platforms,
// proxies, clients and the open internet do, in the clear and under TLS, and
// judges what a user sees: the bytes that the peer got, the lines in the log,
// the counters, the framework's own access log and error log.
//
//	func TestConformance(t *testing.T) {
//		coretest.Run(t, coretest.Adapter{Start: start, HTTP2: true})
//	}
//
// Each row has a rule, which is printed where it is broken. Nothing here knows
// net/http or any framework: an adapter gets a [Setup] and starts its server.
//
// # The application
//
// The adapter serves these routes. Each is registered as the framework's users
// register it, for GET. Bodies are as quoted, without a line feed.
//
//	/app             200 "app"
//	/key/:x          200 "key " and x
//	/error           fails in the framework's way of failing: 500
//	/panic           panics with [PanicText]
//	/log             writes [LogLine] to the server's own error log (ErrorLog,
//	                 StdLogger), and answers 200 "logged"
//	/fail            answers 500 to everybody, a good handshake too
//	/forbidden       answers 401 to everybody
//
// On its WebSocket routes every text message is echoed, the subprotocol
// [Subprotocol] is spoken, and compression is on where the library has it. They
// come in three families:
//
//	/ws…             through the adapter's Handler; only pages of the same origin
//	/own…            through its Endpoint, with a library of the application's own
//	/bare…           the same library without Endpoint: an application as it was
//	                 before quietws
//
// In each family a route with nothing after the prefix echoes until the peer
// ends the session, and the others misbehave once the session is open:
//
//	/panic           panics with [PanicText], after "defer conn.Close()"
//	/error           returns an error, after "defer conn.Close()"; where handlers
//	                 return none it only returns
//	/panic-open      panics without closing anything (/own and /bare)
//	/early           returns while a goroutine of its own goes on echoing (/own
//	                 and /bare)
//
// [App] changes the application for some rows. With [Bare] there is no guard,
// and the routes of /ws and /own are what a user of the framework writes
// without quietws, with the same libraries.
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
	// Subprotocol is spoken by every WebSocket route.
	Subprotocol = "echo.coretest"
)
