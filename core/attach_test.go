package core

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/conn/conntest"
	"github.com/quietws/quietws/core/internal/journal/logtest"
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
		g.Attach(srv)
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
	if s := g.Snapshot(); s.Accepted != 2 || s.Closed[event.HTTP] != 1 || s.Closed[event.HandlerPanic] != 1 {
		t.Errorf("accepted %d, closed %v", s.Accepted, s.Closed)
	}
}

// A user may set ConnState and ConnContext after Attach as well as before: both are
// called, and the guard still learns everything that it learns from them.
func TestAttachBeforeTheUsersHooks(t *testing.T) {
	for _, s := range stands4[2:] {
		for _, row := range []struct {
			rule                   string
			connState, connContext bool
		}{{"ConnState", true, false}, {"ConnContext", false, true}, {"both", true, true}} {
			t.Run(row.rule+"/"+s.name, func(t *testing.T) {
				g := quietGuard(t, Config{})
				var states, contexts atomic.Int64
				srv := &http.Server{Handler: http.NotFoundHandler()}
				g.Attach(srv)
				if row.connState {
					srv.ConnState = func(_ net.Conn, state http.ConnState) {
						if state == http.StateNew {
							states.Add(1)
						}
					}
				}
				if row.connContext {
					srv.ConnContext = func(ctx context.Context, _ net.Conn) context.Context { contexts.Add(1); return ctx }
				}
				address := s.serve(t, g, srv)
				for range 3 {
					heard(t, address, lastGET)
				}
				waitClosed(t, g)
				if n := g.Snapshot().Closed[event.HTTP]; n != 3 {
					t.Errorf("three requests on a connection each: %d of class http, %v", n, g.Snapshot().Closed)
				}
				if n := states.Load(); row.connState != (n == 3) {
					t.Errorf("the user's ConnState was called for %d new connections", n)
				}
				if n := contexts.Load(); row.connContext != (n == 3) {
					t.Errorf("the user's ConnContext was called %d times", n)
				}
			})
		}
	}
}

// A server with two attached guards serves as before, and one of them logs an error,
// whichever of them watches the listener.
func TestAttachTwoGuards(t *testing.T) {
	type key struct{}
	for _, row := range []string{"the first listens", "the second listens", "neither listens", "both listen"} {
		t.Run(row, func(t *testing.T) {
			first, firstLog := newGuardAndLog(t, Config{}, slog.LevelWarn)
			second, secondLog := newGuardAndLog(t, Config{}, slog.LevelWarn)
			srv := &http.Server{ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = fmt.Fprint(w, "asked ", r.Context().Value(key{})) // for what no context of the chain has
			})}
			first.Attach(srv)
			second.Attach(srv)
			address := served(t, srv, func(ln net.Listener) net.Listener {
				switch row {
				case "the first listens":
					return first.Listener(ln)
				case "the second listens":
					return second.Listener(ln)
				case "neither listens":
					return ln
				}
				return first.Listener(second.Listener(ln))
			})
			if got := heard(t, address, lastGET); !strings.Contains(got, "asked <nil>") {
				t.Errorf("answered %q", got)
			}
			waitClosed(t, first)
			waitClosed(t, second)
			logtest.WantMessages(t, "the first logs nothing", linesLoggedBy(t, first, firstLog))
			logtest.WantMessages(t, "the second guard is logged as one too many", linesLoggedBy(t, second, secondLog),
				"the server is already attached to another guard")
		})
	}
}

// OPTIONS * is a question about health. It is answered at least as well as the bare
// server answers it. A request that also asks to upgrade gets the bare server's answer.
func TestAttachKeepsOptionsStar(t *testing.T) {
	date := func(answer string) string {
		head, rest, _ := strings.Cut(answer, "Date: ")
		_, rest, _ = strings.Cut(rest, "\r\n")
		return head + rest
	}
	bare := served(t, &http.Server{Handler: http.NewServeMux()}, func(ln net.Listener) net.Listener { return ln })
	for _, s := range stands4[2:] {
		for who, row := range map[string]struct {
			lines string
			class event.Class
		}{
			"anybody":        {"", event.HTTPProbe},
			"a known prober": {"User-Agent: kube-probe/1.30\r\n", event.HTTPProbe},
			"with a key":     {"Sec-WebSocket-Key: " + goodKey + "\r\n", event.HTTP},
			"a handshake's":  {"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + goodKey + "\r\n", event.HTTP},
		} {
			g := quietGuard(t, Config{})
			address := s.serve(t, g, &http.Server{Handler: http.NewServeMux()})
			question := "OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + row.lines + "\r\n"
			want, got := date(heard(t, bare, question)), date(heard(t, address, question))
			if got != want && row.class == event.HTTP || !strings.HasPrefix(got, "HTTP/1.1 200 ") {
				t.Errorf("%s, %s: answered %q, by the bare server %q", s.name, who, got, want)
			}
			waitClosed(t, g)
			if n := g.Snapshot().Closed[row.class]; n != 1 {
				t.Errorf("%s, %s: %v, want %v", s.name, who, g.Snapshot().Closed, row.class)
			}
			if row.class == event.HTTP {
				continue
			}
			drained(t, g)
			if got := heard(t, address, question); !strings.HasPrefix(got, "HTTP/1.1 503 ") {
				t.Errorf("%s, %s: answered %q while draining", s.name, who, got)
			}
		}
	}
}

// On a server that speaks HTTP/2 without TLS, the HTTP/2 preface is not the wrong
// protocol, even from a peer that sends only that and leaves.
func TestAttachUnencryptedHTTP2(t *testing.T) {
	const preface, settings = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	for _, s := range stands4[2:] {
		for _, row := range []struct {
			rule, sent string
			speaks     bool // HTTP/2
		}{
			{"an HTTP/1 server: the wrong protocol", preface + settings, false},
			{"the preface, then it leaves", preface, true},
			{"the preface and settings, then it leaves", preface + settings, true},
		} {
			t.Run(row.rule+"/"+s.name, func(t *testing.T) {
				g := quietGuard(t, Config{})
				srv := &http.Server{Handler: http.NotFoundHandler(), Protocols: new(http.Protocols)}
				srv.Protocols.SetHTTP1(true)
				srv.Protocols.SetUnencryptedHTTP2(row.speaks)
				address := s.serve(t, g, srv)
				dialed(t, address, func(c net.Conn) {
					_, _ = io.WriteString(c, row.sent)
					_, _ = c.Read(make([]byte, 9)) // its settings, or its refusal
				})
				waitClosed(t, g)
				closed := g.Snapshot().Closed
				if got := closed[event.WrongProtocol] == 1; got == row.speaks || g.Snapshot().Accepted != 1 {
					t.Errorf("%v", closed)
				}
			})
		}
	}
}

// ConnContext and ConnState get the same connection as without the guard: a hook that
// asks a unix socket for the peer's credentials finds *net.UnixConn.
func TestHooksGetTheirConnection(t *testing.T) {
	for _, secure := range []bool{false, true} {
		g := quietGuard(t, Config{})
		dir, err := os.MkdirTemp("", "ws") // the path of a socket must be short
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = os.RemoveAll(dir) }()
		ln, err := net.Listen("unix", filepath.Join(dir, "s"))
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		got := make(map[string]net.Conn)
		note := func(hook string, nc net.Conn) {
			mu.Lock()
			defer mu.Unlock()
			got[hook] = nc
		}
		srv := &http.Server{
			Handler:     http.NotFoundHandler(),
			ConnContext: func(ctx context.Context, nc net.Conn) context.Context { note("ConnContext", nc); return ctx },
			ConnState:   func(nc net.Conn, _ http.ConnState) { note("ConnState", nc) },
		}
		g.Attach(srv)
		top := g.Listener(ln)
		if secure {
			top = g.TLSListener(ln, conntest.TLS(t))
		}
		served := make(chan struct{})
		go func() {
			defer close(served)
			_ = srv.Serve(top)
		}()
		c, err := net.Dial("unix", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if secure {
			c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
		}
		_, _ = io.WriteString(c, "GET / HTTP/1.0\r\n\r\n")
		_, _ = io.Copy(io.Discard, c)
		_ = c.Close()
		_ = srv.Close()
		<-served
		waitClosed(t, g)
		if got["ConnContext"] == nil || got["ConnContext"] != got["ConnState"] {
			t.Errorf("ConnContext got %T, ConnState %T", got["ConnContext"], got["ConnState"])
		}
		switch nc := got["ConnContext"].(type) {
		case *net.UnixConn:
			if secure {
				t.Error("TLS is not seen")
			}
		case *tls.Conn:
			raw, ok := nc.NetConn().(interface{ NetConn() net.Conn })
			if !ok || !secure {
				t.Fatalf("over TLS the guard's connection is a %T", nc.NetConn())
			}
			if _, unix := raw.NetConn().(*net.UnixConn); !unix {
				t.Errorf("below it is a %T", raw.NetConn())
			}
		default:
			t.Errorf("secure %v: a %T", secure, nc)
		}
	}
}
