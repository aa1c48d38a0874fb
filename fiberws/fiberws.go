// Package fiberws puts a [core.Guard] on Fiber v2. It translates and holds no
// rule: what is a probe, what is refused and what is told the core decides.
package fiberws

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"sync"
	"time"

	fastws "github.com/fasthttp/websocket"
	"github.com/gofiber/contrib/websocket"
	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/quietws/quietws/core"
)

// requestKey is what a layer leaves its request under.
type requestKey struct{}

func begun(ctx *fasthttp.RequestCtx) core.Request {
	q, _ := ctx.UserValue(requestKey{}).(*core.Request)
	if q == nil {
		return core.Request{}
	}
	return *q
}

// Middleware answers health routes and probers and explains refused handshakes,
// from inside Fiber's chain: app.Use(fiberws.Middleware(guard)), before the
// others. Of sessions it follows those of [Handler]; those of a library of the
// application's own are counted when they open. For an application that wants to
// keep its Listen and can take two lines, [Attach] does more.
func Middleware(g *core.Guard) fiber.Handler {
	a := g.Adapter()
	var once sync.Once
	return func(c *fiber.Ctx) error {
		once.Do(func() { a = a.Owner(owner(c.App())) })
		h := head{c.Context()}
		q := a.Inside(begun(h.ctx), h, h.ctx.Conn())
		return run(&q, h, c, c.Next)
	}
}

// run writes the guard's answer, or calls the next handler and ends the request
// where this layer has begun it.
func run(q *core.Request, h head, c *fiber.Ctx, next func() error) error {
	if answered(q, h) {
		return nil
	}
	if !q.Outermost() {
		return next()
	}
	defer panicked(q)
	err := next()
	if q.Candidate() {
		if err != nil { // as Fiber's own logger does it, to know the status
			if err = c.App().ErrorHandler(c, err); err != nil {
				err = c.SendStatus(fiber.StatusInternalServerError)
			}
		}
		fallback(q, h, c)
	}
	leave(q, h)
	return err
}

// panicked ends a request whose handler panicked, which a layer outside may
// recover.
func panicked(q *core.Request) {
	if v := recover(); v != nil {
		q.Panicked(v)
		panic(v)
	}
}

// answered writes the guard's answer, if it has one. Otherwise the request is
// made ready for the next handler.
func answered(q *core.Request, h head) bool {
	if !q.Candidate() {
		return false
	}
	v := q.Verdict()
	switch {
	case v.Kind == core.Probe, v.Kind == core.Refuse:
		write(h.ctx, v.Answer)
		q.Done(v.Answer.Status, nil)
		return true
	case v.Connection != "":
		h.ctx.Request.Header.ResetConnectionClose()
		h.ctx.Request.Header.Del(fiber.HeaderConnection)
		h.ctx.Request.Header.Set(fiber.HeaderConnection, v.Connection)
	}
	h.ctx.SetUserValue(requestKey{}, q)
	return false
}

// fallback gives the guard's answer to a health question that the application
// has no route for.
func fallback(q *core.Request, h head, c *fiber.Ctx) {
	if a, ok := q.Fallback(h, h.ctx.Response.StatusCode(), match(c)); ok {
		h.ctx.Response.Reset()
		write(h.ctx, a)
	}
}

// leave ends a request whose handler has returned.
func leave(q *core.Request, h head) {
	if status := h.ctx.Response.StatusCode(); h.ctx.Hijacked() {
		q.Leave(status)
	} else {
		q.Done(status, nil)
	}
}

func write(ctx *fasthttp.RequestCtx, a core.Answer) {
	ctx.SetStatusCode(a.Status)
	for _, f := range a.Header {
		ctx.Response.Header.Set(f.Name, strings.Join(f.Values, ", "))
	}
	ctx.SetBodyString(a.Body)
}

// Endpoint is for a route on which contrib/websocket, or another library, serves
// WebSocket: known probers get the health answer, and handshakes that RFC 6455
// forbids and the library lets pass are refused. Origin stays the library's.
// Give its Config a RecoverHandler of [Recover]: its own one sends the text of a
// panic to the client. [SessionOf] has the session.
func Endpoint(g *core.Guard) fiber.Handler {
	a := g.Adapter()
	return func(c *fiber.Ctx) error {
		h := head{c.Context()}
		q := a.Endpoint(a.Inside(begun(h.ctx), h, h.ctx.Conn()), h, c.Route().Path)
		return run(&q, h, c, c.Next)
	}
}

// SessionOf returns the session that conn carries, inside the function given to
// websocket.New; nil where nothing is known of it. For a goodbye at a drain keep
// conn.Conn, not conn, which contrib uses again for another client, and call
// Settle before the function returns.
func SessionOf(g *core.Guard, conn *websocket.Conn) *core.Session {
	return g.Adapter().SessionOn(conn.NetConn())
}

// Recover is a RecoverHandler for contrib's Config: a panic is told with its
// stack, and nothing of it is sent.
func Recover(g *core.Guard) func(*websocket.Conn) {
	return func(conn *websocket.Conn) {
		if v := recover(); v != nil {
			g.Adapter().Panicked(conn.NetConn(), v)
		}
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
	a := g.Adapter()
	var cfg websocket.Config
	if len(config) > 0 {
		cfg = config[0]
	}
	origins := &core.Origins{Patterns: cfg.Origins, Only: len(cfg.Origins) > 0}
	if origins.Only && cfg.Origins[0] == "*" {
		origins = nil
	}
	filter := cfg.Filter
	cfg.Filter, cfg.Origins, cfg.RecoverHandler = nil, nil, func(*websocket.Conn) {}
	return func(c *fiber.Ctx) error {
		if filter != nil && !filter(c) {
			return c.Next()
		}
		h := head{c.Context()}
		q := a.Handler(a.Inside(begun(h.ctx), h, h.ctx.Conn()), h, c.Route().Path, origins)
		parent, nc, session := c.UserContext(), h.ctx.Conn(), q
		upgrade := websocket.New(func(conn *websocket.Conn) {
			session.RunSession(parent, nc, func(ctx context.Context, s *core.Session) error {
				inner := conn.Conn // contrib's is another client's as soon as this one is through
				s.OnDrain(func() { _ = sayClose(inner, a.DrainCode()) })
				err := f(ctx, conn)
				var closed *fastws.CloseError
				switch {
				case s.Settle(): // the drain's goodbye is said
				case err == nil:
					goodbye(s, inner, fastws.CloseNormalClosure)
				case !errors.As(err, &closed):
					goodbye(s, inner, fastws.CloseInternalServerErr)
				}
				return err
			})
		}, cfg)
		return run(&q, h, c, func() error { return upgrade(c) })
	}
}

// The patience with a client for taking a close frame, and for answering it.
const (
	closeWait  = time.Second
	answerWait = 5 * time.Second
)

func sayClose(ws *fastws.Conn, code int) error {
	return ws.WriteControl(fastws.CloseMessage, fastws.FormatCloseMessage(code, ""), time.Now().Add(closeWait))
}

// goodbye closes the session with code. Where the peer answers, that is how it
// ended.
func goodbye(s *core.Session, ws *fastws.Conn, code int) {
	if sayClose(ws, code) != nil {
		return
	}
	_ = ws.SetReadDeadline(time.Now().Add(answerWait))
	for {
		_, _, err := ws.NextReader()
		var closed *fastws.CloseError
		if errors.As(err, &closed) && closed.Code != fastws.CloseAbnormalClosure {
			s.Ended(code)
		}
		if err != nil {
			return
		}
	}
}

// Quiet returns a function for the Next of Fiber's logger, of metrics or of
// traces: true for probes that quietws answers, and for GET and HEAD by a known
// prober from a platform's address on a health route.
func Quiet(g *core.Guard) func(*fiber.Ctx) bool {
	a := g.Adapter()
	var once sync.Once
	return func(c *fiber.Ctx) bool {
		once.Do(func() { a = a.Owner(owner(c.App())) }) // asked before the guard has seen a request
		h := head{c.Context()}
		return a.IsProbeHead(begun(h.ctx), h)
	}
}

// ErrPrefork is the error of Serve, ServeTLS and ServeListener for an app with
// Prefork: Fiber then ignores listeners and kills its children. [Attach] works
// in each child, without drain.
var ErrPrefork = errors.New("fiberws: an app with Prefork cannot be served here; use Attach and the app's own Listen")

// Serve serves app on addr until ctx ends, and then drains; see
// [core.Guard.Serve]. It is Attach, a listener, and the drain in one, and takes
// the place of app.Listen.
func Serve(ctx context.Context, g *core.Guard, app *fiber.App, addr string) error {
	ln, err := net.Listen(app.Config().Network, addr)
	if err != nil {
		return err
	}
	return ServeListener(ctx, g, app, ln)
}

// ServeTLS is Serve over TLS. config needs a certificate. Fiber speaks HTTP/1.1.
func ServeTLS(ctx context.Context, g *core.Guard, app *fiber.App, addr string, config *tls.Config) error {
	if config == nil {
		return errors.New("fiberws: ServeTLS needs a tls.Config with a certificate")
	}
	ln, err := net.Listen(app.Config().Network, addr)
	if err != nil {
		return err
	}
	config = config.Clone()
	config.NextProtos = []string{"http/1.1"}
	return ServeListener(ctx, g, app, g.TLSListener(ln, config))
}

// ServeListener is Serve on listeners of one's own, for TLS one of
// [core.Guard.TLSListener]. It closes them where it cannot serve. The app's
// hooks and timeouts are kept; app.Shutdown ends it.
func ServeListener(ctx context.Context, g *core.Guard, app *fiber.App, listeners ...net.Listener) error {
	err := Attach(g, app)
	if app.Config().Prefork {
		err = ErrPrefork
	}
	if err != nil {
		for _, ln := range listeners {
			_ = ln.Close()
		}
		return err
	}
	return g.Adapter().Serve(ctx, server{app}, listeners...)
}

// server is an app as the core serves it.
type server struct{ app *fiber.App }

func (s server) Serve(ln net.Listener) error        { return s.app.Listener(ln) }
func (s server) Shutdown(ctx context.Context) error { return s.app.ShutdownWithContext(ctx) }
func (s server) Close() error                       { return s.app.ShutdownWithTimeout(0) }

// lineOfConn begins what fasthttp logs of a connection of its own.
const lineOfConn = "error when serving connection"

// logger keeps to itself what the guard tells.
type logger struct{ fasthttp.Logger }

func (l logger) Printf(format string, args ...any) {
	if !strings.HasPrefix(format, lineOfConn) {
		l.Logger.Printf(format, args...)
	}
}
