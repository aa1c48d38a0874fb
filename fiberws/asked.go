package fiberws

import (
	"slices"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/kit"
)

// asked describes app to the core, so that the core can ask it who answers a health
// path.
func asked(app *fiber.App) core.Application {
	return core.Application{
		Key:     app,
		Version: func() uint64 { return uint64(app.HandlersCount()) },
		Exact:   func(path string) bool { return exact(app, path) },
		Ask:     func(h core.Head) func() core.Reply { return ask(app, h.(message)) },
	}
}

// paths is how app's router compares paths.
func paths(app *fiber.App) core.PathRules {
	c := app.Config()
	return core.PathRules{Raw: !c.UnescapePath, Decoded: c.UnescapePath, Fold: !c.CaseSensitive, Trim: !c.StrictRouting}
}

// exact reports whether the route table has a route with exactly this path, compared
// as Fiber's router does.
func exact(app *fiber.App, path string) bool {
	rules := paths(app)
	same := func(r *fiber.Route) bool { return rules.Same(r.Path, path) }
	return slices.ContainsFunc(slices.Concat(app.Stack()...), same)
}

func ask(app *fiber.App, m message) func() core.Reply {
	ctx := new(fasthttp.RequestCtx)
	ctx.Init2(kit.AskOn(m.LocalAddr(), m.RemoteAddr(), m.TLSConnectionState()), app.Server().Logger, false)
	kit.AskWith(&m.Request.Header, ctx.Request.Header.AddBytesKV)
	ctx.Request.SetRequestURI(m.Path())
	core.MarkAsked(message{ctx})
	return func() core.Reply {
		c := app.AcquireCtx(ctx)
		defer app.ReleaseCtx(c)
		defer ctx.Response.Reset() // closes a stream
		answer(c, c.RestartRouting())
		r := core.Reply{Status: ctx.Response.StatusCode(), ContentType: string(ctx.Response.Header.ContentType())}
		r.Middleware = len(c.Route().Handlers) > 0 && len(c.Route().Params) == 0
		return r
	}
}
