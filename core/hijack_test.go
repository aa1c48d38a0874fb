package core

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/quietws/quietws/core/internal/conn"
	"github.com/quietws/quietws/core/internal/conn/conntest"
)

// The abilities that a ResponseWriter may have.
type (
	onlyWriter    struct{ http.ResponseWriter }
	flushingOne   struct{ http.ResponseWriter }
	hijackingOne  struct{ http.ResponseWriter }
	bothOne       struct{ http.ResponseWriter }
	unwrappingOne struct {
		http.ResponseWriter
		below http.ResponseWriter
	}
)

var errNotHere = errors.New("no connection here")

func (flushingOne) Flush()                                        {}
func (bothOne) Flush()                                            {}
func (hijackingOne) Hijack() (net.Conn, *bufio.ReadWriter, error) { return nil, nil, errNotHere }
func (bothOne) Hijack() (net.Conn, *bufio.ReadWriter, error)      { return nil, nil, errNotHere }
func (u unwrappingOne) Unwrap() http.ResponseWriter               { return u.below }

// A candidate's ResponseWriter has exactly the abilities of the one below, because
// libraries choose by them.
func TestWriterAbilities(t *testing.T) {
	rec := httptest.NewRecorder
	for _, row := range []struct {
		rule            string
		w               http.ResponseWriter
		flush, hijacked bool
	}{
		{"neither", onlyWriter{rec()}, false, false},
		{"Flush", flushingOne{rec()}, true, false},
		{"Hijack", hijackingOne{rec()}, false, true},
		{"both", bothOne{rec()}, true, true},
		{"Hijack through Unwrap", unwrappingOne{rec(), hijackingOne{rec()}}, false, true},
		{"nothing through Unwrap", unwrappingOne{rec(), onlyWriter{rec()}}, false, false},
	} {
		g := quietGuard(t, Config{})
		r := handshake()
		q := g.Adapter().BeginHTTP(r)
		w, inner := q.Wrap(row.w, r)
		if _, ok := w.(http.Flusher); ok != row.flush {
			t.Errorf("%s: Flusher is %v", row.rule, ok)
		}
		h, ok := w.(http.Hijacker)
		if ok != row.hijacked {
			t.Errorf("%s: Hijacker is %v", row.rule, ok)
		}
		if ok {
			if _, _, err := h.Hijack(); !errors.Is(err, errNotHere) {
				t.Errorf("%s: Hijack says %v", row.rule, err)
			}
		}
		if _, ok := w.(io.StringWriter); !ok {
			t.Errorf("%s: no WriteString", row.rule)
		}
		if u, ok := w.(interface{ Unwrap() http.ResponseWriter }); !ok || u.Unwrap() != row.w {
			t.Errorf("%s: Unwrap does not lead to the one below", row.rule)
		}
		if inner == r || exchangeOf(inner.Context()) == nil || SessionOf(inner.Context()) != nil {
			t.Errorf("%s: the request's context does not lead to the request", row.rule)
		}
		q.Done(500, nil)
	}
}

// handed is a ResponseWriter whose Hijack hands over a connection on which the peer has
// already sent bytes.
type handed struct {
	*httptest.ResponseRecorder
	nc    net.Conn
	early string
}

func (h handed) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	r := bufio.NewReader(io.MultiReader(strings.NewReader(h.early), h.nc))
	_, _ = r.Peek(len(h.early))
	return h.nc, bufio.NewReadWriter(r, bufio.NewWriter(h.nc)), nil
}

// After a hijack there is no response any more: later writes are dropped, but succeed.
func TestWriterAfterHijack(t *testing.T) {
	g := quietGuard(t, Config{})
	below := handed{ResponseRecorder: httptest.NewRecorder(), nc: &conntest.Script{}}
	r := handshake()
	q := g.Adapter().BeginHTTP(r)
	opened := 0
	q.OnOpened(func(int) { opened++ })
	w, r := q.Wrap(below, r)
	q.OnOpened(func(int) { opened++ })
	nc, rw, err := w.(http.Hijacker).Hijack()
	if err != nil {
		t.Fatal(err)
	}
	if SessionOf(r.Context()) == nil {
		t.Error("the request has become a session, and its context does not say so")
	}
	if _, err := rw.WriteString("HTTP/1.1 101 Switching Protocols\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := rw.Flush(); err != nil {
		t.Fatal(err)
	}
	w.WriteHeader(500)
	n, err := w.Write([]byte("abc"))
	m, err2 := io.WriteString(w, "defg")
	if f, ok := w.(http.Flusher); ok {
		f.Flush()
	}
	if n != 3 || m != 4 || err != nil || err2 != nil {
		t.Errorf("a write after the hijack returned %d, %v and %d, %v", n, err, m, err2)
	}
	if below.Body.Len() != 0 || below.Code != 200 || below.Flushed {
		t.Errorf("it reached the response: %d %q", below.Code, below.Body)
	}
	if opened != 1 {
		t.Errorf("the framework was called %d times", opened)
	}
	_ = nc.Close()
	q.Done(0, nil)
	if s := g.Snapshot(); len(s.SessionsEnded) != 1 || s.SessionsOpen != 0 {
		t.Errorf("%+v", s.SessionsEnded)
	}
}

// A connection that was not watched is watched from the hijack on. Bytes that the peer
// sent in the same packet as its handshake are not lost.
func TestHijackKeepsEarlyBytes(t *testing.T) {
	for _, early := range []string{"", "\x81", "\x81\x85\x01\x02\x03\x04hello", strings.Repeat("x", 4096)} {
		g := quietGuard(t, Config{})
		below := handed{httptest.NewRecorder(), &conntest.Script{Reads: []conntest.Step{{Data: "later", Err: io.EOF}}}, early}
		r := handshake()
		q := g.Adapter().BeginHTTP(r)
		w, _ := q.Wrap(below, r)
		nc, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Fatal(err)
		}
		c := conn.Of(nc)
		if c == nil || nc == below.nc {
			t.Fatal("the session's connection is not watched")
		}
		if n := rw.Reader.Buffered(); n != len(early) {
			t.Errorf("%d bytes are buffered, want %d: libraries look for them there", n, len(early))
		}
		got, err := io.ReadAll(rw)
		if err != nil || string(got) != early+"later" {
			t.Errorf("read %q, %v, want %q", got, err, early+"later")
		}
		if n := c.In.Load(); n != int64(len("later")) || !c.PeerGone() {
			t.Errorf("what came after the hijack was not seen: %d bytes, the peer gone %t", n, c.PeerGone())
		}
		_, _ = rw.WriteString("answer")
		_ = rw.Flush()
		if wrote := below.nc.(*conntest.Script).Wrote; !bytes.Equal(wrote, []byte("answer")) || c.Out.Load() != 6 {
			t.Errorf("wrote %q, counted %d", wrote, c.Out.Load())
		}
		_ = nc.Close()
		q.Done(0, nil)
	}
}

// hinted is a recorder that distinguishes a 1xx from an answer.
type hinted struct {
	*httptest.ResponseRecorder
	hints bool
}

func (h *hinted) WriteHeader(status int) {
	if status == http.StatusEarlyHints {
		h.hints = true
		return
	}
	h.ResponseRecorder.WriteHeader(status)
}

// On a default health path where the application cannot be asked, four statuses say that
// it has no such route. Our answer replaces those completely; every other answer stays.
func TestWriterFallback(t *testing.T) {
	g := quietGuard(t, Config{})
	for status, ours := range map[int]bool{401: true, 403: true, 404: true, 405: true, 0: false, 200: false, 204: false, 302: false, 400: false, 500: false, 503: false} {
		h := g.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-App", "1")
			if status != 0 {
				w.WriteHeader(http.StatusEarlyHints) // is not an answer yet
				w.WriteHeader(status)
			}
			_, _ = io.WriteString(w, "the application's")
		}))
		for _, path := range []string{"/readyz", "/app"} {
			w := &hinted{ResponseRecorder: httptest.NewRecorder()}
			h.ServeHTTP(w, asked("GET", path))
			if w.hints != (status != 0) {
				t.Errorf("%s, answered %d: the early hints came through: %v", path, status, w.hints)
			}
			want, body, app := max(status, 200), "the application's", "1"
			if status == 0 {
				want = 200
			}
			if ours && path == "/readyz" {
				want, body, app = 200, "ok\n", ""
			}
			if w.Code != want || w.Body.String() != body || w.Header().Get("X-App") != app {
				t.Errorf("%s, answered %d: became %d %q, X-App %q", path, status, w.Code, w.Body, w.Header().Get("X-App"))
			}
		}
	}
}

// abilities are what handlers ask a ResponseWriter for.
func abilities(w http.ResponseWriter) (has []string) {
	if _, ok := w.(http.Flusher); ok {
		has = append(has, "Flusher")
	}
	if _, ok := w.(http.Hijacker); ok {
		has = append(has, "Hijacker")
	}
	if _, ok := w.(io.StringWriter); ok {
		has = append(has, "StringWriter")
	}
	if _, ok := w.(interface{ CloseNotify() <-chan bool }); ok {
		has = append(has, "CloseNotifier")
	}
	return has
}

// A candidate's ResponseWriter has the abilities of the server's own.
func TestWriterKeepsItsAbilities(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Join(abilities(w), " "))
	})
	for _, http2 := range []bool{false, true} {
		ask := func(handler http.Handler) string {
			protocols := new(http.Protocols)
			protocols.SetHTTP1(!http2)
			protocols.SetUnencryptedHTTP2(http2)
			address := served(t, &http.Server{Handler: handler, Protocols: protocols}, func(ln net.Listener) net.Listener { return ln })
			transport := &http.Transport{Protocols: protocols}
			defer transport.CloseIdleConnections()
			r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+address+"/app", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("User-Agent", "kube-probe/1.30")
			res, err := transport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = res.Body.Close() }()
			p, _ := io.ReadAll(res.Body)
			return string(p)
		}
		want, got := ask(handler), ask(quietGuard(t, Config{}).Wrap(handler))
		if got != want || !strings.Contains(want, "CloseNotifier") {
			t.Errorf("HTTP/2 %v: a candidate's writer is %q, the server's %q", http2, got, want)
		}
	}
}

// A handler that uses CloseNotifier to see whether its client is still there learns that
// it has left.
func TestCloseNotify(t *testing.T) {
	g := quietGuard(t, Config{})
	waiting, asked := make(chan struct{}), make(chan struct{})
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		gone := w.(interface{ CloseNotify() <-chan bool }).CloseNotify()
		close(waiting)
		<-gone
		close(asked)
	})}
	dialed(t, stands4[3].serve(t, g, srv), func(c net.Conn) {
		_, _ = io.WriteString(c, "GET /app HTTP/1.1\r\nHost: a\r\nUser-Agent: kube-probe/1.30\r\n\r\n")
		<-waiting
	})
	<-asked
	waitClosed(t, g)
}
