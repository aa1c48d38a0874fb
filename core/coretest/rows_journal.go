package coretest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/probetest"
)

// stuck is a slog.Handler that blocks until it is released.
type stuck struct {
	slog.Handler
	free chan struct{}
}

func (s *stuck) Handle(ctx context.Context, r slog.Record) error {
	<-s.free
	return s.Handler.Handle(ctx, r)
}

// busy does what an application usually gets, and checks that all of it is answered.
func (e *env) busy() {
	e.Helper()
	for range 3 {
		s := e.open("/ws")
		e.echo(s, "hello")
		if _, err := s.Close(e.ctx, 1000); err != nil {
			e.Error(err)
		}
		for _, name := range []string{"tcp-connect-fin", "health-kubelet", "handshake-bad-key", "handshake-no-upgrade", "request-cut-fin"} {
			e.scenario(name, 2)
		}
		e.get("/app", 200, "app")
	}
	e.settled()
}

// journalRows: what is logged, what is observed, and what that may cost.
func journalRows() []row {
	// Each row has its own, because rows run at the same time and more than once.
	var blocked, watched sync.Map
	return []row{{
		name: "journal/logger blocks", layers: everywhere,
		rule: "a logger that blocks for ever holds up no connection",
		config: func(c *core.Config) {
			s := &stuck{c.Logger.Handler(), make(chan struct{})}
			blocked.Store(c.Logger.Handler(), s.free)
			c.Logger = slog.New(s)
		},
		run: func(e *env) {
			e.busy()
			free, _ := blocked.LoadAndDelete(slog.Handler(e.log))
			close(free.(chan struct{}))
		},
	}, {
		name: "journal/observer blocks", layers: []Layer{Serve, Middleware},
		rule: "an observer that blocks for ever holds up no connection",
		config: func(c *core.Config) {
			free, observe := make(chan struct{}), c.Observe
			watched.Store(c.Logger.Handler(), free)
			c.Observe = func(ev event.Event) { <-free; observe(ev) }
		},
		run: func(e *env) {
			e.busy()
			free, _ := watched.LoadAndDelete(slog.Handler(e.log))
			close(free.(chan struct{}))
		},
	}, {
		name: "journal/observer panics", layers: []Layer{Serve}, unheard: true,
		rule:   "a panic of the observer is logged and contained",
		config: func(c *core.Config) { c.Observe = func(event.Event) { panic(PanicText) } },
		run: func(e *env) {
			e.busy()
			e.close()
			n := 0
			for _, l := range e.log.all() {
				if l.level == slog.LevelError && l.attrs["panic"] != "" {
					n++
				}
			}
			if n != 1 {
				e.Errorf("%d lines about the panic, want 1", n)
			}
		},
	}, {
		name: "journal/window", layers: []Layer{Serve},
		rule:   "the first failure is logged at once and the repeats in one line when the window ends, without Close",
		config: func(c *core.Config) { c.Collapse = 300 * time.Millisecond },
		run: func(e *env) {
			e.scenario("handshake-bad-key", 1)
			e.until("the first is logged", func() bool { return len(e.log.logged()) == 1 })
			// On a busy machine a window may end before its first repeat.
			e.until("repeats are logged", func() bool {
				e.scenario("handshake-bad-key", 2)
				return slices.ContainsFunc(e.log.logged(), func(l line) bool { return l.attrs["count"] != "" && l.attrs["remedy"] != "" })
			})
		},
	}, {
		name: "journal/typed errors", layers: everywhere,
		rule: "Config.Observe gets a typed error for each refused handshake, with status, reason and field",
		run: func(e *env) {
			e.scenario("handshake-bad-key", 1)
			e.until("it is observed", func() bool { return len(e.events.list()) == 1 })
			var h *event.HandshakeError
			if ev := e.events.list()[0]; !errors.As(ev.Err, &h) || h.Status != 400 || h.Reason != event.ReasonBadKey || h.Field == "" {
				e.Errorf("event %s", describe(ev))
			}
		},
	}, {
		name: "journal/limit", layers: everywhere, sees: []kind{{event.HandshakeRefused, event.ReasonSaturated}},
		rule:   "above Config.MaxSessions a handshake is refused with 503 and Retry-After, and a session that ends makes room",
		config: func(c *core.Config) { c.MaxSessions = 1 },
		run: func(e *env) {
			s := e.open("/ws")
			e.echo(s, "hello")
			res := e.do(probetest.WebSocket("/own"))
			if after, err := strconv.Atoi(res.Header.Get("Retry-After")); res.Status != 503 || err != nil || after < 1 {
				e.Errorf("answered %d with Retry-After %q", res.Status, res.Header.Get("Retry-After"))
			}
			e.until("it is logged", func() bool { return len(e.log.logged()) == 1 })
			e.attrs(e.log.logged()[0], refused(event.ReasonSaturated, 503))
			e.until("it is observed", func() bool { return len(e.events.of(event.HandshakeRefused)) == 1 })
			if ev := e.events.of(event.HandshakeRefused)[0]; !errors.Is(ev.Err, event.ErrSaturated) {
				e.Errorf("event %s", describe(ev))
			}
			if _, err := s.Close(e.ctx, 1000); err != nil {
				e.Error(err)
			}
			free := func() { e.until("its place is free", func() bool { return e.guard.Snapshot().SessionsOpen == 0 }) }
			free()
			e.scenario("handshake-valid", 1)
			free()
			e.do(probetest.WebSocket("/fail")) // takes a place and gives it back
			e.scenario("handshake-valid", 1)
			e.until("all sessions have ended", func() bool { return len(e.events.of(event.SessionEnded)) == 3 })
		},
	}, {
		name: "journal/observe only", layers: everywhere,
		rule:   "with Config.ObserveOnly the guard counts and explains, but answers and refuses no request",
		config: func(c *core.Config) { c.ObserveOnly, c.MaxSessions = true, 1 },
		run: func(e *env) {
			bare := e.bare()
			for _, r := range []probetest.Request{
				probetest.Kubelet("/readyz"), probetest.ALB("/own"), probetest.HTTP10("/own"), probetest.TwoKeys("/fail"), probetest.PlainGet("/own"),
			} {
				if got, want := e.do(r), bare.do(r); got.Status != want.Status {
					e.Errorf("%s: answered %d, without quietws %d", r.Path, got.Status, want.Status)
				}
			}
			one, two := e.open("/own"), e.open("/own")
			e.echo(one, "one")
			e.echo(two, "two")
			for _, s := range []*probetest.Session{one, two} {
				if _, err := s.Close(e.ctx, 1000); err != nil {
					e.Error(err)
				}
			}
			e.close()
			if len(e.log.logged()) == 0 {
				e.Error("no line")
			}
		},
	}, {
		name: "journal/words outlive the request", layers: []Layer{Serve, Middleware}, sees: []kind{{event.HandshakeRefused, event.ReasonBadKey}},
		rule: "the log has the text of the request, even if the server has reused its memory since",
		config: func(c *core.Config) {
			free, observe := make(chan struct{}), c.Observe
			watched.Store(c.Logger.Handler(), free)
			c.Observe = func(ev event.Event) { <-free; observe(ev) }
		},
		run: func(e *env) {
			agent := probetest.Field{Name: "User-Agent", Value: "a client with a name"}
			e.do(probetest.BadKey("/own?first").With(agent))
			for range 20 {
				e.do(probetest.BadKey("/ws?x1234567890").With(probetest.Field{Name: "User-Agent", Value: strings.Repeat("z", len(agent.Value))}))
				e.do(probetest.Request{Method: "PUT", Path: "/app"})
			}
			free, _ := watched.LoadAndDelete(slog.Handler(e.log))
			close(free.(chan struct{}))
			e.close()
			list := e.events.of(event.HandshakeRefused)
			if len(list) != 21 {
				e.Fatalf("%d events, want 21", len(list))
			}
			for i, ev := range list {
				path := "/ws"
				if i == 0 {
					path = "/own"
				}
				if ev.Method != "GET" || ev.Path != path {
					e.Errorf("event %d says %s %s, want GET %s", i, ev.Method, ev.Path, path)
				}
			}
		},
	}, {
		name: "journal/all at once", layers: everywhere,
		rule: "each of many requests at once is counted once",
		run: func(e *env) {
			names := []string{"tcp-connect-fin", "tcp-connect-rst", "health-kubelet", "handshake-valid", "handshake-bad-key", "request-cut-fin", "session-vanish-rst", "junk-bad-host"}
			const rounds = 4
			var wg sync.WaitGroup
			for _, name := range names {
				s, _ := probetest.Find(name)
				for range rounds {
					wg.Go(func() {
						ctx, cancel := contextWithPatience()
						defer cancel()
						if _, err := s.Run(ctx, e.target); err != nil {
							e.Errorf("%s: %v", name, err)
						}
					})
				}
			}
			wg.Wait()
			e.opened += rounds * len(names)
			e.until("the sessions have ended", func() bool { return len(e.events.of(event.SessionEnded)) == 2*rounds })
		},
	}, {
		name: "journal/cut anywhere", layers: exactly,
		rule: "a request cut after any byte ends in a class and one event, and is never echoed",
		run: func(e *env) {
			raw := probetest.WebSocket("/ws").With(probetest.Field{Name: "X-Secret", Value: "s3cr3t"}).Bytes(e.target)
			for n := range len(raw) {
				e.times(1, func(ctx context.Context, t probetest.Target) (probetest.Result, error) {
					return probetest.Cut(ctx, t, raw, n, probetest.FIN)
				})
			}
			e.close()
			for _, ev := range e.events.list() {
				switch ev.Class {
				case event.TCPProbe, event.TLSProbe, event.BadRequest, event.HTTP, event.HandshakeRefused:
				default:
					e.Errorf("event %s", describe(ev))
				}
			}
			if got := len(e.events.list()); got != len(raw) {
				e.Errorf("%d events for %d connections", got, len(raw))
			}
		},
	}, {
		name: "journal/split anywhere", layers: []Layer{Serve, Middleware},
		rule: "a handshake that arrives in two parts, cut after any byte, is the same session",
		run: func(e *env) {
			raw := probetest.WebSocket("/ws").Bytes(e.target)
			n := 0
			for cut := 1; cut < len(raw); cut += 5 {
				c := e.dial()
				n++
				var got []byte
				_, err := c.Write(raw[:cut])
				for rest := raw[cut:]; err == nil && !bytes.Contains(got, []byte("\r\n\r\n")); rest = nil {
					if _, err = c.Write(rest); err == nil {
						buf := make([]byte, 4096)
						n, readErr := c.Read(buf)
						got, err = append(got, buf[:n]...), readErr
					}
				}
				if err != nil || !bytes.HasPrefix(got, []byte("HTTP/1.1 101 ")) {
					e.Fatalf("cut at %d: answered %q, %v", cut, got, err)
				}
				if _, err = c.Write(probetest.CloseFrame(1000, "").Bytes()); err == nil {
					_, err = io.Copy(io.Discard, c)
				}
				if err != nil {
					e.Errorf("cut at %d: %v", cut, err)
				}
				_ = c.Close()
			}
			e.became(Want{Class: event.SessionEnded, Status: 101, end: "closed", code: 1000}, n)
		},
	}}
}
