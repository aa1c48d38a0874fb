// Package core watches the connections of a WebSocket server and decides what
// each one was: a platform's probe, which is answered, counted and kept out of
// the log, or a failure, which is told once with what mends it. It serves health
// routes that do not depend on WebSocket, explains refused handshakes, and
// drains sessions at a deploy. It knows no framework and imports the standard
// library alone: packages echows, ginws and fiberws put it on Echo, Gin and
// Fiber, and this one on net/http itself. Package health has checks for its
// routes, core/prom its metrics, and core/probetest every probe, for tests of
// your own.
//
// An application needs [New] and [Config], some of the methods of [Guard], and
// [SessionOf] in handlers that own their frames. What begins with [Adapter] is for
// authors of adapters: [Head], [Request], [HTTPRequest], [Message], [Verdict] and
// all that they name.
//
// # The way of a connection
//
//	accept ─ Guard.Listener ─► conn.Conn
//	 TLS   ─ above it: Guard.TLSListener, or tls.NewListener
//	 bytes ─ conn.Conn.Read and Write note the first bytes, counts and typed errors
//	 head  ─ outermost layer: Begin ─► Verdict: Pass, Probe, Upgrade or Refuse
//	         then exactly one of: Opened (left HTTP) or Done (status, error)
//	 life  ─ a session: the application and its library own the frames
//	 end   ─ Class, decided once: when the connection is closed and no request
//	         on it is unfinished, whichever is later
//	         ─► counted; told, collapsed or kept quiet
//	 drain ─ not ready ► until probers have noticed ► handshakes refused
//	         ► a goodbye to each session, spread ► the deadline ► the report
//
// # What each piece gives
//
// [Guard.Wrap] (in the frameworks' packages: Middleware) answers health routes
// and probers and explains refused handshakes. [Guard.Attach] does it for
// everything that reaches an http.Server, quiets the server's own log, counts
// connections, and begins the drain of sessions at Shutdown. [Guard.Listener] makes
// every class exact and sees the end of every session. [Guard.Serve] is all of it.
// [Guard.Endpoint] goes on the WebSocket route, with each of them.
//
// On net/http, whole:
//
//	guard, err := core.New(core.Config{})
//	if err != nil {
//		log.Fatal(err)
//	}
//	defer guard.Close()
//	mux := http.NewServeMux()
//	mux.Handle("/ws", guard.Endpoint(websocketHandler))
//	ln, err := net.Listen("tcp", ":8080")
//	if err != nil {
//		log.Fatal(err)
//	}
//	err = guard.Serve(ctx, &http.Server{Handler: mux}, ln)
//
// # What is told
//
// A probe is told once at Info for each prober and class, then only counted. A
// failure is told at once and whole, with class, reason, the peer, what the
// client was told and the remedy; its repeats within Config.Collapse become one
// line with a count. From public addresses, bare connects and what is told at
// Info are only counted: the open internet does not write the log. Debug shows
// everything. Lines are written by one goroutine from a bounded queue, so a slow
// log holds up no connection; what overflows is counted. Text that came from a
// peer is quoted and cut at 200 bytes.
//
// # Ending by hand
//
// [Guard.Serve] does this when its context ends. With a Serve of your own:
//
//	report, err := guard.Drain(context.Background()) // not ready, goodbyes; Config.Drain.Timeout at most
//	err = server.Shutdown(ctx)                        // the requests that still run
//	err = guard.Close()                               // the log
//
// # What it does not do
//
// It speaks no WebSocket: your library does, or the one of an adapter's Handler. It
// writes no frame into a connection that it does not own, so on a route of your own
// library a goodbye is what [Session.OnDrain] registers. It starts
// no goroutine that lives as long as a connection, keeps nothing of it but its first
// and last bytes, and sets no deadline but one of 100 ms where it closes a connection
// that brought a PROXY preamble and nothing else. It serves no WebSocket over
// HTTP/2 (RFC 8441), and explains such a handshake. It is no rate limit and no
// authentication: a User-Agent is a claim, and buys a log level and the harmless
// health answer on a WebSocket route.
package core
