// Package core watches the connections of a WebSocket server and decides what each one
// was: a platform's probe, which is answered, counted and kept out of the log, or a
// failure, which is logged once with the remedy. It serves health routes that do not
// depend on WebSocket, explains refused handshakes, and drains sessions at a deploy.
//
// It knows no framework and imports only the standard library. Packages echows, ginws
// and fiberws put it on Echo, Gin and Fiber; this package puts it on net/http. Package
// health has checks for the health routes, core/prom has the metrics, and core/probetest
// sends every known probe, for your own tests.
//
// # What an application uses
//
// In the order in which you need it:
//
//   - [New] makes a [Guard] from a [Config]; [Must] panics on its error. A Config contains
//     [Routes], [DrainConfig] and a [Health], usually the one of package health. Your own
//     Health gets a [HealthQuery] for a [Route] and returns an [Answer] of [HeaderField],
//     and maybe a [CheckStatus] for each check.
//   - [Guard.Serve], [Run] and [RunTLS] do everything: serve, watch, drain, shut down.
//   - If your own code serves: [Guard.Attach] on the http.Server, or only [Guard.Wrap]
//     around a handler. [Guard.Listener] or [Guard.TLSListener] makes every class exact.
//     [Guard.ErrorLog] is for a server that cannot be attached.
//   - [Guard.Endpoint] goes around the handler of each WebSocket route.
//   - [SessionOf] returns the [Session] inside such a handler; [Session.OnDrain] registers
//     its goodbye.
//   - At the end: [Guard.Drain], which returns a [DrainReport] with each [DrainProber], then
//     [Guard.Close]. [Guard.Draining] is for loops of your own.
//   - [Guard.Snapshot] returns the counters as a [Snapshot] of [ProbeCount],
//     [HandshakeCount] and [SessionCount].
//   - [Guard.IsProbe] and [IsUpgrade] are for filters of access logs, metrics and traces.
//   - [Probers], [Proxies] and [Version] list what labels and log lines can contain.
//
// The vocabulary is in package core/event: the classes, the reasons, the Event that
// [Config].Observe gets, and HandshakeError.
//
// # What only adapters use
//
// An application needs none of these. [Guard.Adapter] returns the [Adapter], which is the
// guard as an adapter for a framework sees it.
//
//   - Requests of the net/http family: [Adapter.BeginHTTP], [Adapter.AtEndpoint] and
//     [HTTPRequest].
//   - Servers that write the response after the handlers have returned, as fasthttp does:
//     [Message], [Adapter.BeginMessage], [Request.Around], [Adapter.Unread] with
//     [ReadError], [IsUpgradeMessage].
//   - What is known of a request: [Head], [Request].
//   - A server: [Adapter.Server], [Adapter.Attach], [Adapter.Starting], [Adapter.ConnState],
//     [Adapter.ShuttingDown], [Adapter.Serve], [Adapter.Run].
//   - A session: [HTTPRequest.Session], [Request.SessionOn], [Session.Serve], [Session.Run].
//   - How the application routes: [Adapter.Owner], [Adapter.Asks] with [Application],
//     [Reply] and [MarkAsked], [Adapter.Paths] with [PathRules]. Which pages may open a
//     session: [Origins].
//   - [RequestKey] and [MessageKey] find a request from a framework's context.
//
// Package core/kit has helpers for adapters, and package core/coretest checks whether an
// adapter keeps the rules.
//
// # The life of a connection
//
//	accept   Guard.Listener wraps it
//	TLS      is above: Guard.TLSListener, or tls.NewListener
//	bytes    the wrapper notes the first bytes, the counts and typed errors
//	request  the outermost layer (Guard.Wrap, Adapter.BeginHTTP or BeginMessage) judges it:
//	         pass it on, answer a probe, let a handshake through, or refuse it.
//	         It ends once: by a hijack, which makes a session, or when the handler returns
//	session  the application and its library own the frames
//	end      the class is decided once: when the connection is closed and no request on
//	         it is unfinished. It is counted, then logged, collapsed or kept quiet
//	drain    not ready, until probers have noticed; handshakes refused; a goodbye to each
//	         session, spread; the deadline; the report
//
// # What each layer adds
//
// [Guard.Wrap] (Middleware in the frameworks' packages) answers health routes and probers
// and explains refused handshakes. [Guard.Attach] does it for everything that reaches an
// http.Server, quiets the server's own log, counts connections, and begins the drain of
// sessions at Shutdown. [Guard.Listener] makes every class exact and sees the end of every
// session. [Guard.Serve] does all of this. [Guard.Endpoint] goes on the WebSocket route in
// each case.
//
// A complete server on net/http:
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
// # What is logged
//
// The first probe of each prober and class is logged at Info; later ones are only
// counted. A failure is logged at once and in full: class, reason, peer, what the client
// was answered, and the remedy. Its repeats within [Config].Collapse become one line with
// a count. From public addresses, bare connects and events at Info are only counted, so
// that the open internet does not write the log. Debug shows everything. One goroutine
// writes the lines from a bounded queue, so a slow log delays no connection; lines that
// overflow the queue are counted. Text that came from a peer is quoted and cut at 200
// bytes.
//
// # Ending without Serve
//
// [Guard.Serve] does this when its context ends. If you call the server's Serve yourself:
//
//	report, err := guard.Drain(context.Background()) // not ready, goodbyes; Config.Drain.Timeout at most
//	err = server.Shutdown(ctx)                        // the requests that still run
//	err = guard.Close()                               // the log
//
// # What it does not do
//
// It does not speak WebSocket: your library does, or the library of an adapter's Handler.
// It writes no frame into a connection that it does not own. On a route of your own
// library, the goodbye is what [Session.OnDrain] registers.
//
// It starts no goroutine that lives as long as a connection, and keeps only the first and
// last bytes of one. It sets no deadline, with one exception: 100 ms when it closes a
// connection that sent only a PROXY preamble. It serves no WebSocket over HTTP/2 (RFC
// 8441), but explains such a handshake.
//
// It is neither a rate limit nor authentication. A User-Agent is only a claim: it changes
// a log level, and on a WebSocket route it gets the harmless health answer.
//
// # Where to change what
//
//   - a remedy, or which proxy left traces: core/internal/remedy
//   - a prober: core/internal/prober, table.go
//   - what counts as a probe: of connections, core/internal/conn (probe.go); of requests,
//     judge.go here
//   - when a line is logged: core/internal/journal; when a repeat is collapsed: repeats.go
//     there
//   - how a drain waits for probers: poller.go; its phases: drainrun.go
//   - a request's life: judge.go (what it is), exchange.go (its phases), settle.go (how it
//     ends), hijack.go and handover.go (how it becomes a session), session.go
//   - what a server reports: attach.go, servers.go, errorlog.go; a listener: listener.go
//   - who answers a health route: owner.go, paths.go, pathform.go; what: health.go
package core
