//go:build !race

package ginws_test // with the race detector sync.Pool forgets, and all allocate

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/ginws"
)

// What Middleware costs an ordinary request, compared with an empty middleware in the
// same place.

func engineWith(middleware gin.HandlerFunc) *gin.Engine {
	engine := gin.New()
	engine.Use(middleware)
	engine.GET("/app", func(*gin.Context) {})
	return engine
}

func bareAndWith(tb testing.TB) (bare, with *gin.Engine) {
	tb.Helper()
	g, err := core.New(core.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = g.Close() })
	return engineWith(func(c *gin.Context) { c.Next() }), engineWith(ginws.Middleware(g))
}

// nowhere is a ResponseWriter that discards everything.
type nowhere struct{ header http.Header }

func (n *nowhere) Header() http.Header               { return n.header }
func (n *nowhere) Write(p []byte) (int, error)       { return len(p), nil }
func (n *nowhere) WriteString(s string) (int, error) { return len(s), nil }
func (n *nowhere) WriteHeader(int)                   {}

func request(path string) (*nowhere, *http.Request) {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36")
	r.Header.Set("Accept", "*/*")
	r.Header.Set("Accept-Encoding", "gzip, deflate, br")
	r.Header.Set("Cookie", "session=0123456789abcdef")
	return &nowhere{make(http.Header)}, r
}

func TestAnOrdinaryRequestAllocatesNothingMore(t *testing.T) {
	bare, with := bareAndWith(t)
	w, r := request("/app")
	b := testing.AllocsPerRun(1000, func() { bare.ServeHTTP(w, r) })
	q := testing.AllocsPerRun(1000, func() { with.ServeHTTP(w, r) })
	if q > b {
		t.Errorf("%v allocations with Middleware, %v with an empty one", q, b)
	}
}

// For a health route the engine is asked, but its routes are not read again.
func TestAHealthAnswerAllocatesNothing(t *testing.T) {
	g, err := core.New(core.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Close() })
	engine := engineWith(ginws.Middleware(g))
	srv := &http.Server{Handler: engine}
	ginws.Attach(g, srv, engine)
	w, r := request("/readyz")
	if n := testing.AllocsPerRun(1000, func() { engine.ServeHTTP(w, r) }); n > 0 {
		t.Errorf("%v allocations for a health answer, want none", n)
	}
}

func BenchmarkMiddleware(b *testing.B) {
	bare, with := bareAndWith(b)
	for name, engine := range map[string]*gin.Engine{"empty": bare, "quietws": with} {
		b.Run(name, func(b *testing.B) {
			w, r := request("/app")
			b.ReportAllocs()
			for b.Loop() {
				engine.ServeHTTP(w, r)
			}
		})
	}
}
