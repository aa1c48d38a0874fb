//go:build !race

package fiberws_test // with the race detector sync.Pool forgets, and all allocate

import (
	"log/slog"
	"net"
	"testing"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/fiberws"
)

// What Middleware and Attach cost an ordinary request, beside an empty middleware
// in the same place, and beside nothing.

// layers are those to compare, each as the server calls it.
func layers(tb testing.TB) map[string]fasthttp.RequestHandler {
	tb.Helper()
	g, err := core.New(core.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = g.Close() })
	app := func(middleware ...any) *fiber.App {
		a := newApp(fiber.Config{})
		if len(middleware) > 0 {
			a.Use(middleware...)
		}
		a.Get("/app", func(*fiber.Ctx) error { return nil })
		return a
	}
	attached := app()
	if err := fiberws.Attach(g, attached); err != nil {
		tb.Fatal(err)
	}
	all := make(map[string]fasthttp.RequestHandler)
	for name, a := range map[string]*fiber.App{
		"nothing": app(), "empty middleware": app(func(c *fiber.Ctx) error { return c.Next() }),
		"Middleware": app(fiberws.Middleware(g)), "Attach": attached,
	} {
		a.Handler() // builds the routes; it is not what the server calls
		all[name] = a.Server().Handler
	}
	return all
}

// request is one for path as it arrives at a server whose connections nobody
// watches.
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

func TestAnOrdinaryRequestAllocatesNothingMore(t *testing.T) {
	allocs := make(map[string]float64)
	for name, handler := range layers(t) {
		ctx := request(t, "/app")
		allocs[name] = testing.AllocsPerRun(1000, func() { handler(ctx) })
	}
	if allocs["Middleware"] > allocs["empty middleware"] || allocs["Attach"] > allocs["nothing"] {
		t.Errorf("allocations: %v", allocs)
	}
}

// A health route's answer is a question to the app, which allocates nothing.
func TestAHealthAnswerAllocatesNothing(t *testing.T) {
	handlers := layers(t)
	for _, name := range []string{"Middleware", "Attach"} {
		ctx := request(t, "/readyz")
		handlers[name](ctx)
		if got := string(ctx.Response.Body()); got != "ok\n" {
			t.Fatalf("%s: %q", name, got)
		}
		if n := testing.AllocsPerRun(1000, func() { handlers[name](ctx) }); n > 0 {
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
				handler(ctx)
			}
		})
	}
}
