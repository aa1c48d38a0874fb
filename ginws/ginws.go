package ginws

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"strings"
	"sync"

	"github.com/coder/websocket"
	"github.com/gin-gonic/gin"

	"github.com/quietws/quietws/core"
)

// A *gin.Context works with [core.SessionOf], whether or not the engine has
// ContextWithFallback.
func init() { core.RequestKey(gin.ContextRequestKey) }

// Middleware answers health routes and probers and explains refused handshakes, from
// inside Gin's chain. Register it with engine.Use before the routes: Gin gives a route
// only the middleware registered before it. The router's redirects never reach
// Middleware; [Attach] sees them. With Attach as well, each request is still handled
// once.
//
// Middleware alone counts no connections and leaves the server's own log unchanged. It
// tracks sessions; call [core.Guard.Drain] to close them with a goodbye.
//
// It asks the engine which health routes are the application's, if the engine is the
// server's Handler, as with engine.Run. Behind another handler it knows the engine
// only after [Attach]. Without either, a health route counts as the application's
// unless it answers 401, 403, 404 or 405.
func Middleware(g *core.Guard) gin.HandlerFunc {
	a := g.Adapter()
	var once sync.Once
	return func(c *gin.Context) {
		once.Do(func() { a = ask(a, c.Request) })
		q := a.BeginHTTP(c.Request)
		if answered(&q, c) {
			return
		}
		w := wrap(&q, c)
		defer q.Recovered()
		c.Next()
		q.DoneWith(w.ended(c))
	}
}

// answered writes the guard's answer, if it has one, and aborts the chain.
func answered(q *core.HTTPRequest, c *gin.Context) bool {
	if !q.Answer(c.Writer, c.Request) {
		return false
	}
	c.Writer.WriteHeaderNow()
	c.Abort()
	return true
}

// Attach makes the guard the outermost layer of srv and quiets the server's own log;
// see [core.Guard.Attach]. The Handler of srv is engine or something that wraps it.
// Call Attach before srv serves: at the start it reads the engine's routes, to leave
// the application those health paths that it has. You still call Serve and Shutdown.
// To have every connection counted in its exact class, serve on a listener from
// [core.Guard.Listener] or [core.Guard.TLSListener].
//
// srv.Shutdown, as Gin documents it, begins the drain: each session gets its goodbye,
// but srv.Shutdown does not wait for the sessions, and the guard closes none of them
// at the deadline. Call [core.Guard.Drain] first to give probers time to notice, to
// wait for the sessions and to close those that are left. An application that sends a
// goodbye of its own does so from [core.Session.OnDrain] or when [core.Guard.Draining]
// is closed, not after core.Guard.Drain.
//
// A Handler that takes connections over, as h2c.NewHandler does, leaves their further
// requests to [Middleware]; http.Server.Protocols does not.
//
// In Gin's access log a session shows as 101 if its route has [Endpoint] or [Handler],
// or if the engine also has [Middleware].
func Attach(g *core.Guard, srv *http.Server, engine *gin.Engine) {
	routes(g.Adapter(), engine)
	g.Attach(srv)
}

// ask connects a to the engine that serves r, if that can be found.
func ask(a core.Adapter, r *http.Request) core.Adapter {
	if srv, ok := r.Context().Value(http.ServerContextKey).(*http.Server); ok {
		if engine, ok := srv.Handler.(*gin.Engine); ok {
			return routes(a, engine)
		}
	}
	return a
}

// routes returns a with engine as the owner of its routes, comparing paths as engine
// does.
func routes(a core.Adapter, engine *gin.Engine) core.Adapter {
	return a.Owner(owner(engine)).Paths(core.PathRules{Raw: engine.UseRawPath, Decoded: !engine.UseRawPath})
}

// owner asks engine whether the application has a route with exactly the path of a
// request, for any method, or one that Gin redirects it to. It reads the routes once,
// at the first question: add none while the engine serves.
func owner(engine *gin.Engine) func(core.Head) (owned, asked bool) {
	paths := sync.OnceValue(func() map[string]bool {
		known := make(map[string]bool)
		for _, route := range engine.Routes() {
			known[route.Path] = true
			if engine.RedirectTrailingSlash {
				known[strings.TrimSuffix(route.Path, "/")] = true
			}
		}
		return known
	})
	return func(h core.Head) (bool, bool) { return paths()[h.Path()], true }
}

// Endpoint is for a route on which the application's own library serves WebSocket; put
// it before the handler. It refuses handshakes that RFC 6455 forbids, even those that
// libraries accept, and handshakes above core.Config.MaxSessions. Every other request,
// a prober's too, gets the route's own answer (see [core.Guard.Endpoint]). Once the
// connection has left HTTP, a panic of the handler, or an error that it adds with
// c.Error, ends the session, and what it writes to c.Writer is dropped. The library
// still checks Origin. [core.SessionOf] returns the session from the *gin.Context.
func Endpoint(g *core.Guard) gin.HandlerFunc {
	a := g.Adapter()
	return func(c *gin.Context) {
		var q core.HTTPRequest
		if arrived(&q, &a, c, nil) {
			return
		}
		w := wrap(&q, c)
		defer contain(&q, c)
		c.Next()
		_ = q.Finish(w.ended(c))
	}
}

// arrived begins q at a WebSocket route, and reports whether the guard has answered it.
// It takes pointers because its caller's locals are on the stack of each session.
func arrived(q *core.HTTPRequest, a *core.Adapter, c *gin.Context, origins *core.Origins) bool {
	*q = a.AtEndpoint(c.Request, c.FullPath(), origins)
	return answered(q, c)
}

// contain aborts the chain too if a panic ended the session.
func contain(q *core.HTTPRequest, c *gin.Context) {
	if q.Contain(recover()) {
		c.Abort()
	}
}

// Handler serves WebSocket with coder/websocket. It owns its route: it refuses every
// handshake that RFC 6455 forbids, with the status for the reason, and pages of
// another origin unless options allow them. A browser that opens the route as a page
// gets 426, and a known prober the health answer. It panics if f is nil; a nil options
// means the defaults.
//
// f has the session until it returns. Its context ends when the connection is closed
// on this side, when a read or a write fails, or at the drain's deadline. When a drain
// reaches the session, its connection is closed with core.DrainConfig.Code, which f
// sees as an error of its next read. If f returns nil, the session is closed with 1000
// (normal closure); if it returns an error that is not a websocket.CloseError, with
// 1011 (internal error). The error becomes part of the session's end in log and
// metrics, and is not added to c.Errors. A panic in f is logged and ends that session
// only.
func Handler(g *core.Guard, f func(context.Context, *gin.Context, *websocket.Conn) error, options *websocket.AcceptOptions) gin.HandlerFunc {
	if f == nil {
		panic("ginws.Handler: nil function")
	}
	a := g.Adapter()
	var accept websocket.AcceptOptions
	if options != nil {
		accept = *options
	}
	origins := &core.Origins{Patterns: accept.OriginPatterns, Any: accept.InsecureSkipVerify}
	accept.InsecureSkipVerify = true // the core compares, and ignores a default port
	return func(c *gin.Context) {
		var q core.HTTPRequest
		if arrived(&q, &a, c, origins) {
			return
		}
		wrap(&q, c)
		defer contain(&q, c)
		ws, err := websocket.Accept(c.Writer, c.Request, &accept)
		if err == nil {
			err = serve(&q, c, ws, f)
		}
		_ = q.Finish(err)
	}
}

func serve(q *core.HTTPRequest, c *gin.Context, ws *websocket.Conn, f func(context.Context, *gin.Context, *websocket.Conn) error) error {
	defer func() { _ = ws.CloseNow() }()
	ctx, session := q.Session(c.Request.Context())
	return session.Serve(func(code int, _ bool) error { return ws.Close(websocket.StatusCode(code), "") },
		func() error { return f(ctx, c, ws) })
}

// IsUpgrade reports whether a request asks to become a WebSocket session: see
// [core.IsUpgrade]. Use it to skip middleware that must leave sessions alone, and
// latency metrics, where a session would count as one request that takes hours.
func IsUpgrade(c *gin.Context) bool { return core.IsUpgrade(c.Request) }

// Quiet returns a function for gin.LoggerConfig.Skip, and for the filters of metrics
// or traces. It is [core.Guard.IsProbe] of the request: true for probes, never for the
// application's other requests. Gin calls Skip after the chain. Called before it,
// Quiet does not yet know the first probe of a WebSocket route as one.
func Quiet(g *core.Guard) func(*gin.Context) bool {
	var once sync.Once
	return func(c *gin.Context) bool {
		once.Do(func() { ask(g.Adapter(), c.Request) }) // asked before the guard has seen a request
		return g.IsProbe(c.Request)
	}
}

// Run serves engine on addr until the process gets SIGINT or SIGTERM; then it drains,
// shuts down and closes g. See [core.Run]. It takes the place of engine.Run.
func Run(g *core.Guard, engine *gin.Engine, addr string) error {
	return g.Adapter().Run(func(ctx context.Context) error { return Serve(ctx, g, engine, addr) })
}

// RunTLS is Run over TLS, with a certificate and its key from files; see
// [core.RunTLS].
func RunTLS(g *core.Guard, engine *gin.Engine, addr, certFile, keyFile string) error {
	return g.Adapter().RunTLS(certFile, keyFile, nil, func(ctx context.Context, config *tls.Config) error {
		return ServeTLS(ctx, g, engine, addr, config)
	})
}

// Serve serves engine on addr until ctx ends, then drains and returns nil; see
// [core.Guard.Serve]. It is Attach, a listener and the drain in one call, with an
// http.Server that has a ReadHeaderTimeout of 10 s. It takes the place of engine.Run.
// It returns the error if it cannot listen or accept.
func Serve(ctx context.Context, g *core.Guard, engine *gin.Engine, addr string) error {
	return g.Adapter().Listen("tcp", addr, listening(ctx, g, engine))
}

// ServeTLS is Serve over TLS. It returns an error if config has no certificate. If
// config names no protocols, HTTP/2 and HTTP/1.1 are offered. config is not changed.
func ServeTLS(ctx context.Context, g *core.Guard, engine *gin.Engine, addr string, config *tls.Config) error {
	return g.Adapter().ListenTLS("tcp", addr, config, true, listening(ctx, g, engine))
}

func listening(ctx context.Context, g *core.Guard, engine *gin.Engine) func(...net.Listener) error {
	return func(listeners ...net.Listener) error { return ServeListener(ctx, g, engine, listeners...) }
}

// ServeListener is Serve on your own listeners, which it closes. For TLS pass one from
// [core.Guard.TLSListener]. If engine.UseH2C is set, clients that start with HTTP/2
// get it without TLS too. To serve with your own http.Server, for its hooks and
// timeouts, use [Attach] and [core.Guard.Serve].
func ServeListener(ctx context.Context, g *core.Guard, engine *gin.Engine, listeners ...net.Listener) error {
	srv := &http.Server{Handler: engine}
	if engine.UseH2C { // engine.Handler would hide these requests from the guard
		srv.Protocols = new(http.Protocols)
		srv.Protocols.SetHTTP1(true)
		srv.Protocols.SetHTTP2(true)
		srv.Protocols.SetUnencryptedHTTP2(true)
	}
	Attach(g, srv, engine)
	return g.Serve(ctx, srv, listeners...)
}
