//go:build !race

package fiberws_test // with the race detector sync.Pool forgets, and all allocate

import (
	"log/slog"
	"net"
	"testing"

	"github.com/gofiber/fiber/v3"
	"github.com/valyala/fasthttp"

	"github.com/quietws/quietws/core"
	fiberws "github.com/quietws/quietws/fiberws/fiberv3"
)

// What Middleware and Attach cost an ordinary request, compared with an empty
// middleware in the same place, and with no middleware.

// layers are the handlers to compare, each as the server calls it.
func layers(tb testing.TB) map[string]fasthttp.RequestHandler {
	tb.Helper()
	guard := func(routes core.Routes) *core.Guard {
		g, err := core.New(core.Config{Logger: slog.New(slog.DiscardHandler), Routes: routes})
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { _ = g.Close() })
		return g
	}
	g := guard(core.Routes{})
	app := func(middleware ...any) *fiber.App {
		a := fiber.New()
		if len(middleware) > 0 {
			a.Use(middleware...)
		}
		a.Get("/app", func(fiber.Ctx) error { return nil })
		return a
	}
	attached, named := app(), app()
	fiberws.Attach(g, attached)
	fiberws.Attach(guard(core.Routes{Ready: "/readyz"}), named)
	all := make(map[string]fasthttp.RequestHandler)
	for name, a := range map[string]*fiber.App{
		"nothing": app(), "empty middleware": app(func(c fiber.Ctx) error { return c.Next() }),
		"Middleware": app(fiberws.Middleware(g)), "Attach": attached, "Attach, named": named,
	} {
		a.Handler() // builds the routes; the server does not call it
		all[name] = a.Server().Handler
	}
	return all
}

// request returns a request for path, as it arrives at a server whose connections are
// not tracked.
func request(tb testing.TB, path string) *fasthttp.RequestCtx {
	tb.Helper()
	r := fasthttp.AcquireRequest()
	r.Header.SetMethod("GET")
	r.SetRequestURI("http://example.com" + path)
	r.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36")
	r.Header.Set("Accept", "*/*")
	r.Header.Set("Accept-Encoding", "gzip, deflate, br")
	r.Header.Set("Cookie", "session=0123456789abcdef")
	ctx := new(fasthttp.RequestCtx)
	near, far := net.Pipe()
	tb.Cleanup(func() { _, _ = near.Close(), far.Close() })
	ctx.Init2(near, nil, false)
	r.CopyTo(&ctx.Request)
	return ctx
}

// again calls handler as a server does for the next request, with all traces of the
// last one removed.
func again(handler fasthttp.RequestHandler, ctx *fasthttp.RequestCtx) {
	ctx.ResetUserValues()
	ctx.Response.Reset()
	handler(ctx)
}

// allocations counts the allocations of handler for a request for path.
func allocations(t *testing.T, handler fasthttp.RequestHandler, path string) float64 {
	t.Helper()
	ctx := request(t, path)
	return testing.AllocsPerRun(1000, func() { again(handler, ctx) })
}

func TestAnOrdinaryRequestAllocatesNothingMore(t *testing.T) {
	allocs := make(map[string]float64)
	for name, handler := range layers(t) {
		allocs[name] = allocations(t, handler, "/app")
	}
	if allocs["Middleware"] > allocs["empty middleware"] || allocs["Attach"] > allocs["nothing"] {
		t.Errorf("allocations: %v", allocs)
	}
}

// The app is asked only once who answers a default health path.
func TestAllocationsOfAHealthAnswer(t *testing.T) {
	handlers := layers(t)
	for _, name := range []string{"Middleware", "Attach", "Attach, named"} {
		ctx := request(t, "/readyz")
		again(handlers[name], ctx)
		if got := string(ctx.Response.Body()); got != "ok\n" {
			t.Fatalf("%s: %q", name, got)
		}
		if n := allocations(t, handlers[name], "/readyz"); n > 0 {
			t.Errorf("%s: %v allocations for a health answer, want none", name, n)
		}
	}
}

func BenchmarkOrdinaryRequest(b *testing.B) {
	for name, handler := range layers(b) {
		b.Run(name, func(b *testing.B) {
			ctx := request(b, "/app")
			b.ReportAllocs()
			for b.Loop() {
				again(handler, ctx)
			}
		})
	}
}
