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

// adapter is that of a router which compares the path as it came.
func adapter(g *core.Guard) core.Adapter { return g.Adapter().Paths(core.PathRules{Raw: true}) }

// Middleware answers health routes and probers and explains refused handshakes,
// from inside Echo's chain. Register it with e.Pre to be asked before the
// router, or with e.Use. For an application that wants to keep its Start and
// can take two lines, [Attach] does the same for everything that reaches the
// server. Beside Attach it does nothing twice. By itself it counts no connections
// and leaves the server's own log as it is; sessions are followed, and
// [core.Guard.Drain] is to be called for their goodbye.
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

// candidate takes q by value, so that an ordinary request's stays on the stack.
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

// wrap lets q see what is answered. Echo's own Response stays the outermost, as far
// as middleware has left it where it can be found.
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
	res.Before(func() { q.Answered(res.Status, res.Header()) }) // a middleware outside may put its own writer back
	opened(q, c, res)
}

// opened sees to it that the status that Echo keeps for its access log is the one
// that is answered past Echo, at the hijack or by the guard, and that nothing else is
// written then.
func opened(q *core.HTTPRequest, c *echo.Context, res *echo.Response) {
	w := &response{Response: res}
	c.SetResponse(w)
	q.OnOpened(func(status int) { res.Status, res.Committed, w.over = status, true, true })
}

// response drops what comes after the answer: Echo's own would log a line for it.
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

// Attach makes the guard the outermost layer of the server that sc starts for e, by
// sc.BeforeServeFunc, which runs before it, and quiets that server's own log: Echo's
// Logger still gets every line that is not about a connection of ours. Call it before
// sc.Start or sc.StartTLS, which stay yours. e.Start has a StartConfig of its own:
// take [Run], or
//
//	sc := echo.StartConfig{Address: ":8080"}
//	echows.Attach(guard, e, &sc)
//	err := sc.Start(ctx, e)
//
// With e.Use it adds a middleware that only sees to it that a session shows as 101 in
// Echo's access log.
//
// When the context of sc.Start ends, Echo shuts its server down: that begins the
// drain, each session gets its goodbye, but Echo does not wait for the sessions, and
// the guard closes none of them at the deadline. [core.Guard.Drain] before it waits,
// lets probers notice, and closes what is left. To have every connection counted in
// its exact class, set sc.Listener to one of [core.Guard.Listener] or
// [core.Guard.TLSListener].
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

// showSessions lets Echo's access log see the status that is answered past it.
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

// owner asks e's routes whether the application has one of exactly the path of a
// request, for any method. Echo's router itself wants a request.
func owner(e *echo.Echo) func(core.Head) (owned, asked bool) {
	return func(h core.Head) (bool, bool) {
		return slices.ContainsFunc(e.Router().Routes(), func(r echo.RouteInfo) bool { return r.Path == h.Path() }), true
	}
}

// Endpoint is for a route on which the application's own library serves
// WebSocket: handshakes that RFC 6455 forbids and libraries let pass are refused,
// and those above core.Config.MaxSessions, everything else gets the route's own
// answer, probers too (see [core.Guard.Endpoint]), and once the connection has left
// HTTP a panic or an error of the handler ends the session instead of reaching
// Echo, which could only write a second answer into it. Origin stays the
// library's. Give it to the route, e.GET("/ws", handler, echows.Endpoint(guard)),
// not to e.Use. [core.SessionOf] with the request's context has the session.
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

// contain leaves Echo no error to answer where a panic ended the session.
func contain(q *core.HTTPRequest, err *error) {
	if q.Contain(recover()) {
		*err = nil
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
// error is part of the session's end in log and metrics and does not reach
// Echo. A panic in f is told and ends the session alone.
func Handler(g *core.Guard, f func(context.Context, *echo.Context, *websocket.Conn) error, options *websocket.AcceptOptions) echo.HandlerFunc {
	if f == nil {
		panic("echows.Handler: nil function")
	}
	a := adapter(g)
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
// [core.IsUpgrade]. It is for the Skipper of middleware that must leave sessions
// alone, and to keep them out of latency metrics, where each would count for as long
// as it lives.
func IsUpgrade(c *echo.Context) bool { return core.IsUpgrade(c.Request()) }

// Quiet returns a function for the Skipper of an access log, of metrics or of
// traces: [core.Guard.IsProbe] of the request, true for probes and never for
// another request of the application's. It may be asked before the chain, where the
// first probe of a WebSocket route is not known as one, or after it.
func Quiet(g *core.Guard) func(*echo.Context) bool {
	var once sync.Once
	return func(c *echo.Context) bool {
		once.Do(func() { adapter(g).Owner(owner(c.Echo())) }) // asked before the guard has seen a request
		return g.IsProbe(c.Request())
	}
}

// Run serves e on addr until the process gets SIGINT or SIGTERM, drains, shuts
// down and closes g; see [core.Run]. It takes the place of e.Start.
func Run(g *core.Guard, e *echo.Echo, addr string) error {
	return g.Adapter().Run(func(ctx context.Context) error { return Serve(ctx, g, e, addr) })
}

// RunTLS is Run over TLS with a certificate and its key in files; see
// [core.RunTLS].
func RunTLS(g *core.Guard, e *echo.Echo, addr, certFile, keyFile string) error {
	return g.Adapter().RunTLS(certFile, keyFile, nil, func(ctx context.Context, config *tls.Config) error {
		return ServeTLS(ctx, g, e, addr, config)
	})
}

// Serve serves e on addr until ctx ends, and then drains and returns nil; see
// [core.Guard.Serve]. It is an http.Server with a ReadHeaderTimeout of 10 s that logs
// to e.Logger, Attach, a listener, and the drain in one, and takes the place of
// e.Start, whose server has a ReadTimeout of 30 s and prints a banner. An error to
// listen or to accept is returned.
func Serve(ctx context.Context, g *core.Guard, e *echo.Echo, addr string) error {
	return g.Adapter().Listen("tcp", addr, listening(ctx, g, e))
}

// ServeTLS is Serve over TLS. Without a certificate in config it returns an error;
// where config names no protocols, HTTP/2 and HTTP/1.1 are offered. config is not
// changed.
func ServeTLS(ctx context.Context, g *core.Guard, e *echo.Echo, addr string, config *tls.Config) error {
	return g.Adapter().ListenTLS("tcp", addr, config, true, listening(ctx, g, e))
}

func listening(ctx context.Context, g *core.Guard, e *echo.Echo) func(...net.Listener) error {
	return func(listeners ...net.Listener) error { return ServeListener(ctx, g, e, listeners...) }
}

// ServeListener is Serve on listeners of one's own, which it closes, for TLS one of
// [core.Guard.TLSListener]. To serve with an http.Server of one's own, with hooks and
// timeouts, set its Handler to e and use [core.Guard.Serve], or [Attach] to keep
// Echo's.
func ServeListener(ctx context.Context, g *core.Guard, e *echo.Echo, listeners ...net.Listener) error {
	if g != nil {
		showSessions(adapter(g).Owner(owner(e)), e)
	}
	srv := &http.Server{Handler: e, ErrorLog: slog.NewLogLogger(e.Logger.Handler(), slog.LevelError)}
	return g.Serve(ctx, srv, listeners...)
}
