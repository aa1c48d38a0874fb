package core

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func TestHTTPHead(t *testing.T) {
	r := handshake(with("Connection", "keep-alive", "Upgrade"), with("X-One", "1"), source("[::ffff:192.0.2.1]:4711"))
	r.URL.Path, r.URL.RawQuery, r.Host = "/a b", "x=1&y", "example.com:80"
	h := httpHead{r}
	for name, want := range map[string]string{"Connection": "keep-alive, Upgrade", "X-One": "1", "X-None": "", "Host": "example.com:80"} {
		if got := h.Field(name); got != want {
			t.Errorf("Field(%s) is %q, want %q", name, got, want)
		}
	}
	if h.Path() != "/a b" || h.Query() != "x=1&y" || h.Host() != "example.com:80" || h.Method() != "GET" || h.Proto() != "HTTP/1.1" || h.TLS() {
		t.Errorf("%q %q %q %q %q %v", h.Path(), h.Query(), h.Host(), h.Method(), h.Proto(), h.TLS())
	}
	if h.Remote() != netip.MustParseAddrPort("192.0.2.1:4711") {
		t.Errorf("Remote is %v", h.Remote())
	}
	for _, none := range []string{"", "@", "example.com:80", "192.0.2.1"} {
		r.RemoteAddr = none
		if h.Remote().IsValid() {
			t.Errorf("RemoteAddr %q is %v", none, h.Remote())
		}
	}
	preface, err := http.NewRequest("PRI", "*", nil)
	if err != nil {
		t.Fatal(err)
	}
	preface.RequestURI = "*"
	if h := (httpHead{preface}); h.Path() != "*" {
		t.Errorf("the path of an HTTP/2 preface is %q", h.Path())
	}
}

// A default health path is the application's where it has exactly that route.
func TestMuxOwner(t *testing.T) {
	mux := http.NewServeMux()
	for _, pattern := range []string{"/livez", "GET /readyz", "POST /startupz", "/deep/sub/", "/{key}", "example.org/healthz", "/files/{rest...}"} {
		mux.Handle(pattern, nothing)
	}
	o := &muxOwner{mux: mux, known: make(map[hostPath]bool)}
	for _, row := range []struct {
		rule, host, path string
		want             bool
	}{
		{"an exact pattern", "a", "/livez", true},
		{"an exact pattern for GET", "a", "/readyz", true},
		{"a wildcard", "a", "/anything", false},
		{"an exact pattern for another method", "a", "/startupz", true},
		{"on that host", "example.org", "/healthz", true},
		{"on another host", "a", "/healthz", false},
		{"a subtree's path without its slash: it redirects", "a", "/deep/sub", true},
		{"below a subtree", "a", "/deep/sub/x", false},
		{"nothing", "a", "/x/y", false},
		{"a wildcard of many segments", "a", "/files/x", false},
	} {
		for round := range 2 { // the second is from memory
			owned, asked := o.owns(httpHead{asked("GET", row.path, func(r *http.Request) { r.Host = row.host })})
			if !asked || owned != row.want {
				t.Errorf("%s, round %d: owned %v, asked %v", row.rule, round, owned, asked)
			}
		}
	}
	for i := range 10 * maxHosts {
		o.owns(httpHead{asked("GET", "/livez", func(r *http.Request) { r.Host = fmt.Sprint("host", i) })})
	}
	if len(o.known) > maxHosts {
		t.Errorf("%d hosts are remembered, which are the clients' words", len(o.known))
	}
}

// Attach calls the hooks that were there, and a second Attach does nothing.
func TestAttachChainsHooks(t *testing.T) {
	type key struct{}
	var mu sync.Mutex
	called := make(map[string]int)
	note := func(what string) {
		mu.Lock()
		defer mu.Unlock()
		called[what]++
	}
	var shutdown sync.WaitGroup
	shutdown.Add(1)
	user, book := userLog()
	srv := &http.Server{
		ErrorLog: user,
		BaseContext: func(net.Listener) context.Context {
			note("BaseContext")
			return context.WithValue(context.Background(), key{}, "base")
		},
		ConnContext: func(ctx context.Context, nc net.Conn) context.Context {
			note("ConnContext")
			return context.WithValue(ctx, key{}, ctx.Value(key{}).(string)+" conn")
		},
		ConnState: func(_ net.Conn, s http.ConnState) { note(s.String()) },
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			note("Handler")
			if v := r.Context().Value(key{}); v != "base conn" {
				t.Errorf("the request's context has %v", v)
			}
			if r.Context().Value(http.ServerContextKey) == nil || r.Context().Value(http.LocalAddrContextKey) == nil {
				t.Error("what net/http puts into the context is gone")
			}
			if r.URL.Path == "/panic" {
				panic("the handler's")
			}
		}),
	}
	srv.RegisterOnShutdown(func() { note("OnShutdown"); shutdown.Done() })
	g := quietGuard(t, Config{})
	for range 2 {
		if err := g.Attach(srv); err != nil {
			t.Fatal(err)
		}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(g.Listener(ln)) }()
	for _, path := range []string{"/app", "/panic"} {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		_, _ = io.Copy(io.Discard, c)
		_ = c.Close()
	}
	srv.ErrorLog.Print("a line of the server's own")
	if line := book.next(t, "the user's log"); !strings.Contains(line, "a line of the server's own") {
		t.Errorf("the user's log got %q", line)
	}
	g.conns.waitEmpty(t)
	if err := srv.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	<-served
	shutdown.Wait()
	drained(t, g)
	mu.Lock()
	defer mu.Unlock()
	for what, want := range map[string]int{"BaseContext": 1, "ConnContext": 2, "Handler": 2, "new": 2, "active": 2, "closed": 2, "OnShutdown": 1} {
		if called[what] != want {
			t.Errorf("%s was called %d times, want %d", what, called[what], want)
		}
	}
	if s := g.Snapshot(); s.Accepted != 2 || s.Closed[HTTP] != 1 || s.Closed[HandlerPanic] != 1 {
		t.Errorf("accepted %d, closed %v", s.Accepted, s.Closed)
	}
}

// OPTIONS * is answered as net/http answers it, and by the application where
// that has asked for it.
func TestGeneralOptions(t *testing.T) {
	for _, own := range []bool{false, true} {
		var reached atomic.Bool
		g := quietGuard(t, Config{})
		srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			reached.Store(true)
			w.WriteHeader(http.StatusTeapot)
		}))
		srv.Config.DisableGeneralOptionsHandler = own
		srv.Config.ErrorLog = log.New(io.Discard, "", 0)
		if err := g.Attach(srv.Config); err != nil {
			t.Fatal(err)
		}
		srv.Listener = g.Listener(srv.Listener)
		srv.Start()
		c, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, "OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		answer, _ := io.ReadAll(c)
		_ = c.Close()
		want := "HTTP/1.1 200 OK\r\n"
		if own {
			want = "HTTP/1.1 418 "
		}
		if !strings.HasPrefix(string(answer), want) || reached.Load() != own {
			t.Errorf("the application wants it %v: it was reached %v, answered %q", own, reached.Load(), answer)
		}
		srv.Close()
		g.conns.waitEmpty(t)
		if s := g.Snapshot(); s.Closed[HTTP] != 1 {
			t.Errorf("%v", s.Closed)
		}
	}
}

// A nil handler is the default mux, as in net/http.
func TestWrapNil(t *testing.T) {
	g := quietGuard(t, Config{})
	w := httptest.NewRecorder()
	g.Wrap(nil).ServeHTTP(w, asked("GET", "/nothing/here"))
	if w.Code != http.StatusNotFound {
		t.Errorf("status %d", w.Code)
	}
}
