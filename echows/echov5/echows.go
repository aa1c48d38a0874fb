package echows

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"

	"github.com/coder/websocket"
	"github.com/labstack/echo/v5"

	"github.com/quietws/quietws/core"
)

// adapter is for Echo's router, which compares the path as the client sent it.
func adapter(g *core.Guard) core.Adapter { return g.Adapter().Paths(core.PathRules{Raw: true}) }

// Middleware answers health routes and probers and explains refused handshakes, from
// inside Echo's chain. Register it with e.Pre, to run before the router, or with
// e.Use. Where you can add two lines and keep Start, prefer [Attach], which does the
// same for every request that reaches the server. With Attach as well, each request is
// still handled once.
//
// Middleware alone counts no connections and leaves the server's own log unchanged. It
// tracks sessions; call [core.Guard.Drain] to close them with a goodbye.
func Middleware(g *core.Guard) echo.MiddlewareFunc {
	a := adapter(g)
	var once sync.Once
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c *echo.Context) error {
			once.Do(func() { a = a.Owner(owner(c.Echo())) })
			q := a.BeginHTTP(c.Request())
			if q.Candidate() {
				return candidate(q, next, c)
			}
			defer q.Recovered()
			err := next(c)
			q.Done(0, nil)
			return err
		}
	}
}

// candidate takes q by value, so that the q of an ordinary request stays on the stack.
func candidate(q core.HTTPRequest, next echo.HandlerFunc, c *echo.Context) error {
	if q.Answer(c.Response(), c.Request()) {
		return nil
	}
	wrap(&q, c)
	defer q.Recovered()
	err := next(c)
	q.DoneWith(err)
	return err
}

// wrap lets q see the response. Echo's own Response stays outermost, unless middleware
// has replaced it with something that hides it.
func wrap(q *core.HTTPRequest, c *echo.Context) {
	res, err := echo.UnwrapResponse(c.Response())
	if err != nil {
		w, r := q.Wrap(c.Response(), c.Request())
		c.SetResponse(w)
		c.SetRequest(r)
		return
	}
	w, r := q.Wrap(res.ResponseWriter, c.Request())
	res.ResponseWriter = w
	c.SetRequest(r)
	res.Before(func() { q.Answered(res.Status, res.Header()) }) // an outer middleware may put its own writer back
	opened(q, c, res)
}

// opened makes Echo's Response, and so its access log, report the status that was sent
// without Echo, at the hijack or by the guard, and drops what is written after that.
func opened(q *core.HTTPRequest, c *echo.Context, res *echo.Response) {
	w := &response{Response: res}
	c.SetResponse(w)
	q.OnOpened(func(status int) { res.Status, res.Committed, w.over = status, true, true })
}

// response drops what is written after the answer; Echo's own Response would log a
// line for each write.
type response struct {
	*echo.Response
	over bool
}

func (w *response) WriteHeader(status int) {
	if !w.over {
		w.Response.WriteHeader(status)
	}
}

func (w *response) Write(p []byte) (int, error) {
	if w.over {
		return len(p), nil
	}
	return w.Response.Write(p)
}

// Unwrap is for http.ResponseController and echo.UnwrapResponse.
func (w *response) Unwrap() http.ResponseWriter { return w.Response }

// Attach makes the guard the outermost layer of the server that sc starts for e. It
// does so in sc.BeforeServeFunc, after the function that is already there. It also
// quiets that server's own log: Echo's Logger still gets every line except those about
// the guard's connections. Call it before sc.Start or sc.StartTLS, which you go on
// calling yourself. e.Start uses a StartConfig of its own: use [Run], or
//
//	sc := echo.StartConfig{Address: ":8080"}
//	echows.Attach(guard, e, &sc)
//	err := sc.Start(ctx, e)
//
// Attach adds a middleware with e.Use, only so that a session shows as 101 in Echo's
// access log.
//
// When the context of sc.Start ends, Echo shuts its server down. That begins the
// drain: each session gets its goodbye, but Echo does not wait for the sessions, and
// the guard closes none of them at the deadline. Call [core.Guard.Drain] first to give
// probers time to notice, to wait for the sessions and to close those that are left.
//
// To have every connection counted in its exact class, set sc.Listener to one from
// [core.Guard.Listener] or [core.Guard.TLSListener].
func Attach(g *core.Guard, e *echo.Echo, sc *echo.StartConfig) {
	if g == nil {
		return
	}
	a := adapter(g).Owner(owner(e))
	showSessions(a, e)
	next := sc.BeforeServeFunc
	sc.BeforeServeFunc = func(srv *http.Server) error {
		if next != nil {
			if err := next(srv); err != nil {
				return err
			}
		}
		a.Attach(srv)
		return nil
	}
}

// showSessions lets Echo's access log see the status that was sent without Echo.
func showSessions(a core.Adapter, e *echo.Echo) {
	e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c *echo.Context) error {
			if core.IsUpgrade(c.Request()) {
				if res, err := echo.UnwrapResponse(c.Response()); err == nil {
					q := a.CurrentHTTP(c.Request())
					opened(&q, c, res)
				}
			}
			return next(c)
		}
	})
}

// owner looks in e's routes for one with exactly the path of a request, for any
// method. Echo's router itself needs a request.
func owner(e *echo.Echo) func(core.Head) (owned, asked bool) {
	return func(h core.Head) (bool, bool) {
		return slices.ContainsFunc(e.Router().Routes(), func(r echo.RouteInfo) bool { return r.Path == h.Path() }), true
	}
}

// Endpoint is for a route on which the application's own library serves WebSocket. It
// refuses handshakes that RFC 6455 forbids, even those that libraries accept, and
// handshakes above core.Config.MaxSessions. Every other request, a prober's too, gets
// the route's own answer (see [core.Guard.Endpoint]). Once the connection has left
// HTTP, a panic or an error of the handler ends the session and does not reach Echo,
// which could only write a second answer into it. The library still checks Origin.
//
// Give it to the route, e.GET("/ws", handler, echows.Endpoint(guard)), not to e.Use.
// [core.SessionOf] returns the session from the request's context.
func Endpoint(g *core.Guard) echo.MiddlewareFunc {
	a := adapter(g)
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c *echo.Context) (err error) {
			q := a.AtEndpoint(c.Request(), c.Path(), nil)
			if q.Answer(c.Response(), c.Request()) {
				return nil
			}
			wrap(&q, c)
			defer contain(&q, &err)
			return q.Finish(next(c))
		}
	}
}

// contain sets err to nil if a panic ended the session: Echo has nothing to answer
// then.
func contain(q *core.HTTPRequest, err *error) {
	if q.Contain(recover()) {
		*err = nil
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
// metrics, and does not reach Echo. A panic in f is logged and ends that session only.
func Handler(g *core.Guard, f func(context.Context, *echo.Context, *websocket.Conn) error, options *websocket.AcceptOptions) echo.HandlerFunc {
	if f == nil {
		panic("echows.Handler: nil function")
	}
	a := adapter(g)
	var accept websocket.AcceptOptions
	if options != nil {
		accept = *options
	}
	origins := &core.Origins{Patterns: accept.OriginPatterns, Any: accept.InsecureSkipVerify}
	accept.InsecureSkipVerify = true // the core compares, and ignores a default port
	return func(c *echo.Context) (err error) {
		q := a.AtEndpoint(c.Request(), c.Path(), origins)
		if q.Answer(c.Response(), c.Request()) {
			return nil
		}
		wrap(&q, c)
		defer contain(&q, &err)
		ws, err := websocket.Accept(c.Response(), c.Request(), &accept)
		if err == nil {
			err = serve(&q, c, ws, f)
		}
		return q.Finish(err)
	}
}

func serve(q *core.HTTPRequest, c *echo.Context, ws *websocket.Conn, f func(context.Context, *echo.Context, *websocket.Conn) error) error {
	defer func() { _ = ws.CloseNow() }()
	ctx, session := q.Session(c.Request().Context())
	return session.Serve(func(code int, _ bool) error { return ws.Close(websocket.StatusCode(code), "") },
		func() error { return f(ctx, c, ws) })
}

// IsUpgrade reports whether a request asks to become a WebSocket session: see
// [core.IsUpgrade]. Use it in the Skipper of middleware that must leave sessions
// alone, and of latency metrics, where a session would count as one request that takes
// hours.
func IsUpgrade(c *echo.Context) bool { return core.IsUpgrade(c.Request()) }

// Quiet returns a function for the Skipper of an access log, of metrics or of traces.
// It is [core.Guard.IsProbe] of the request: true for probes, never for the
// application's other requests. It may be called before the chain or after it. Before
// it, the first probe of a WebSocket route is not yet known as one.
func Quiet(g *core.Guard) func(*echo.Context) bool {
	var once sync.Once
	return func(c *echo.Context) bool {
		once.Do(func() { adapter(g).Owner(owner(c.Echo())) }) // asked before the guard has seen a request
		return g.IsProbe(c.Request())
	}
}

// Run serves e on addr until the process gets SIGINT or SIGTERM; then it drains, shuts
// down and closes g. See [core.Run]. It takes the place of e.Start.
func Run(g *core.Guard, e *echo.Echo, addr string) error {
	return g.Adapter().Run(func(ctx context.Context) error { return Serve(ctx, g, e, addr) })
}

// RunTLS is Run over TLS, with a certificate and its key from files; see
// [core.RunTLS].
func RunTLS(g *core.Guard, e *echo.Echo, addr, certFile, keyFile string) error {
	return g.Adapter().RunTLS(certFile, keyFile, nil, func(ctx context.Context, config *tls.Config) error {
		return ServeTLS(ctx, g, e, addr, config)
	})
}

// Serve serves e on addr until ctx ends, then drains and returns nil; see
// [core.Guard.Serve]. It is Attach, a listener and the drain in one call, with an
// http.Server that has a ReadHeaderTimeout of 10 s and logs to e.Logger. It takes the
// place of e.Start, whose server has a ReadTimeout of 30 s and prints a banner. It
// returns the error if it cannot listen or accept.
func Serve(ctx context.Context, g *core.Guard, e *echo.Echo, addr string) error {
	return g.Adapter().Listen("tcp", addr, listening(ctx, g, e))
}

// ServeTLS is Serve over TLS. It returns an error if config has no certificate. If
// config names no protocols, HTTP/2 and HTTP/1.1 are offered. config is not changed.
func ServeTLS(ctx context.Context, g *core.Guard, e *echo.Echo, addr string, config *tls.Config) error {
	return g.Adapter().ListenTLS("tcp", addr, config, true, listening(ctx, g, e))
}

func listening(ctx context.Context, g *core.Guard, e *echo.Echo) func(...net.Listener) error {
	return func(listeners ...net.Listener) error { return ServeListener(ctx, g, e, listeners...) }
}

// ServeListener is Serve on your own listeners, which it closes. For TLS pass one from
// [core.Guard.TLSListener]. To serve with your own http.Server, for its hooks and
// timeouts, set its Handler to e and use [core.Guard.Serve], or use [Attach] to keep
// Echo's.
func ServeListener(ctx context.Context, g *core.Guard, e *echo.Echo, listeners ...net.Listener) error {
	if g != nil {
		showSessions(adapter(g).Owner(owner(e)), e)
	}
	srv := &http.Server{Handler: e, ErrorLog: slog.NewLogLogger(e.Logger.Handler(), slog.LevelError)}
	return g.Serve(ctx, srv, listeners...)
}
