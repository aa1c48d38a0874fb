package coretest

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/probetest"
)

func contextWithPatience() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), patience)
}

// draining runs during while the guard drains and waits for a session of the application's
// own library. It returns the report.
func (e *env) draining(during func()) core.DrainReport {
	e.Helper()
	held := e.open("/bare")
	e.echo(held, "held")
	report := make(chan core.DrainReport, 1)
	go func() {
		r, err := e.guard.Drain(context.Background())
		if err != nil {
			e.Errorf("Drain: %v", err)
		}
		report <- r
	}()
	<-e.guard.Draining()
	during()
	if _, err := held.Close(e.ctx, 1000); err != nil {
		e.Errorf("closing the session that holds up the drain: %v", err)
	}
	return <-report
}

// drainRows: deploys.
func drainRows() []row {
	return append([]row{{
		name: "drain/answers", layers: everywhere,
		rule: "while draining /readyz and /healthz are 503, /livez and /startupz stay 200, and the application goes on",
		run: func(e *env) {
			e.draining(func() {
				for path, status := range map[string]int{"/readyz": 503, "/healthz": 503, "/livez": 200, "/startupz": 200, "/app": 200} {
					e.get(path, status, "")
				}
				if res := e.do(probetest.Kubelet("/readyz")); res.Status != 503 {
					e.Errorf("a prober is answered %d, want 503", res.Status)
				}
				if res := e.do(probetest.ALB("/ws")); res.Status != 503 {
					e.Errorf("a prober on the WebSocket path is answered %d, want 503", res.Status)
				}
			})
			e.close()
			if n := len(e.events.of(event.ProbeFailing)); n > 0 {
				e.Errorf("%d probes count as failing; they got a true answer", n)
			}
			for _, l := range e.log.logged() { // the first probe of each prober
				if l.level > slog.LevelInfo {
					e.Errorf("deploys are not incidents: %v", l)
				}
			}
		},
	}, {
		name: "drain/handshakes", layers: everywhere, sees: []kind{{event.HandshakeRefused, event.ReasonDraining}},
		rule: "while draining handshakes are refused with 503 and Retry-After, before a session is closed, and without a line",
		run: func(e *env) {
			e.draining(func() {
				for _, path := range []string{"/ws", "/own", "/bare"} {
					res := e.do(probetest.WebSocket(path))
					if after, err := strconv.Atoi(res.Header.Get("Retry-After")); res.Status != 503 || err != nil || after < 1 {
						e.Errorf("%s: answered %d with Retry-After %q", path, res.Status, res.Header.Get("Retry-After"))
					}
				}
			})
			e.close()
			refused := e.events.of(event.HandshakeRefused)
			for _, ev := range refused {
				if !errors.Is(ev.Err, event.ErrDraining) || ev.Status != 503 {
					e.Errorf("event %s", describe(ev))
				}
			}
			if len(refused) != 3 {
				e.Errorf("%d events, want 3", len(refused))
			}
			if logged := e.log.logged(); len(logged) > 0 {
				e.Errorf("logged: %v", logged[0])
			}
		},
	}, {
		name: "drain/goodbye", layers: everywhere, needs: EndOfSession, sees: []kind{{class: event.SessionEnded}},
		rule: "every session of Handler gets a close frame of 1001, one with OnDrain its own goodbye, and the drain waits for the peer's answer",
		run: func(e *env) {
			var peers []*probetest.Session
			for _, path := range []string{"/ws", "/own", "/ws", "/own"} {
				s := e.open(path)
				e.echo(s, "hello")
				peers = append(peers, s)
			}
			report := e.draining(func() {
				for _, s := range peers {
					f, err := s.Read(e.ctx)
					if err != nil || f.Code() != 1001 {
						e.Errorf("the session got %v and code %d, want a close frame of 1001", err, f.Code())
					}
					if _, err := s.Close(e.ctx, 1001); err != nil {
						e.Error(err)
					}
				}
			})
			if report.Sessions != 5 || report.Closed != 5 || report.Dropped != 0 || report.Answered < 4 {
				e.Errorf("the report is %+v, want 5 sessions, all closed, at least 4 answered", report)
			}
			e.close()
			for _, ev := range e.events.of(event.SessionEnded) {
				if ev.Path != "/bare" && (ev.Session.Code != 1001 || ev.Session.End != "closed") {
					e.Errorf("event %s", describe(ev))
				}
			}
		},
	}, {
		name: "drain/code", layers: []Layer{Serve},
		rule:   "the sessions get Config.Drain.Code",
		config: func(c *core.Config) { c.Drain.Code = 1012 },
		run: func(e *env) {
			s := e.open("/ws")
			e.echo(s, "hello")
			e.draining(func() {
				if f, err := s.Read(e.ctx); err != nil || f.Code() != 1012 {
					e.Errorf("the session got %v and code %d", err, f.Code())
				}
				_, _ = s.Close(e.ctx, 1012)
			})
		},
	}, {
		name: "drain/deadline", layers: everywhere, needs: EndOfSession, sees: []kind{{class: event.SessionEnded}},
		rule:   "a session that is still open at the deadline is closed and reported as dropped",
		config: func(c *core.Config) { c.Drain.Timeout = 200 * time.Millisecond },
		run: func(e *env) {
			s := e.open("/bare")
			e.echo(s, "hello")
			report, err := e.guard.Drain(e.ctx)
			if err != nil || report.Sessions != 1 || report.Dropped != 1 || report.Closed != 0 {
				e.Errorf("the report is %+v, %v; want one dropped", report, err)
			}
			if _, err := s.Read(e.ctx); err == nil || e.ctx.Err() != nil {
				e.Errorf("the session goes on after the deadline: %v", err)
			}
			_, _ = s.Vanish(probetest.FIN)
			e.until("the session has ended", func() bool { return len(e.events.of(event.SessionEnded)) == 1 })
			if ev := e.events.of(event.SessionEnded)[0]; ev.Session.End != "server" {
				e.Errorf("event %s, want end=server", describe(ev))
			}
		},
	}, {
		name: "drain/shutdown", layers: attached,
		rule: "the server's own shutdown is the drain: a session of Handler gets its goodbye",
		run:  func(e *env) { e.shutDownWith("/ws") },
	}, {
		name: "drain/shutdown, own library", layers: attached, needs: EndOfSession,
		rule: "a session of the application's own library gets the goodbye of its OnDrain",
		run:  func(e *env) { e.shutDownWith("/own") },
	}, {
		name: "drain/http 2", ports: secure, layers: attached, needs: HTTP2,
		rule: "while draining /readyz is 503 over HTTP/2 too, and an idle connection does not hold up the shutdown",
		run: func(e *env) {
			tr := transportOn(e.dial("h2"))
			ask := func(status int) {
				e.Helper()
				req, err := http.NewRequestWithContext(e.ctx, http.MethodGet, "https://"+e.target.Addr+"/readyz", nil)
				if err != nil {
					e.Fatal(err)
				}
				resp, err := tr.RoundTrip(req)
				if err != nil {
					e.Fatal(err)
				}
				if _ = resp.Body.Close(); resp.StatusCode != status || resp.ProtoMajor != 2 {
					e.Errorf("/readyz: %s over %s, want %d", resp.Status, resp.Proto, status)
				}
			}
			ask(200)
			e.draining(func() { ask(503) })
			begin := time.Now()
			e.stop()
			if took := time.Since(begin); took > quickly {
				e.Errorf("the shutdown took %v", took)
			}
		},
	}}, idleRow())
}

// quickly is how long a shutdown may take without a session to wait for. net/http waits 5 s
// for a connection that may be about to send a request.
const quickly = 3 * time.Second

// shutDownWith shuts the server down while a session is open on path.
func (e *env) shutDownWith(path string) {
	e.Helper()
	s := e.open(path)
	e.echo(s, "hello")
	var wg sync.WaitGroup
	wg.Go(e.stop)
	if f, err := s.Read(e.ctx); err != nil || f.Code() != 1001 {
		e.Errorf("the session got %v and code %d, want a close frame of 1001", err, f.Code())
	}
	_, _ = s.Close(e.ctx, 1001)
	wg.Wait()
}

// idleRow: connections that net/http's own Shutdown waits five seconds for, and fasthttp's
// longer.
func idleRow() row {
	return row{
		name: "drain/idle connections", layers: attached, sees: []kind{{event.ServerClosed, event.ReasonDrain}},
		rule: "silent, handshaken and half-headed connections do not hold up the shutdown; they are server_closed, which is not a fault",
		run: func(e *env) {
			raw := func(first []byte) net.Conn {
				secured := e.target
				e.target.TLS = nil
				defer func() { e.target = secured }()
				return e.say(first)
			}
			idle := []net.Conn{raw(nil), e.say(probetest.WebSocket("/ws").Bytes(e.target)[:40])}
			if e.port == secure {
				hello := probetest.ClientHello(e.target)
				idle = append(idle, raw(hello[:len(hello)/2]), e.say(nil))
			}
			// And one that is kept alive after a request.
			kept := e.say(probetest.Request{Path: "/app"}.Bytes(e.target))
			if _, err := kept.Read(make([]byte, 4096)); err != nil {
				e.Fatal(err)
			}
			e.accepted()
			begin := time.Now()
			e.stop()
			if took := time.Since(begin); took > quickly {
				e.Errorf("the shutdown took %v", took)
			}
			for _, c := range idle {
				if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
					e.Error("a connection is still open after the shutdown")
				}
			}
			e.close()
			for _, ev := range e.events.list() {
				if ev.Class != event.ServerClosed || ev.Reason != event.ReasonDrain {
					e.Errorf("event %s", describe(ev))
				}
			}
			if s := e.guard.Snapshot(); s.Closed[event.ServerClosed] != uint64(len(idle)) || s.Closed[event.HTTP] != 1 {
				e.Errorf("classes: %s, want server_closed=%d http=1", nonZero(s.Closed), len(idle))
			}
			if logged := e.log.logged(); len(logged) > 0 {
				e.Errorf("logged: %v", logged[0])
			}
		},
	}
}

// say opens a connection, writes b, and leaves it open until the row ends.
func (e *env) say(b []byte) net.Conn {
	e.Helper()
	c := e.dial()
	e.Cleanup(func() { _ = c.Close() })
	if len(b) > 0 {
		if _, err := c.Write(b); err != nil {
			e.Fatal(err)
		}
	}
	return c
}
