package core

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
)

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
	waitClosed(t, g)
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
