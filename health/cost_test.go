//go:build !race

package health

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quietws/quietws/core"
)

// The cost of a health answer in process, through the guard as the outermost layer and with
// three checks, compared with a handler that writes a prebuilt body with the same header
// fields. The race detector distorts both.

// answering returns a guard's outermost layer, with three checks that pass.
func answering(tb testing.TB) http.Handler {
	tb.Helper()
	c := New(Config{Logger: slog.New(slog.DiscardHandler)})
	tb.Cleanup(func() { _ = c.Close() })
	for _, k := range []Check{{Name: "db"}, {Name: "cache", Optional: true}, {Name: "loop", Kind: Live | Ready | Startup}} {
		k.Func, k.Interval = passes, time.Hour
		if err := c.Add(k); err != nil {
			tb.Fatal(err)
		}
	}
	for deadline := time.Now().Add(10 * time.Second); c.snap.Load().routes[core.RouteReady] != Pass; {
		if time.Now().After(deadline) {
			tb.Fatal("the checks do not pass")
		}
		<-time.After(time.Millisecond)
	}
	g, err := core.New(core.Config{Health: c, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = g.Close() })
	return g.Wrap(http.NewServeMux())
}

// prebuilt is the handler to compare with.
var prebuilt = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Length", "3")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(prebuiltBody)
	}
})

var prebuiltBody = []byte("ok\n")

// discard is a ResponseWriter that keeps nothing, the same for every answer.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header               { return d.header }
func (d *discard) Write(p []byte) (int, error)       { return len(p), nil }
func (d *discard) WriteString(s string) (int, error) { return len(s), nil }
func (d *discard) WriteHeader(int)                   {}

// probeOf is a request of the kubelet.
func probeOf(path string) *http.Request {
	r := httptest.NewRequest("GET", path, nil)
	r.RemoteAddr = "10.0.0.7:51423"
	r.Header = http.Header{"User-Agent": {"kube-probe/1.34"}, "Accept": {"*/*"}, "Connection": {"close"}}
	return r
}

func TestHealthAnswerAllocatesNothing(t *testing.T) {
	h := answering(t)
	for _, path := range []string{"/livez", "/readyz", "/startupz", "/healthz"} {
		w, r := &discard{make(http.Header)}, probeOf(path)
		h.ServeHTTP(w, r) // the first probe is logged
		if n := testing.AllocsPerRun(2000, func() { h.ServeHTTP(w, r) }); n != 0 {
			t.Errorf("an answer on %s: %v allocations, want 0", path, n)
		}
	}
}

// ways are how an answer is written: to a discarding ResponseWriter, where the layer weighs
// most, and by net/http's server to a discarding connection.
var ways = []struct {
	name string
	// run makes h answer n times and returns the time for one.
	run func(tb testing.TB, h http.Handler, path string, n int) time.Duration
}{
	{"handler", func(_ testing.TB, h http.Handler, path string, n int) time.Duration {
		var w http.ResponseWriter = &discard{make(http.Header)}
		r := probeOf(path)
		begun := time.Now()
		for range n {
			h.ServeHTTP(w, r)
		}
		return time.Since(begun) / time.Duration(n)
	}},
	{"server", func(tb testing.TB, h http.Handler, path string, n int) time.Duration {
		ln := &oneConn{next: make(chan net.Conn, 1)}
		conn := &asking{request: "GET " + path + " HTTP/1.1\r\nHost: a\r\nUser-Agent: kube-probe/1.34\r\nAccept: */*\r\n\r\n", left: n, closed: make(chan struct{})}
		ln.next <- conn
		srv := &http.Server{Handler: h}
		served := make(chan error, 1)
		begun := time.Now()
		go func() { served <- srv.Serve(ln) }()
		<-conn.closed
		d := time.Since(begun) / time.Duration(n)
		close(ln.next)
		if err := <-served; err != io.EOF || conn.wrong.Load() > 0 {
			tb.Errorf("Serve ended with %v, %d answers were not ok", err, conn.wrong.Load())
		}
		return d
	}},
}

// oneConn is a listener that accepts the connections put into it.
type oneConn struct{ next chan net.Conn }

func (l *oneConn) Accept() (net.Conn, error) {
	if c, ok := <-l.next; ok {
		return c, nil
	}
	return nil, io.EOF
}
func (l *oneConn) Close() error   { return nil }
func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{} }

// asking is a connection that sends the same request a number of times and ends.
type asking struct {
	net.Conn
	request string
	left    int
	rest    string // of the request in hand
	wrong   atomic.Int64
	closed  chan struct{}
}

func (c *asking) Read(p []byte) (int, error) {
	if c.rest == "" {
		if c.left == 0 {
			return 0, io.EOF
		}
		c.left--
		c.rest = c.request
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

func (c *asking) Write(p []byte) (int, error) {
	if !bytes.HasPrefix(p, []byte("HTTP/1.1 200 OK\r\n")) || !bytes.HasSuffix(p, []byte("\r\n\r\nok\n")) {
		c.wrong.Add(1)
	}
	return len(p), nil
}

func (c *asking) Close() error                     { close(c.closed); return nil }
func (c *asking) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(10, 0, 0, 7), Port: 51423} }
func (c *asking) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *asking) SetDeadline(time.Time) error      { return nil }
func (c *asking) SetReadDeadline(time.Time) error  { return nil }
func (c *asking) SetWriteDeadline(time.Time) error { return nil }

// Through the guard an answer of net/http's server allocates no more than the prebuilt
// handler. The benchmark measures the time; a test of it would fail on a busy machine.
func TestHealthAnswerCosts(t *testing.T) {
	h := answering(t)
	const each = 1000
	for _, way := range ways {
		for _, path := range []string{"/livez", "/readyz"} {
			floor := testing.AllocsPerRun(3, func() { way.run(t, prebuilt, path, each) }) / each
			got := testing.AllocsPerRun(3, func() { way.run(t, h, path, each) }) / each
			t.Logf("%s %s: %.2f allocations, of the prebuilt handler %.2f", way.name, path, got, floor)
			if got > floor+0.1 {
				t.Errorf("%s: an answer on %s takes %.2f allocations, of the prebuilt handler %.2f", way.name, path, got, floor)
			}
		}
	}
}

func BenchmarkHealthAnswer(b *testing.B) {
	h := answering(b)
	for _, way := range ways {
		for _, path := range []string{"/livez", "/readyz"} {
			b.Run(way.name+path, func(b *testing.B) {
				var sum, floor time.Duration
				const each = 1000
				for b.Loop() {
					floor += way.run(b, prebuilt, path, each)
					sum += way.run(b, h, path, each)
				}
				b.ReportMetric(float64(sum)/float64(b.N), "ns/answer")
				b.ReportMetric(float64(floor)/float64(b.N), "ns/prebuilt")
				b.ReportMetric(float64(sum)/float64(floor), "ratio")
			})
		}
	}
}
