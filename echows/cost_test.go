package echows_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/echows"
)

// What Middleware costs an ordinary request, compared with an empty middleware in the
// same place.

func empty(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error { return next(c) }
}

func served(tb testing.TB, add func(*echo.Echo)) *echo.Echo {
	tb.Helper()
	e := echo.New()
	e.Logger.SetOutput(io.Discard)
	add(e)
	e.GET("/app", func(echo.Context) error { return nil })
	return e
}

func places(tb testing.TB) map[string]struct{ bare, with *echo.Echo } {
	tb.Helper()
	g, err := core.New(core.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = g.Close() })
	return map[string]struct{ bare, with *echo.Echo }{
		"Use": {served(tb, func(e *echo.Echo) { e.Use(empty) }), served(tb, func(e *echo.Echo) { e.Use(echows.Middleware(g)) })},
		"Pre": {served(tb, func(e *echo.Echo) { e.Pre(empty) }), served(tb, func(e *echo.Echo) { e.Pre(echows.Middleware(g)) })},
	}
}

// nowhere is a ResponseWriter that discards everything.
type nowhere struct{ header http.Header }

func (n *nowhere) Header() http.Header         { return n.header }
func (n *nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (n *nowhere) WriteHeader(int)             {}

func ordinary() (*nowhere, *http.Request) {
	r := httptest.NewRequest(http.MethodGet, "/app", nil)
	r.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36")
	r.Header.Set("Accept", "*/*")
	r.Header.Set("Accept-Encoding", "gzip, deflate, br")
	r.Header.Set("Cookie", "session=0123456789abcdef")
	return &nowhere{make(http.Header)}, r
}

func TestMiddlewareAllocatesAtMostOnceMore(t *testing.T) {
	for place, p := range places(t) {
		w, r := ordinary()
		bare := testing.AllocsPerRun(1000, func() { p.bare.ServeHTTP(w, r) })
		with := testing.AllocsPerRun(1000, func() { p.with.ServeHTTP(w, r) })
		if with > bare+1 {
			t.Errorf("%s: %v allocations with Middleware, %v with an empty one; want at most 1 more", place, with, bare)
		}
	}
}

func BenchmarkMiddleware(b *testing.B) {
	for place, p := range places(b) {
		for name, e := range map[string]*echo.Echo{"empty": p.bare, "quietws": p.with} {
			b.Run(place+"/"+name, func(b *testing.B) {
				w, r := ordinary()
				b.ReportAllocs()
				for b.Loop() {
					e.ServeHTTP(w, r)
				}
			})
		}
	}
}
