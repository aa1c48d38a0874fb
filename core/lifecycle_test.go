package core

import (
	"io"
	"log"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/usererror"
)

// A stand is one way to watch a server.
type stand struct {
	name             string
	attached, listen bool
}

var stands4 = []stand{
	{"Wrap", false, false}, {"Wrap and Listener", false, true}, {"Attach", true, false}, {"Attach and Listener", true, true},
}

// serve serves srv until the end of the test and returns its address.
func (s stand) serve(t *testing.T, g *Guard, srv *http.Server) (address string) {
	t.Helper()
	if srv.ErrorLog == nil {
		srv.ErrorLog = log.New(io.Discard, "", 0)
	}
	if s.attached {
		g.Attach(srv)
	} else {
		srv.Handler = g.Wrap(srv.Handler)
	}
	return served(t, srv, func(ln net.Listener) net.Listener {
		if s.listen {
			return g.Listener(ln)
		}
		return ln
	})
}

// served serves srv on the listener that listen returns.
func served(t *testing.T, srv *http.Server, listen func(net.Listener) net.Listener) (address string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(listen(ln))
	}()
	t.Cleanup(func() {
		_ = srv.Close()
		<-done
	})
	return ln.Addr().String()
}

// asIs returns a listener unchanged.
func asIs(ln net.Listener) net.Listener { return ln }

// heard sends text and returns everything until the server closes.
func heard(t *testing.T, address, text string) (answer string) {
	t.Helper()
	dialed(t, address, func(c net.Conn) {
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = io.WriteString(c, text)
		p, err := io.ReadAll(c)
		if usererror.IsTimeout(err) {
			t.Errorf("the server has not closed; it answered %q", p)
		}
		answer = string(p)
	})
	return answer
}

const (
	lastGET   = "GET /app HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
	answer101 = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
)

// hijackWith is a handler that takes the connection, writes, and closes it.
func hijackWith(t *testing.T, before func(), written string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		before()
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Errorf("Hijack: %v", err)
			return
		}
		_, _ = io.WriteString(c, written)
		_ = c.Close()
	})
}

// hijackable are requests that can leave HTTP, of every kind that the guard
// distinguishes.
var hijackable = []struct {
	name, sent string
	class      event.Class // if the connection is watched
	ordinary   bool        // not judged
}{
	{"an ordinary request", "GET /app HTTP/1.1\r\nHost: a\r\n\r\n", event.Hijacked, true},
	{"CONNECT", "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", event.Hijacked, true},
	{"an HTTP/2 preface, as h2c takes it", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", event.Hijacked, false},
	{"a known prober's", "GET /app HTTP/1.1\r\nHost: a\r\nUser-Agent: kube-probe/1.30\r\n\r\n", event.Hijacked, false},
	{"a default health route's", "GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n", event.Hijacked, false},
	{"a handshake", upgradeGET, event.SessionEnded, false},
}

// atRest waits until no connection and no session is open, and no slot is taken.
func atRest(t *testing.T, g *Guard) {
	t.Helper()
	waitClosed(t, g)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for late := time.After(10 * time.Second); ; {
		s, places := g.Snapshot(), g.slots.taken.Load()
		if s.Open == 0 && s.SessionsOpen == 0 && places == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("after ten seconds %d connections and %d sessions are open, and %d places taken", s.Open, s.SessionsOpen, places)
		}
	}
}

// A connection that left HTTP gets its class when it is closed, and leaves no state
// behind, however the server is watched.
func TestHijackLeavesNothingBehind(t *testing.T) {
	for _, s := range stands4 {
		for _, row := range hijackable {
			t.Run(row.name+"/"+s.name, func(t *testing.T) {
				g := quietGuard(t, Config{MaxSessions: 1})
				address := s.serve(t, g, &http.Server{Handler: hijackWith(t, func() {}, answer101)})
				for range 2 {
					if got := heard(t, address, row.sent); got != answer101 {
						t.Errorf("answered %q", got)
					}
					atRest(t, g)
				}
				want := row.class
				if row.ordinary && !s.attached {
					want = event.HTTP // its hijack is not seen
				}
				if s.listen && g.Snapshot().Closed[want] != 2 {
					t.Errorf("%v, want %v", g.Snapshot().Closed, want)
				}
			})
		}
	}
}

// A server may be closed while a handler is about to hijack. Then the connection is
// closed before it is known to have left HTTP.
func TestHijackOfAConnectionThatIsClosed(t *testing.T) {
	for _, s := range stands4 {
		for _, row := range hijackable {
			t.Run(row.name+"/"+s.name, func(t *testing.T) {
				g := quietGuard(t, Config{MaxSessions: 1})
				srv := new(http.Server)
				over := make(chan struct{})
				h := hijackWith(t, func() { _ = srv.Close() }, answer101)
				srv.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					defer close(over)
					h.ServeHTTP(w, r)
				})
				heard(t, s.serve(t, g, srv), row.sent)
				<-over
				atRest(t, g)
			})
		}
	}
}

// A handler that leaves by runtime.Goexit, as a failing assertion does, ends its request:
// neither its connection nor its place among Config.MaxSessions stays behind.
func TestGoexitEndsTheRequest(t *testing.T) {
	for _, s := range stands4 {
		for _, row := range hijackable {
			for _, endpoint := range []bool{false, true} {
				name := row.name + "/" + s.name
				if endpoint {
					name += "/Endpoint"
				}
				t.Run(name, func(t *testing.T) {
					g := quietGuard(t, Config{MaxSessions: 1})
					var asked atomic.Int64
					h := http.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
						asked.Add(1)
						runtime.Goexit()
					}))
					if endpoint {
						h = g.Endpoint(h)
					}
					address := s.serve(t, g, &http.Server{Handler: h})
					for range 2 {
						if got := heard(t, address, strings.Replace(row.sent, "\r\nHost", "\r\nConnection: close\r\nHost", 1)); strings.Contains(got, " 503 ") {
							t.Errorf("the second was answered %q", got)
						}
						atRest(t, g)
					}
					if asked.Load() != 2 {
						t.Errorf("the handler was asked %d times", asked.Load())
					}
				})
			}
		}
	}
}
