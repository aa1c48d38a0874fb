package coretest

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/probetest"
)

// nilError is an error that holds a nil pointer.
type nilError struct{ cause error }

func (e *nilError) Error() string { return "coretest: a nil pointer in an error" }
func (e *nilError) Unwrap() error { return e.cause }

// curious is a Health that takes a snapshot of the guard for each answer, and whose Checks
// panic.
type curious struct{ guard atomic.Pointer[core.Guard] }

func (c *curious) Answer(core.HealthQuery) (core.Answer, bool) {
	if g := c.guard.Load(); g != nil && g.Snapshot().SessionsOpen > 900 {
		return core.Answer{Status: 503}, true
	}
	return core.Answer{}, false
}

func (c *curious) Checks() []core.CheckStatus { panic(PanicText) }

// held is a Health that blocks readiness until it is released.
type held struct{ free chan struct{} }

func (h *held) Answer(q core.HealthQuery) (core.Answer, bool) {
	if q.Route == core.RouteReady {
		<-h.free
	}
	return core.Answer{}, false
}

// userRows: user code that recurses, panics or blocks.
func userRows() []row {
	var state sync.Map // of each row, by its log
	return []row{{
		name: "user/health looks at the guard", layers: everywhere,
		rule: "Config.Health may look at Guard.Snapshot, and a panic of its Checks is logged and contained",
		config: func(c *core.Config) {
			h := new(curious)
			state.Store(c.Logger.Handler(), h)
			c.Health = h
		},
		run: func(e *env) {
			h, _ := state.LoadAndDelete(slog.Handler(e.log))
			h.(*curious).guard.Store(e.guard)
			e.get("/readyz", 200, "ok\n")
			e.scenario("health-kubelet", 2)
			if s := e.guard.Snapshot(); !s.Ready || s.Checks != nil {
				e.Errorf("ready %t, checks %v", s.Ready, s.Checks)
			}
			e.get("/app", 200, "app")
			e.close()
			n := 0
			for _, l := range e.log.all() {
				if l.attrs["callback"] == "Health.Checks" && l.attrs["panic"] != "" {
					n++
				}
			}
			if n != 1 {
				e.Errorf("%d lines about the panic, want 1", n)
			}
		},
	}, {
		name: "user/health blocks", layers: everywhere,
		rule: "a Config.Health that blocks delays only its own request, and not the next scrape",
		config: func(c *core.Config) {
			h := &held{make(chan struct{})}
			state.Store(c.Logger.Handler(), h.free)
			c.Health = h
		},
		run: func(e *env) {
			v, _ := state.LoadAndDelete(slog.Handler(e.log))
			free := sync.OnceFunc(func() { close(v.(chan struct{})) })
			e.Cleanup(free)
			var held sync.WaitGroup
			e.opened++
			held.Go(func() {
				if res, err := probetest.Do(e.ctx, e.target, probetest.Curl("/readyz")); err != nil || res.Status != 200 {
					e.Errorf("the held one is answered %d, %v", res.Status, err)
				}
			})
			held.Go(func() { e.guard.Snapshot() })
			e.get("/livez", 200, "ok\n")
			e.get("/app", 200, "app")
			s := e.open("/ws")
			e.echo(s, "hello")
			if _, err := s.Close(e.ctx, 1000); err != nil {
				e.Error(err)
			}
			free()
			held.Wait()
		},
	}, {
		name: "user/nil error", layers: everywhere, sees: []kind{{class: event.SessionEnded}},
		rule: "a session that ends with a nil pointer in an error, whose methods panic, ends with an error: 1011",
		run: func(e *env) {
			s := e.open("/ws/nil-error")
			if f, err := s.Read(e.ctx); err != nil || f.Code() != 1011 {
				e.Errorf("the session got %v and code %d, want a close frame of 1011", err, f.Code())
			}
			if _, err := s.Close(e.ctx, 1011); err != nil {
				e.Error(err)
			}
			e.until("the session has ended", func() bool { return len(e.events.of(event.SessionEnded)) == 1 })
			e.get("/app", 200, "app")
			e.close()
			if logged := e.log.logged(); len(logged) > 0 {
				e.Errorf("logged: %v", logged[0])
			}
		},
	}, {
		name: "user/endpoint around the application", layers: everywhere, app: App{EndpointAround: true},
		sees: []kind{{event.HandshakeRefused, event.ReasonNoRoute}},
		rule: "an Endpoint around the whole application makes no handshake of a request without a route: one line says where it belongs",
		run: func(e *env) {
			for range 3 {
				e.get("/favicon.ico", 404, "")
				e.get("/app", 200, "app")
			}
			e.do(probetest.WebSocket("/nowhere"))
			s := e.open("/own")
			e.echo(s, "hello")
			if _, err := s.Close(e.ctx, 1000); err != nil {
				e.Error(err)
			}
			e.close()
			n := 0
			for _, l := range e.log.all() {
				if l.level >= slog.LevelWarn && l.attrs["reason"] != "no_route" {
					if n++; l.msg != "Endpoint is around the application" || l.attrs["remedy"] == "" {
						e.Errorf("%v", l)
					}
				}
			}
			if n != 1 {
				e.Errorf("%d lines say where Endpoint belongs, want 1", n)
			}
		},
	}, {
		name: "user/observer drains", layers: everywhere, sees: []kind{{class: event.SessionEnded}, {event.HandshakeRefused, event.ReasonBadKey}},
		rule: "Config.Observe may call the guard's methods, such as Snapshot and Drain",
		config: func(c *core.Config) {
			guard, observe := new(atomic.Pointer[core.Guard]), c.Observe
			state.Store(c.Logger.Handler(), guard)
			c.Observe = func(ev event.Event) {
				if g := guard.Load(); g != nil && ev.Class == event.HandshakeRefused {
					_, _ = g.Drain(context.Background())
				} else if g != nil {
					g.Snapshot()
				}
				observe(ev)
			}
		},
		run: func(e *env) {
			v, _ := state.LoadAndDelete(slog.Handler(e.log))
			v.(*atomic.Pointer[core.Guard]).Store(e.guard)
			s := e.open("/ws")
			e.echo(s, "hello")
			e.scenario("handshake-bad-key", 1)
			if f, err := s.Read(e.ctx); err != nil || f.Code() != 1001 {
				e.Errorf("the session got %v and code %d, want a close frame of 1001", err, f.Code())
			}
			if _, err := s.Close(e.ctx, 1001); err != nil {
				e.Error(err)
			}
		},
	}}
}
