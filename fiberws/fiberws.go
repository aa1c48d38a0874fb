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

// Middleware answers health routes and probers and explains refused handshakes,
// from inside Fiber's chain: app.Use(fiberws.Middleware(guard)), before the
// others. Of sessions it follows those of [Handler]; those of a library of the
// application's own are counted when they open. A client that says close in
// Connection, and one of a server with fiber.Config.DisableKeepalive, fasthttp
// answers 101 and closes: that needs [Attach], which does more for an application
// that wants to keep its Listen and can take two lines.
func Middleware(g *core.Guard) fiber.Handler {
	a := g.Adapter()
	var once sync.Once
	return func(c *fiber.Ctx) error {
		once.Do(func() { a = a.Asks(asked(c.App())).Paths(paths(c.App())) })
		q := a.BeginMessage(message{c.Context()})
		return around(&q, c, c.Next)
	}
}

func around(q *core.Request, c *fiber.Ctx, next func() error) error {
	return q.Around(message{c.Context()}, next, func(err error) { answer(c, err) })
}

// answer answers an error, as Fiber's own logger does it, to know the status.
func answer(c *fiber.Ctx, err error) {
	if err != nil && c.App().ErrorHandler(c, err) != nil {
		_ = c.SendStatus(fiber.StatusInternalServerError)
	}
}

// Attach makes the guard the outermost layer of app, around app.Server().Handler
// as it is now, and adds hooks to the server's ConnState, ErrorHandler,
// HeaderReceived and Logger which call those that are there. Call it when all of
// these are set and before the app listens; Listen and Shutdown stay yours. What
// is no request, such as a reset or a timeout, no longer reaches the app's
// ErrorHandler; a passed limit of the app's, such as BodyLimit, does. A panic of a
// handler is told, and answered 500 where Fiber would end the process.
//
// app.Shutdown begins the drain: each session gets its goodbye, but app.Shutdown
// takes no longer than without the guard, does not wait for the sessions, and the
// guard closes none of them at the deadline. [core.Guard.Drain] before it waits,
// lets probers notice, and closes what is left. An application that says a goodbye
// of its own does so from [core.Session.OnDrain] or when [core.Guard.Draining] is
// closed, not after core.Guard.Drain.
//
// fasthttp hands connections over without telling the guard when they end. To
// have the sessions of other routes than [Handler]'s followed, and every
// connection counted in its exact class, listen with app.Listener on one of
// [core.Guard.Listener] or [core.Guard.TLSListener]. Connections of a server
// with MaxConnsPerIP are counted by that listener alone; answers, refusals and
// the sessions of Handler are the same without. Under Prefork Attach works in each
// child, with a guard of its own, and without drain, as Fiber kills its children.
//
// fasthttp's shutdown shows in its requests alone: before the first one, silent
// connections hold app.Shutdown up, which [Serve] and [core.Guard.Drain] before it
// do not let them. Who answers a default health path that is in no route table the
// app is asked once, as [core.Adapter.Asks] has it, past what others have put
// around app.Server().Handler. With
// fiber.Config.DisableHeaderNormalizing contrib/websocket finds no handshake of any
// client, whatever is around it.
func Attach(g *core.Guard, app *fiber.App) {
	if a, first := g.Adapter().Asks(asked(app)).Paths(paths(app)).Server(app.Server()); first {
		attach(a, app.Server())
		app.Hooks().OnListen(func(d fiber.ListenData) error { a.Starting(net.JoinHostPort(d.Host, d.Port)); return nil })
		app.Hooks().OnShutdown(func() error { a.ShuttingDown(); return nil })
	}
}

// Endpoint is for a route on which contrib/websocket, or another library, serves
// WebSocket: handshakes that RFC 6455 forbids and the library lets pass are
// refused, and those above core.Config.MaxSessions; everything else gets the route's
// own answer, probers too (see [core.Guard.Endpoint]). Origin stays the library's.
// Give its Config the RecoverHandler [Recover]: its own one sends the text of a
// panic to the client. [SessionOf] has the session. Put it before the library's
// handler: app.Get("/ws", fiberws.Endpoint(guard), websocket.New(f, config)).
func Endpoint(g *core.Guard) fiber.Handler {
	a := g.Adapter()
	return func(c *fiber.Ctx) error {
		m := message{c.Context()}
		q := a.Endpoint(a.BeginMessage(m), m, c.Route().Path, nil)
		return around(&q, c, c.Next)
	}
}

// SessionOf returns the session that conn carries, inside the function given to
// websocket.New; nil where nobody follows it. For a goodbye at a drain keep
// conn.Conn, not conn, which contrib uses again for another client, and call
// Settle before the function returns.
func SessionOf(conn *websocket.Conn) *core.Session {
	q, _ := conn.Locals(core.MessageKey).(*core.Request)
	return q.SessionOn(conn.NetConn())
}

// Recover is the RecoverHandler for contrib's Config on a route with [Endpoint]: a
// panic is told with its stack, nothing of it is sent, and the connection closed.
// contrib's own sends the panic's text to the client. [Handler] has it already.
func Recover(conn *websocket.Conn) {
	if v := recover(); v != nil {
		SessionOf(conn).Panicked(v)
	}
}

// Handler serves WebSocket with contrib/websocket. It owns its route: every
// handshake that RFC 6455 forbids is refused with the status of its reason,
// pages of another origin are refused unless config.Origins allows them, a
// person in a browser gets 426 and a known prober the health answer. Where
// config.Origins is set it is the whole list, and "*" its first item allows all;
// clients without Origin are no browsers and served. config.RecoverHandler is
// not called.
//
// f has the session until it returns; its context comes from c.UserContext and
// ends when the connection is closed here, when a read or a write fails, or at
// the drain's deadline. At the session's moment of a drain the client is sent
// core.DrainConfig.Code, and its answer is the error of f's next read. If f
// returns nil the session is closed with 1000 (normal closure), if it returns an
// error that carries no close code with 1011 (internal error). A panic in f is
// told and ends the session alone. conn is not to be used after f has returned.
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
		q := a.Endpoint(a.BeginMessage(m), m, c.Route().Path, origins)
		return around(&q, c, func() error {
			c.Locals(userContext, c.UserContext())
			return upgrade(c)
		})
	}
}

// userContext is the user value that contrib hands on to a session.
const userContext = core.MessageKey + "/context"

// Quiet returns a function for the Next of Fiber's logger, of metrics or of
// traces: true for probes as [core.Guard.IsProbe] has them, and for no other
// request. Next is asked before the chain, where the first probe of a WebSocket
// route is not known as one, and where a default health path of which the app has
// not been asked yet counts as the guard's; asked after the chain, as in the
// logger's Done, it is exact.
func Quiet(g *core.Guard) func(*fiber.Ctx) bool {
	a := g.Adapter()
	var once sync.Once
	return func(c *fiber.Ctx) bool {
		once.Do(func() { a = a.Asks(asked(c.App())).Paths(paths(c.App())) }) // asked before the guard has seen a request
		return a.IsProbeMessage(message{c.Context()})
	}
}

// IsUpgrade reports whether c asks to upgrade to WebSocket, or is what a proxy left
// of such a request, as [core.IsUpgrade] has it: for the Next of middleware that
// measures, caches or traces requests, for which a session would be a request of
// hours.
func IsUpgrade(c *fiber.Ctx) bool { return core.IsUpgradeMessage(message{c.Context()}) }

// ErrPrefork is the error of Serve, ServeTLS and ServeListener for an app with
// Prefork: Fiber then ignores listeners and kills its children. [Attach] works
// in each child, without drain.
var ErrPrefork = errors.New("fiberws: an app with Prefork cannot be served here; use Attach and the app's own Listen")

// Run serves app on addr until the process gets SIGINT or SIGTERM, drains, shuts
// down and closes g; see [core.Run]. It takes the place of app.Listen.
func Run(g *core.Guard, app *fiber.App, addr string) error {
	return g.Adapter().Run(func(ctx context.Context) error { return Serve(ctx, g, app, addr) })
}

// RunTLS is Run over TLS with a certificate and its key in files; see
// [core.RunTLS]. HTTP/2 is never offered.
func RunTLS(g *core.Guard, app *fiber.App, addr, certFile, keyFile string) error {
	return g.Adapter().RunTLS(certFile, keyFile, nil, func(ctx context.Context, config *tls.Config) error {
		return ServeTLS(ctx, g, app, addr, config)
	})
}

// Serve serves app on addr until ctx ends, and then drains and returns nil; see
// [core.Guard.Serve]. It is Attach, a listener, and the drain in one, and takes
// the place of app.Listen. It sets no timeout, unlike that: set
// fiber.Config.ReadTimeout, which limits the head and the body of a request
// together. An error to listen or to accept is returned, [ErrPrefork] for an app
// with Prefork.
func Serve(ctx context.Context, g *core.Guard, app *fiber.App, addr string) error {
	return g.Adapter().Listen(app.Config().Network, addr, listening(ctx, g, app))
}

// ServeTLS is Serve over TLS. Without a certificate in config it returns an error.
// HTTP/2 is never offered, which Fiber does not speak. config is not changed.
func ServeTLS(ctx context.Context, g *core.Guard, app *fiber.App, addr string, config *tls.Config) error {
	return g.Adapter().ListenTLS(app.Config().Network, addr, config, false, listening(ctx, g, app))
}

func listening(ctx context.Context, g *core.Guard, app *fiber.App) func(...net.Listener) error {
	return func(listeners ...net.Listener) error { return ServeListener(ctx, g, app, listeners...) }
}

// ServeListener is Serve on listeners of one's own, for TLS one of
// [core.Guard.TLSListener]. It closes them, also where it cannot serve. The app's
// hooks and timeouts are kept; app.Shutdown ends it, with a drain.
func ServeListener(ctx context.Context, g *core.Guard, app *fiber.App, listeners ...net.Listener) error {
	if app.Config().Prefork {
		return kit.Unserved(ErrPrefork, listeners...)
	}
	Attach(g, app)
	a, _ := g.Adapter().Server(app.Server())
	return a.Serve(ctx, server{app}, listeners...)
}

// server is an app as the core serves it.
type server struct{ app *fiber.App }

func (s server) Serve(ln net.Listener) error        { return s.app.Listener(ln) }
func (s server) Shutdown(ctx context.Context) error { return s.app.ShutdownWithContext(ctx) }
func (s server) Close() error                       { return s.app.ShutdownWithTimeout(0) }
