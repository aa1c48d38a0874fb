package fiberws

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"

	"github.com/gofiber/contrib/websocket"
	"github.com/gofiber/fiber/v2"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/kit"
)

// Middleware answers health routes and probers and explains refused handshakes, from
// inside Fiber's chain. Register it before other middleware:
// app.Use(fiberws.Middleware(guard)). Where you can add two lines and keep Listen,
// prefer [Attach], which does more.
//
// Middleware tracks the sessions of [Handler]; the application's own library's are
// only counted when they open. If a client sends close in Connection, or
// fiber.Config.DisableKeepalive is set, fasthttp answers 101 and then closes the
// connection: only Attach prevents that.
func Middleware(g *core.Guard) fiber.Handler {
	a := g.Adapter()
	var once sync.Once
	return func(c *fiber.Ctx) error {
		once.Do(func() { a = a.Asks(asked(c.App())).Paths(paths(c.App())) })
		return around(a.BeginMessage(message{c.Context()}), c, c.Next)
	}
}

func around(q core.Request, c *fiber.Ctx, next func() error) error {
	return q.Around(message{c.Context()}, next, func(err error) { answer(c, err) })
}

// answer answers an error as Fiber's own logger does, so that the status is known.
func answer(c *fiber.Ctx, err error) {
	if err != nil && c.App().ErrorHandler(c, err) != nil {
		_ = c.SendStatus(fiber.StatusInternalServerError)
	}
}

// Attach makes the guard the outermost layer of app: it wraps app.Server().Handler as
// it is now, and adds hooks to the server's ConnState, ErrorHandler, HeaderReceived
// and Logger, which call those already set. Call it after these are set and before the
// app listens; you still call Listen and Shutdown. The app's ErrorHandler no longer
// sees what is not a request, such as a reset or a timeout; it still sees a passed
// limit of the app's, such as BodyLimit. A panic of a handler is logged and answered
// 500, where Fiber would end the process.
//
// app.Shutdown begins the drain: each session gets its goodbye. app.Shutdown takes no
// longer than without the guard and does not wait for the sessions, and the guard
// closes none of them at the deadline. Call [core.Guard.Drain] first to give probers
// time to notice, to wait for the sessions and to close those that are left. An
// application that sends a goodbye of its own does so from [core.Session.OnDrain] or
// when [core.Guard.Draining] is closed, not after core.Guard.Drain.
//
// fasthttp does not report the end of a connection that it has handed over. To track
// sessions on routes without [Handler], and to have every connection counted in its
// exact class, call app.Listener with a listener from [core.Guard.Listener] or
// [core.Guard.TLSListener]. On a server with MaxConnsPerIP only such a listener counts
// connections; answers, refusals and Handler's sessions do not depend on it. Under
// Prefork Attach works in each child, with a guard of its own and without a drain,
// because Fiber kills its children.
//
// Only a request can see that fasthttp is shutting down: before the first request,
// silent connections delay app.Shutdown. They do not delay [Serve], nor app.Shutdown
// after [core.Guard.Drain]. If a default health path is in no route table, the app
// itself is asked once who answers it, see [core.Adapter.Asks]; handlers that others
// have put around app.Server().Handler are not. With
// fiber.Config.DisableHeaderNormalizing contrib/websocket accepts no handshake at all,
// with or without the guard.
func Attach(g *core.Guard, app *fiber.App) {
	if a, first := g.Adapter().Asks(asked(app)).Paths(paths(app)).Server(app.Server()); first {
		attach(a, app.Server())
		app.Hooks().OnListen(func(d fiber.ListenData) error { a.Starting(net.JoinHostPort(d.Host, d.Port)); return nil })
		app.Hooks().OnShutdown(func() error { a.ShuttingDown(); return nil })
	}
}

// Endpoint is for a route on which contrib/websocket, or another library, serves
// WebSocket. It refuses handshakes that RFC 6455 forbids, even those that the library
// accepts, and handshakes above core.Config.MaxSessions. Every other request, a
// prober's too, gets the route's own answer (see [core.Guard.Endpoint]). The library
// still checks Origin.
//
// Set [Recover] as the RecoverHandler of its Config: contrib's own sends the text of a
// panic to the client. [SessionOf] returns the session. Put Endpoint before the
// library's handler: app.Get("/ws", fiberws.Endpoint(guard), websocket.New(f,
// config)).
func Endpoint(g *core.Guard) fiber.Handler {
	a := g.Adapter()
	return func(c *fiber.Ctx) error {
		m := message{c.Context()}
		return around(a.Endpoint(a.BeginMessage(m), m, c.Route().Path, nil), c, c.Next)
	}
}

// SessionOf returns the session of conn, inside the function given to websocket.New;
// nil if the session is not tracked. For a goodbye at a drain keep conn.Conn, not
// conn, which contrib reuses for another client, and call Settle before the function
// returns.
func SessionOf(conn *websocket.Conn) *core.Session {
	q, _ := conn.Locals(core.MessageKey).(*core.Request)
	return q.SessionOn(conn.NetConn())
}

// Recover is the RecoverHandler for contrib's Config on a route with [Endpoint]. It
// logs a panic with its stack, sends none of it to the client, and closes the
// connection. contrib's own sends the panic's text to the client. [Handler] sets it
// already.
func Recover(conn *websocket.Conn) {
	if v := recover(); v != nil {
		SessionOf(conn).Panicked(v)
	}
}

// Handler serves WebSocket with contrib/websocket. It owns its route: it refuses every
// handshake that RFC 6455 forbids, with the status for the reason, and pages of
// another origin unless config.Origins allows them. A browser that opens the route as
// a page gets 426, and a known prober the health answer. If config.Origins is set,
// only its origins are allowed, or all of them if "*" is its first item. Clients that
// send no Origin are not browsers, and are served. config.RecoverHandler is not
// called. Handler panics if f is nil, and uses only the first config.
//
// f has the session until it returns. Its context is derived from c.UserContext and ends
// when the connection is closed on this side, when a read or a write fails, or at the
// drain's deadline. When a drain reaches the session, the client is sent
// core.DrainConfig.Code, and its answer is the error of f's next read. If f returns
// nil, the session is closed with 1000 (normal closure); if it returns an error that
// carries no close code, with 1011 (internal error). A panic in f is logged and ends
// that session only. Do not use conn after f has returned.
func Handler(g *core.Guard, f func(context.Context, *websocket.Conn) error, config ...websocket.Config) fiber.Handler {
	if f == nil {
		panic("fiberws.Handler: nil function")
	}
	a := g.Adapter()
	var cfg websocket.Config
	if len(config) > 0 {
		cfg = config[0]
	}
	filter, origins := cfg.Filter, kit.OnlyOrigins(cfg.Origins)
	cfg.Filter, cfg.Origins, cfg.RecoverHandler = nil, nil, Recover
	upgrade := websocket.New(func(conn *websocket.Conn) {
		parent, _ := conn.Locals(userContext).(context.Context)
		// Not conn, which is another client's as soon as this one is through.
		SessionOf(conn).Run(parent, conn.Conn, func(ctx context.Context) error { return f(ctx, conn) })
	}, cfg)
	return func(c *fiber.Ctx) error {
		if filter != nil && !filter(c) {
			return c.Next()
		}
		m := message{c.Context()}
		return around(a.Endpoint(a.BeginMessage(m), m, c.Route().Path, origins), c, func() error {
			c.Locals(userContext, c.UserContext())
			return upgrade(c)
		})
	}
}

// userContext is the key of the user value that contrib passes on to a session.
const userContext = core.MessageKey + "/context"

// Quiet returns a function for the Next of Fiber's logger, of metrics or of traces. It
// is [core.Guard.IsProbe] of the request: true for probes, false for every other
// request. Called after the chain, as in the logger's Done, it is exact. Next is
// called before the chain: there the first probe of a WebSocket route is not yet known
// as one, and a default health path counts as the guard's until the app has been asked
// for it.
func Quiet(g *core.Guard) func(*fiber.Ctx) bool {
	a := g.Adapter()
	var once sync.Once
	return func(c *fiber.Ctx) bool {
		once.Do(func() { a = a.Asks(asked(c.App())).Paths(paths(c.App())) }) // asked before the guard has seen a request
		return a.IsProbeMessage(message{c.Context()})
	}
}

// IsUpgrade reports whether c asks to upgrade to WebSocket, or is what a proxy left of
// such a request: see [core.IsUpgrade]. Use it in the Next of middleware that
// measures, caches or traces requests, where a session would count as one request that
// takes hours.
func IsUpgrade(c *fiber.Ctx) bool { return core.IsUpgradeMessage(message{c.Context()}) }

// ErrPrefork is returned by Serve, ServeTLS and ServeListener for an app with Prefork:
// Fiber then ignores listeners and kills its children. [Attach] works in each child,
// without a drain.
var ErrPrefork = errors.New("fiberws: an app with Prefork cannot be served here; use Attach and the app's own Listen")

// Run serves app on addr until the process gets SIGINT or SIGTERM; then it drains,
// shuts down and closes g. See [core.Run]. It takes the place of app.Listen.
func Run(g *core.Guard, app *fiber.App, addr string) error {
	return g.Adapter().Run(func(ctx context.Context) error { return Serve(ctx, g, app, addr) })
}

// RunTLS is Run over TLS, with a certificate and its key from files; see
// [core.RunTLS]. HTTP/2 is never offered.
func RunTLS(g *core.Guard, app *fiber.App, addr, certFile, keyFile string) error {
	return g.Adapter().RunTLS(certFile, keyFile, nil, func(ctx context.Context, config *tls.Config) error {
		return ServeTLS(ctx, g, app, addr, config)
	})
}

// Serve serves app on addr until ctx ends, then drains and returns nil; see
// [core.Guard.Serve]. It is Attach, a listener and the drain in one call, and takes
// the place of app.Listen. It sets no timeout: set fiber.Config.ReadTimeout, which
// limits the head and the body of a request together. It returns the error if it
// cannot listen or accept, and [ErrPrefork] for an app with Prefork.
func Serve(ctx context.Context, g *core.Guard, app *fiber.App, addr string) error {
	return g.Adapter().Listen(app.Config().Network, addr, listening(ctx, g, app))
}

// ServeTLS is Serve over TLS. It returns an error if config has no certificate. HTTP/2
// is never offered: Fiber does not implement it. config is not changed.
func ServeTLS(ctx context.Context, g *core.Guard, app *fiber.App, addr string, config *tls.Config) error {
	return g.Adapter().ListenTLS(app.Config().Network, addr, config, false, listening(ctx, g, app))
}

func listening(ctx context.Context, g *core.Guard, app *fiber.App) func(...net.Listener) error {
	return func(listeners ...net.Listener) error { return ServeListener(ctx, g, app, listeners...) }
}

// ServeListener is Serve on your own listeners, which it closes even if it cannot
// serve. For TLS pass one from [core.Guard.TLSListener]. The app's hooks and timeouts
// are kept; app.Shutdown ends it, with a drain.
func ServeListener(ctx context.Context, g *core.Guard, app *fiber.App, listeners ...net.Listener) error {
	if app.Config().Prefork {
		return kit.Unserved(ErrPrefork, listeners...)
	}
	Attach(g, app)
	a, _ := g.Adapter().Server(app.Server())
	return a.Serve(ctx, server{app}, listeners...)
}

// server is an app in the form that core serves.
type server struct{ app *fiber.App }

func (s server) Serve(ln net.Listener) error        { return s.app.Listener(ln) }
func (s server) Shutdown(ctx context.Context) error { return s.app.ShutdownWithContext(ctx) }
func (s server) Close() error                       { return s.app.ShutdownWithTimeout(0) }
