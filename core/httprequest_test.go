package core

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/conn"
	"github.com/quietws/quietws/core/internal/conn/conntest"
	"github.com/quietws/quietws/internal/plainws"
)

// contained calls a handler of a WebSocket route like a layer around it.
func contained(q *HTTPRequest, handler func() error) (err error) {
	defer func() {
		if q.Contain(recover()) {
			err = nil
		}
	}()
	return q.Finish(handler())
}

// What a layer makes of the ways in which a WebSocket handler can end: what it returns,
// what is logged, and what the connection was.
func TestContainAndFinish(t *testing.T) {
	failed := errors.New("the handler's")
	closed := plainws.CloseError{Code: 1008}
	upgrade := func(w http.ResponseWriter) io.ReadWriteCloser {
		nc, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(nc, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
		return nc
	}
	for _, row := range []struct {
		rule    string
		handler func(http.ResponseWriter) error
		err     error // what the layer returns
		panics  any   // what it panics with
		class   event.Class
		reason  event.Reason
		status  int
		end     string
		code    int
	}{
		{rule: "an error before an answer goes to the framework", handler: func(http.ResponseWriter) error { return failed },
			err: failed, class: event.HandshakeRefused, reason: event.ReasonApplication, status: 418},
		{rule: "an error after an answer does not", handler: func(w http.ResponseWriter) error { w.WriteHeader(403); return failed },
			class: event.HandshakeRefused, reason: event.ReasonApplication, status: 403},
		{rule: "answered 5xx", handler: func(w http.ResponseWriter) error { w.WriteHeader(500); return nil },
			class: event.UpgradeFailed, reason: event.ReasonServerError, status: 500},
		{rule: "answered 101, but the hijack failed", handler: func(w http.ResponseWriter) error { w.WriteHeader(101); return failed },
			class: event.UpgradeFailed, reason: event.ReasonHijackFailed, status: 101},
		{rule: "returned without an answer, so net/http answers 200", handler: func(http.ResponseWriter) error { return nil },
			class: event.HandshakeRefused, reason: event.ReasonApplication, status: 200},
		{rule: "a panic before the hijack goes on", handler: func(http.ResponseWriter) error { panic(failed) },
			panics: failed, class: event.HandlerPanic},
		{rule: "a session that ended well", handler: func(w http.ResponseWriter) error { return upgrade(w).Close() },
			class: event.SessionEnded, status: 101, end: "ended"},
		{rule: "a session's error is its end", handler: func(w http.ResponseWriter) error { _ = upgrade(w).Close(); return closed },
			class: event.SessionEnded, status: 101, end: "closed", code: 1008},
		{rule: "a session that its handler left open", handler: func(w http.ResponseWriter) error { upgrade(w); return failed },
			class: event.SessionEnded, status: 101, end: "ended"},
		{rule: "a panic after the hijack is contained", handler: func(w http.ResponseWriter) error { upgrade(w); panic(failed) },
			class: event.HandlerPanic, status: 101},
		{rule: "http.ErrAbortHandler after the hijack closes, and is not a fault", handler: func(w http.ResponseWriter) error { upgrade(w); panic(http.ErrAbortHandler) },
			class: event.SessionEnded, status: 101, end: "ended"},
		{rule: "a panic after the hijack, and a deferred close", handler: func(w http.ResponseWriter) error {
			nc := upgrade(w)
			defer func() { _ = nc.Close() }()
			panic(failed)
		}, class: event.HandlerPanic, status: 101},
		{rule: "hijacked, and no byte written", handler: func(w http.ResponseWriter) error {
			nc, _, _ := w.(http.Hijacker).Hijack()
			return errors.Join(nc.Close(), failed)
		}, class: event.UpgradeFailed, reason: event.ReasonNothingWritten},
	} {
		t.Run(row.rule, func(t *testing.T) {
			events := new(book)
			g := quietGuard(t, Config{Observe: events.observe})
			nc := &conntest.Script{Addr: conntest.TCPAddr("10.0.0.9:4711")}
			c := watched(g, nc)
			g.watch.Conns.Index(c)
			r := handshake(peerAt("10.0.0.9:4711"))
			a := g.Adapter()
			q := a.AtEndpoint(r, "/ws", nil)
			w, _ := q.Wrap(handed{ResponseRecorder: httptest.NewRecorder(), nc: c}, r)
			var err error
			panicked := func() (v any) {
				defer func() { v = recover() }()
				err = contained(&q, func() error { return row.handler(w) })
				return nil
			}()
			if panicked != row.panics || err != row.err {
				t.Errorf("the layer returned %v and panicked with %v, want %v and %v", err, panicked, row.err, row.panics)
			}
			if err != nil {
				w.WriteHeader(row.status) // as a framework's error handler does
			}
			if row.class == event.SessionEnded || row.class == event.HandlerPanic && row.panics == nil {
				if open := !c.Saw(conn.Closed); open != strings.Contains(row.rule, "left open") {
					t.Errorf("the connection is open: %v", open)
				}
			}
			_ = c.Close()
			got := events.of(t, g, row.class)
			if len(got) != 1 || got[0].Reason != row.reason || row.status != 0 && row.class != event.HandlerPanic && got[0].Status != row.status {
				t.Fatalf("%+v, want one %v/%v with %d", got, row.class, row.reason, row.status)
			}
			if e := got[0]; e.Session.End != row.end || e.Session.Code != row.code || e.Path != "/ws" || e.Remote.String() != "10.0.0.9:4711" {
				t.Errorf("%+v", e)
			}
			if e := got[0]; row.class == event.HandlerPanic && (!isPanic(e.Panic, failed) || len(e.Stack) == 0) {
				t.Errorf("the panic is logged as %v with a stack of %d bytes", e.Panic, len(e.Stack))
			}
			for _, other := range event.Classes() {
				for _, e := range events.of(t, g, other) {
					// The end of the session is logged too, at Debug.
					if other != row.class && e.Session.End != "panic" {
						t.Errorf("logged as %v as well", other)
					}
				}
			}
			if s := g.Snapshot(); s.Closed[row.class] != 1 || s.Open != 0 || s.SessionsOpen != 0 {
				t.Errorf("counted %v", s.Closed)
			}
		})
	}
}

// A handler that leaves by runtime.Goexit, such as t.FailNow, ends its request like one
// that returns.
func TestContainGoexit(t *testing.T) {
	g := quietGuard(t, Config{})
	c := watched(g, &conntest.Script{Addr: conntest.TCPAddr("10.0.0.9:4711")})
	g.watch.Conns.Index(c)
	left := make(chan struct{})
	go func() {
		defer close(left)
		q := g.Adapter().AtEndpoint(handshake(peerAt("10.0.0.9:4711")), "/ws", nil)
		_ = contained(&q, func() error { runtime.Goexit(); return nil })
	}()
	<-left
	_ = c.Close()
	if s := g.Snapshot(); s.Open != 0 || s.Closed[event.UpgradeFailed] != 1 {
		t.Errorf("%v, %d open: the outcome is unknown, and unknown is loud", s.Closed, s.Open)
	}
}

// The context of Session ends with the connection, whichever side ended it, and has all
// values of the request's context.
func TestSessionContext(t *testing.T) {
	type key struct{}
	for _, row := range []struct {
		rule string
		conn *conntest.Script
		end  func(*conn.Conn)
	}{
		{"closed by this server", &conntest.Script{}, func(c *conn.Conn) { _ = c.Close() }},
		{"a readFrom failed", &conntest.Script{Reads: []conntest.Step{{Data: "", Err: io.EOF}}}, readFrom},
		{"a writeTo failed", &conntest.Script{Writes: []conntest.Step{{Data: "", Err: io.ErrClosedPipe}}}, writeTo},
		{"closed before Session was called", &conntest.Script{}, nil},
	} {
		g, _ := newGuardAndLog(t, Config{}, slog.LevelError)
		row.conn.Addr = conntest.TCPAddr("10.0.0.9:4711")
		c := watched(g, row.conn)
		g.watch.Conns.Index(c)
		r := handshake(peerAt("10.0.0.9:4711"))
		r = r.WithContext(context.WithValue(r.Context(), key{}, "the application's"))
		q := g.Adapter().AtEndpoint(r, "/ws", &Origins{Any: true})
		if ctx, s := q.Session(r.Context()); ctx != r.Context() || s != nil {
			t.Errorf("%s: a session before the hijack", row.rule)
		}
		w, r := q.Wrap(handed{ResponseRecorder: httptest.NewRecorder(), nc: c}, r)
		if _, _, err := w.(http.Hijacker).Hijack(); err != nil {
			t.Fatal(err)
		}
		if row.end == nil {
			_ = c.Close()
		}
		ctx, s := q.Session(r.Context())
		if s == nil || s != SessionOf(ctx) || ctx.Value(key{}) != "the application's" {
			t.Errorf("%s: the context leads to session %v and value %v", row.rule, SessionOf(ctx), ctx.Value(key{}))
		}
		if row.end != nil {
			if ctx.Err() != nil {
				t.Errorf("%s: ended before: %v", row.rule, ctx.Err())
			}
			row.end(c)
		}
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Second):
			t.Errorf("%s: the context did not end", row.rule)
		}
		if cause := context.Cause(ctx); cause != errSessionEnded {
			t.Errorf("%s: because of %v", row.rule, cause)
		}
		_ = c.Close()
		q.Done(0, nil)
	}
}

// Routers without patterns remove what they have matched: r.URL.Path = rest. The health
// route is still the one that was requested.
func TestWrapPathThatTheApplicationRewrites(t *testing.T) {
	for path, want := range map[string]int{"/livez": 200, "/readyz": 503, "/startupz": 200, "/healthz": 503} {
		for _, status := range []int{401, 403, 404, 405, 200, 500} {
			for _, rewritten := range []string{"", "/", "/livez", "/elsewhere"} {
				g := quietGuard(t, Config{})
				h := g.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					r.URL.Path = rewritten
					w.WriteHeader(status)
				}))
				g.ending.draining.Store(true) // so that the routes answer differently
				w := httptest.NewRecorder()
				h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
				want := want
				if status == 200 || status == 500 {
					want = status // the application's
				}
				if w.Code != want {
					t.Errorf("%s that became %q and was answered %d: %d, want %d", path, rewritten, status, w.Code, want)
				}
			}
		}
	}
}

// A handler that takes a connection over and cannot answer, because its client is gone,
// has not failed. One that does not try has.
func TestUpgradeWithoutAClient(t *testing.T) {
	for _, row := range []struct {
		rule  string
		write conntest.Step
		class event.Class
	}{
		{"the client had reset", conntest.Step{Data: "", Err: syscall.ECONNRESET}, event.HTTP},
		{"the client had closed", conntest.Step{Data: "", Err: syscall.EPIPE}, event.HTTP},
		{"the write took too long", conntest.Step{Data: "", Err: os.ErrDeadlineExceeded}, event.UpgradeFailed},
	} {
		g := quietGuard(t, Config{})
		c := watched(g, &conntest.Script{Addr: conntest.TCPAddr("10.0.0.9:4711"), Writes: []conntest.Step{row.write}})
		g.watch.Conns.Index(c)
		r := handshake(peerAt("10.0.0.9:4711"))
		q := g.Adapter().AtEndpoint(r, "/ws", nil)
		w, _ := q.Wrap(handed{ResponseRecorder: httptest.NewRecorder(), nc: c}, r)
		err := contained(&q, func() error {
			nc, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				return err
			}
			_, err = io.WriteString(nc, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
			return errors.Join(err, nc.Close())
		})
		_ = c.Close()
		s := g.Snapshot()
		if s.Closed[row.class] != 1 || s.SessionsOpen != 0 {
			t.Errorf("%s: counted %v, want a %v; %v", row.rule, s.Closed, row.class, err)
		}
	}
}

// isPanic reports whether a logged panic is one with err.
func isPanic(logged any, err error) bool {
	is, _ := logged.(error)
	return errors.Is(is, err)
}

// A panic on a route of Endpoint is one line, whether or not the request could have been
// a handshake.
func TestPanicAtEndpointIsLoggedOnce(t *testing.T) {
	for _, s := range stands4[2:] {
		for _, method := range []string{"GET", "POST"} {
			for _, asks := range []string{"", "Upgrade: websocket\r\n"} {
				var logged atomic.Int64
				g := quietGuard(t, Config{Observe: func(e event.Event) {
					if e.Class == event.HandlerPanic {
						logged.Add(1)
					}
				}})
				srv := &http.Server{Handler: g.Endpoint(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("boom") }))}
				heard(t, s.serve(t, g, srv), method+" /ws HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n"+asks+"Connection: close\r\n\r\n")
				if err := g.Close(); err != nil {
					t.Error(err)
				}
				if n := logged.Load(); n != 1 {
					t.Errorf("%s, %s %q: logged %d times", s.name, method, asks, n)
				}
			}
		}
	}
}
