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

// A *gin.Context does for [core.SessionOf], whether or not the engine has
// ContextWithFallback.
func init() { core.RequestKey(gin.ContextRequestKey) }

// Middleware answers health routes and probers and explains refused handshakes,
// from inside Gin's chain. Register it with engine.Use before the routes, as Gin
// gives a route only the middleware that is there by then. Redirects of the
// router never reach it; [Attach] sees them too. Beside Attach it does nothing
// twice. By itself it counts no connections and leaves the server's own log as it
// is; sessions are followed, and [core.Guard.Drain] is to be called for their
// goodbye.
//
// Which health routes are the application's it asks the engine, where that is
// the server's Handler, as with engine.Run. Behind another handler, [Attach]
// tells it; without, a health route is the application's unless it answers 401,
// 403, 404 or 405.
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

// answered writes the guard's answer if there is one, and ends the chain.
func answered(q *core.HTTPRequest, c *gin.Context) bool {
	if !q.Answer(c.Writer, c.Request) {
		return false
	}
	c.Writer.WriteHeaderNow()
	c.Abort()
	return true
}

// Attach makes the guard the outermost layer of srv, whose Handler is engine or
// something around it, and quiets the server's own log; see [core.Guard.Attach].
// Call it before srv serves: at the start the engine is asked for its routes, to
// leave it the health paths that it has. Serve and Shutdown stay yours. To have
// every connection counted in its exact class, serve on one of [core.Guard.Listener]
// or [core.Guard.TLSListener].
//
// srv.Shutdown, as Gin documents it, begins the drain: each session gets its goodbye,
// but srv.Shutdown does not wait for the sessions, and the guard closes none of them
// at the deadline. [core.Guard.Drain] before it waits, lets probers notice, and closes
// what is left. An application that says a goodbye of its own does so from
// [core.Session.OnDrain] or when [core.Guard.Draining] is closed, not after
// core.Guard.Drain.
//
// A Handler that takes connections over, as h2c.NewHandler does, leaves their
// further requests to [Middleware]; http.Server.Protocols does not.
//
// In Gin's access log a session shows as 101 where its route has [Endpoint] or
// [Handler], or the engine has [Middleware] too.
func Attach(g *core.Guard, srv *http.Server, engine *gin.Engine) {
	routes(g.Adapter(), engine)
	g.Attach(srv)
}

// ask lets a ask the engine that serves r, where that can be found.
func ask(a core.Adapter, r *http.Request) core.Adapter {
	if srv, ok := r.Context().Value(http.ServerContextKey).(*http.Server); ok {
		if engine, ok := srv.Handler.(*gin.Engine); ok {
			return routes(a, engine)
		}
	}
	return a
}

// routes is a that asks engine for its routes, and reads paths as it does.
func routes(a core.Adapter, engine *gin.Engine) core.Adapter {
	return a.Owner(owner(engine)).Paths(core.PathRules{Raw: engine.UseRawPath, Decoded: !engine.UseRawPath})
}

// owner asks engine whether the application has a route of exactly the path of a
// request, for any method, or one that Gin redirects it to. The routes are read
// once, with the first question: none may be added while it serves.
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

// Endpoint is for a route on which the application's own library serves
// WebSocket; put it before the handler: handshakes that RFC 6455 forbids and
// libraries let pass are refused, and those above core.Config.MaxSessions,
// everything else gets the route's own answer, probers too (see
// [core.Guard.Endpoint]), and once the connection has left HTTP a panic of the handler, or an error that it
// leaves with c.Error, ends the session, and what it writes to c.Writer goes
// nowhere. Origin stays the library's. [core.SessionOf] with the *gin.Context has
// the session.
func Endpoint(g *core.Guard) gin.HandlerFunc {
	a := g.Adapter()
	return func(c *gin.Context) {
		q := a.AtEndpoint(c.Request, c.FullPath(), nil)
		if answered(&q, c) {
			return
		}
		w := wrap(&q, c)
		defer contain(&q, c)
		c.Next()
		_ = q.Finish(w.ended(c))
	}
}

// contain ends the chain too where a panic ended the session.
func contain(q *core.HTTPRequest, c *gin.Context) {
	if q.Contain(recover()) {
		c.Abort()
	}
}

// Handler serves WebSocket with coder/websocket. It owns its route: every
// handshake that RFC 6455 forbids is refused with the status of its reason,
// pages of another origin are refused unless options allow them, a person in a
// browser gets 426 and a known prober the health answer.
//
// f has the session until it returns; its context ends when the connection is
// closed here, when a read or a write fails, or at the drain's deadline. At the
// session's moment of a drain the connection is closed with
// core.DrainConfig.Code, which f sees as an error of its next read. If f
// returns nil the session is closed with 1000 (normal closure), if it returns
// an error that is not a websocket.CloseError with 1011 (internal error); the
// error is part of the session's end in log and metrics and not among c.Errors.
// A panic in f is told and ends the session alone.
func Handler(g *core.Guard, f func(context.Context, *gin.Context, *websocket.Conn) error, options *websocket.AcceptOptions) gin.HandlerFunc {
	if f == nil {
		panic("ginws.Handler: nil function")
	}
	a := g.Adapter()
	origins := new(core.Origins)
	var accept websocket.AcceptOptions
	if options != nil {
		accept = *options
		origins.Patterns = options.OriginPatterns
		if options.InsecureSkipVerify {
			origins = &core.Origins{Any: true}
		}
	}
	accept.InsecureSkipVerify = true // the core compares, and takes a default port for none
	return func(c *gin.Context) {
		q := a.AtEndpoint(c.Request, c.FullPath(), origins)
		if answered(&q, c) {
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
// [core.IsUpgrade]. It is for the Skipper of middleware that must leave sessions
// alone, and to keep them out of latency metrics, where each would count for as long
// as it lives.
func IsUpgrade(c *gin.Context) bool { return core.IsUpgrade(c.Request) }

// Quiet returns a function for gin.LoggerConfig.Skip, and for the filters of
// metrics or traces: [core.Guard.IsProbe] of the request, true for probes and never
// for another request of the application's. Gin asks Skip after the chain; before
// it, the first probe of a WebSocket route is not known as one.
func Quiet(g *core.Guard) func(*gin.Context) bool {
	var once sync.Once
	return func(c *gin.Context) bool {
		once.Do(func() { ask(g.Adapter(), c.Request) }) // asked before the guard has seen a request
		return g.IsProbe(c.Request)
	}
}

// Run serves engine on addr until the process gets SIGINT or SIGTERM, drains, shuts
// down and closes g; see [core.Run]. It takes the place of engine.Run.
func Run(g *core.Guard, engine *gin.Engine, addr string) error {
	return g.Adapter().Run(func(ctx context.Context) error { return Serve(ctx, g, engine, addr) })
}

// RunTLS is Run over TLS with a certificate and its key in files; see
// [core.RunTLS].
func RunTLS(g *core.Guard, engine *gin.Engine, addr, certFile, keyFile string) error {
	return g.Adapter().RunTLS(certFile, keyFile, nil, func(ctx context.Context, config *tls.Config) error {
		return ServeTLS(ctx, g, engine, addr, config)
	})
}

// Serve serves engine on addr until ctx ends, and then drains and returns nil; see
// [core.Guard.Serve]. It is an http.Server with a ReadHeaderTimeout of 10 s, Attach,
// a listener, and the drain in one, and takes the place of engine.Run. An error to
// listen or to accept is returned.
func Serve(ctx context.Context, g *core.Guard, engine *gin.Engine, addr string) error {
	return g.Adapter().Listen("tcp", addr, listening(ctx, g, engine))
}

// ServeTLS is Serve over TLS. Without a certificate in config it returns an error;
// where config names no protocols, HTTP/2 and HTTP/1.1 are offered. config is not
// changed.
func ServeTLS(ctx context.Context, g *core.Guard, engine *gin.Engine, addr string, config *tls.Config) error {
	return g.Adapter().ListenTLS("tcp", addr, config, true, listening(ctx, g, engine))
}

func listening(ctx context.Context, g *core.Guard, engine *gin.Engine) func(...net.Listener) error {
	return func(listeners ...net.Listener) error { return ServeListener(ctx, g, engine, listeners...) }
}

// ServeListener is Serve on listeners of one's own, which it closes, for TLS one of
// [core.Guard.TLSListener]. Where engine.UseH2C is set, HTTP/2 is served in the
// clear too, to clients that begin with it. To serve with an http.Server of
// one's own, with hooks and timeouts, use [Attach] and [core.Guard.Serve].
func ServeListener(ctx context.Context, g *core.Guard, engine *gin.Engine, listeners ...net.Listener) error {
	srv := &http.Server{Handler: engine}
	if engine.UseH2C { // the handler of engine.Handler would hide these requests
		srv.Protocols = new(http.Protocols)
		srv.Protocols.SetHTTP1(true)
		srv.Protocols.SetHTTP2(true)
		srv.Protocols.SetUnencryptedHTTP2(true)
	}
	Attach(g, srv, engine)
	return g.Serve(ctx, srv, listeners...)
}
