package core

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"

	"github.com/quietws/quietws/core/internal/conn"
)

// What the guard costs for every request and every connection. Times are benchmarks, to
// be compared with the bare row of the same run; allocations and sizes are tests.

func quietGuard(t testing.TB, c Config) *Guard {
	t.Helper()
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	g, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	return g
}

// browserRequest is a request as a browser makes it.
func browserRequest(path string) *http.Request {
	r := httptest.NewRequest("GET", path, nil)
	r.RemoteAddr = "192.0.2.7:51423"
	for name, value := range map[string]string{
		"User-Agent":      "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36",
		"Accept":          "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
		"Accept-Language": "en-GB,en;q=0.7", "Accept-Encoding": "gzip, deflate, br",
		"Connection": "keep-alive", "Cookie": "session=0123456789abcdef0123456789abcdef",
		"Referer": "https://example.com/app", "Cache-Control": "no-cache",
	} {
		r.Header.Set(name, value)
	}
	return r
}

// onConn returns r as it arrives on a watched connection of an attached server,
// with its contexts nested as net/http nests them.
func onConn(t testing.TB, g *Guard, r *http.Request) *http.Request {
	c := watched(g, deadConn{})
	ctx := connected(context.Background(), g.attach(c, &conn.Source{Watch: g.watch}))
	ctx, cancelConn := context.WithCancel(context.WithValue(ctx, http.LocalAddrContextKey, net.Addr(nil)))
	ctx, cancelRequest := context.WithCancel(ctx)
	t.Cleanup(func() { cancelRequest(); cancelConn() })
	return r.WithContext(ctx)
}

// deadConn is a connection that is never read.
type deadConn struct{ net.Conn }

func (deadConn) RemoteAddr() net.Addr { return nil }
func (deadConn) Close() error         { return nil }

// discard is a ResponseWriter that keeps nothing.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header               { return d.header }
func (d *discard) Write(p []byte) (int, error)       { return len(p), nil }
func (d *discard) WriteString(s string) (int, error) { return len(s), nil }
func (d *discard) WriteHeader(int)                   {}
func (d *discard) Flush()                            {}

var nothing = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})

func TestOrdinaryRequestAllocatesNothing(t *testing.T) {
	g := quietGuard(t, Config{})
	h, w := g.Wrap(nothing), &discard{make(http.Header)}
	for name, r := range map[string]*http.Request{
		"on a watched connection": onConn(t, g, browserRequest("/app")),
		"on an unknown one":       browserRequest("/app"),
	} {
		if n := testing.AllocsPerRun(1000, func() { h.ServeHTTP(w, r) }); n != 0 {
			t.Errorf("an ordinary request %s: %v allocations, want 0", name, n)
		}
	}
}

func TestHealthAnswerAllocatesNothing(t *testing.T) {
	g := quietGuard(t, Config{Routes: Routes{Live: "/livez"}})
	mux := http.NewServeMux()
	h := g.Wrap(mux)
	for _, path := range []string{"/livez", "/readyz"} {
		w, r := &discard{make(http.Header, 8)}, onConn(t, g, browserRequest(path))
		h.ServeHTTP(w, r) // the first request, which makes the header's map
		if n := testing.AllocsPerRun(1000, func() { h.ServeHTTP(w, r) }); n != 0 {
			t.Errorf("a health answer on %s: %v allocations, want 0", path, n)
		}
	}
}

func BenchmarkOrdinary(b *testing.B) {
	g := quietGuard(b, Config{})
	w := &discard{make(http.Header)}
	for _, row := range []struct {
		name string
		h    http.Handler
		r    *http.Request
	}{
		{"bare", nothing, browserRequest("/app")},
		{"bare with context", nothing, onConn(b, g, browserRequest("/app"))},
		{"wrapped", g.Wrap(nothing), onConn(b, g, browserRequest("/app"))},
	} {
		b.Run(row.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				row.h.ServeHTTP(w, row.r)
			}
		})
	}
}

func BenchmarkHealthAnswer(b *testing.B) {
	g := quietGuard(b, Config{})
	body := textAnswer(200, "ok\n")
	bare := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { writeAnswer(w, r, &body) })
	for _, row := range []struct {
		name string
		h    http.Handler
	}{{"bare", bare}, {"quietws", g.Wrap(http.NewServeMux())}} {
		b.Run(row.name, func(b *testing.B) {
			w, r := &discard{make(http.Header, 8)}, onConn(b, g, browserRequest("/readyz"))
			b.ReportAllocs()
			for b.Loop() {
				row.h.ServeHTTP(w, r)
			}
		})
	}
}

func BenchmarkConnection(b *testing.B) {
	g := quietGuard(b, Config{})
	b.Run("accept and close", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			c := watched(g, deadConn{})
			_ = c.Close()
		}
	})
	b.Run("read", func(b *testing.B) {
		c := watched(g, zeros{})
		p := make([]byte, 512)
		for b.Loop() {
			_, _ = c.Read(p)
		}
	})
	b.Run("write", func(b *testing.B) {
		c := watched(g, zeros{})
		p := []byte("HTTP/1.1 200 OK\r\n\r\n")
		for b.Loop() {
			_, _ = c.Write(p)
		}
	})
}

// What is shared between connections, the counters and the tables, used by one goroutine,
// by two and by many.
func BenchmarkContention(b *testing.B) {
	g := quietGuard(b, Config{})
	h := g.Wrap(nothing)
	for _, row := range []struct {
		name  string
		start func(*testing.B) (do func())
	}{
		{"connection", func(*testing.B) func() { return func() { _ = watched(g, deadConn{}).Close() } }},
		{"request", func(b *testing.B) func() {
			w, r := &discard{make(http.Header)}, onConn(b, g, browserRequest("/app"))
			return func() { h.ServeHTTP(w, r) }
		}},
	} {
		for _, goroutines := range []int{1, 2, 64} {
			b.Run(row.name+"/"+strconv.Itoa(goroutines), func(b *testing.B) {
				ready := make([]func(), goroutines)
				for i := range ready {
					ready[i] = row.start(b)
				}
				b.ResetTimer()
				var wg sync.WaitGroup
				for i, do := range ready {
					wg.Go(func() {
						for range b.N/goroutines + map[bool]int{true: 1}[i < b.N%goroutines] {
							do()
						}
					})
				}
				wg.Wait()
			})
		}
	}
}

// zeros is a connection that never ends.
type zeros struct{ deadConn }

func (zeros) Read(p []byte) (int, error)  { return len(p), nil }
func (zeros) Write(p []byte) (int, error) { return len(p), nil }
