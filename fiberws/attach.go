package fiberws

import (
	"errors"
	"net"
	"net/http"
	"slices"
	"sync"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/quietws/quietws/core"
)

// Attach makes the guard the outermost layer of app, around app.Server().Handler
// as it is now, and adds hooks to the server's ConnState, ErrorHandler and
// Logger which call those that are there. Call it when all of these are set and
// before the app listens; Listen and Shutdown stay yours. What is no request,
// such as a reset or a timeout, no longer reaches the app's ErrorHandler; a
// passed limit of the app's, such as BodyLimit, does. A panic of a handler is
// told, and answered 500 where Fiber would end the process. At app.Shutdown the
// sessions are drained, and it returns when they are.
//
// fasthttp hands connections over without telling the guard when they end. To
// have the sessions of other routes than [Handler]'s followed, and every
// connection counted in its exact class, listen with app.Listener on one of
// [core.Guard.Listener] or [core.Guard.TLSListener]. Connections of a server
// with MaxConnsPerIP are known by that listener alone. Under Prefork Attach
// works in each child, without drain.
func Attach(g *core.Guard, app *fiber.App) error {
	a := g.Adapter().Owner(owner(app))
	srv := app.Server()
	if !a.First(srv) {
		return nil
	}
	l := &layer{a: a, app: app, next: srv.Handler, refused: srv.ErrorHandler, state: srv.ConnState}
	srv.Handler, srv.ErrorHandler, srv.ConnState = l.serve, l.unread, l.connState
	if srv.Logger != nil {
		srv.Logger = logger{srv.Logger}
	}
	app.Hooks().OnListen(func(fiber.ListenData) error { a.Starting(); return nil })
	app.Hooks().OnShutdown(func() error { a.ShuttingDown(); return nil })
	return nil
}

// layer is the outermost one.
type layer struct {
	a       core.Adapter
	app     *fiber.App
	next    fasthttp.RequestHandler
	refused func(*fasthttp.RequestCtx, error)
	state   func(net.Conn, fasthttp.ConnState)
	once    sync.Once
}

func (l *layer) serve(ctx *fasthttp.RequestCtx) {
	l.once.Do(func() {
		done := ctx.Done()
		go func() { // Fiber's own hook comes when the shutdown is through
			<-done
			l.a.ShuttingDown()
		}()
	})
	h := head{ctx}
	q := l.a.Begin(h, ctx.Conn())
	defer func() {
		if v := recover(); v != nil {
			ctx.Hijack(nil)
			ctx.Error("internal server error", http.StatusInternalServerError)
			ctx.SetConnectionClose()
			q.Panicked(v)
		}
	}()
	switch {
	case answered(&q, h):
		return
	case q.Undecided():
		l.ask(&q, h)
	default:
		l.next(ctx)
	}
	leave(&q, h)
}

// ask lets the app answer a health question, in a way that shows which of its
// handlers did.
func (l *layer) ask(q *core.Request, h head) {
	c := l.app.AcquireCtx(h.ctx)
	defer l.app.ReleaseCtx(c)
	if err := c.RestartRouting(); err != nil {
		if l.app.ErrorHandler(c, err) != nil {
			_ = c.SendStatus(http.StatusInternalServerError)
		}
	}
	fallback(q, h, c)
}

// unread is called for what fasthttp could not read.
func (l *layer) unread(ctx *fasthttp.RequestCtx, err error) {
	limit, parsed := 0, true
	var small *fasthttp.ErrSmallBuffer
	switch {
	case errors.Is(err, fasthttp.ErrBodyTooLarge), errors.Is(err, fasthttp.ErrGetOnly):
	case errors.As(err, &small):
		limit, parsed = http.StatusRequestHeaderFieldsTooLarge, false
	default:
		parsed = false
	}
	if parsed {
		q := l.a.Begin(head{ctx}, ctx.Conn())
		defer leave(&q, head{ctx})
	} else if answer, ours := l.a.Unread(ctx.Conn(), limit, err); ours {
		write(ctx, answer)
		return
	}
	if l.refused != nil {
		l.refused(ctx, err)
	}
}

func (l *layer) connState(nc net.Conn, state fasthttp.ConnState) {
	if l.state != nil {
		l.state(nc, state)
	}
	switch state {
	case fasthttp.StateNew:
		l.a.Accepted(nc)
	case fasthttp.StateHijacked, fasthttp.StateClosed: // Active comes before the first byte
		l.a.ConnState(nc, http.ConnState(state))
	}
}

// owner asks app's route table whether it has a route of exactly the path of a
// request. Middleware that would answer is in no table: then that shows when it
// has.
func owner(app *fiber.App) func(core.Head) (owned, asked bool) {
	return func(h core.Head) (bool, bool) {
		for _, routes := range app.Stack() {
			if slices.ContainsFunc(routes, func(r *fiber.Route) bool { return r.Path == h.Path() }) {
				return true, true
			}
		}
		return false, false
	}
}

// match says what kind of handler answered a request for which there is no exact
// route: else owner has said so.
func match(c *fiber.Ctx) core.Match {
	switch route := c.Route(); {
	case len(route.Handlers) == 0: // made up by Fiber where there is none
		return core.MatchUnknown
	case len(route.Params) > 0:
		return core.MatchPattern
	}
	return core.MatchMiddleware
}
