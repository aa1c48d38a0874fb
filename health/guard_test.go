package health

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/probetest"
	"github.com/quietws/quietws/internal/plainws"
)

// guarded is a WebSocket server with a guard around it. The handler fails on
// "/ws?broken".
func guarded(t *testing.T, config core.Config) (g *core.Guard, dial func(query string) (*probetest.Session, int)) {
	t.Helper()
	g, address := guardedAt(t, config)
	return g, func(query string) (*probetest.Session, int) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		c, res, err := probetest.Open(ctx, probetest.Target{Addr: address, Path: "/ws" + query})
		if err == nil {
			t.Cleanup(func() { _, _ = c.Vanish(probetest.FIN) })
		}
		return c, res.Status
	}
}

func guardedAt(t *testing.T, config core.Config) (g *core.Guard, address string) {
	t.Helper()
	config.Logger = slog.New(slog.DiscardHandler)
	g, err := core.New(config)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/page", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "upstream", http.StatusBadGateway) })
	early := &plainws.Options{NotEarly: true}
	mux.Handle("/ws", g.Endpoint(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery == "broken" {
			http.Error(w, "broken", http.StatusInternalServerError)
			return
		}
		if c, err := plainws.Upgrade(w, r, early); err == nil {
			_, _, _ = c.Read()
			_ = c.Close()
		}
	})))
	server := httptest.NewServer(g.Wrap(mux))
	t.Cleanup(func() { server.Close(); _ = g.Close() })
	return g, server.Listener.Addr().String()
}

// until waits for another goroutine.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not happen", what)
		}
		<-time.After(time.Millisecond)
	}
}

func TestSessionsAgainstALimit(t *testing.T) {
	g, dial := guarded(t, core.Config{})
	check := Sessions(g, 2)
	first, _ := dial("")
	if err := check(t.Context()); err != nil {
		t.Errorf("one session, below a limit of 2: %v", err)
	}
	dial("")
	until(t, "the second session", func() bool { return g.Snapshot().SessionsOpen == 2 })
	if err, o := observed(check); describe(err) != "2 sessions, the limit is 2" || o.value != 2 || o.unit != "sessions" {
		t.Errorf("two sessions: %v, observed %v %s", err, o.value, o.unit)
	}
	_, _ = first.Close(t.Context(), 1000)
	until(t, "the end of a session", func() bool { return g.Snapshot().SessionsOpen == 1 })
	if err := check(t.Context()); err != nil {
		t.Errorf("one session again: %v", err)
	}
}

func TestShareOfHandshakesFailing(t *testing.T) {
	g, dial := guarded(t, core.Config{MaxSessions: 3})
	check := Handshakes(g, 0.5, 4)
	// A client gets its answer before the server counts it.
	step := func(rule, want string, handshakes uint64) {
		t.Helper()
		until(t, "the count", func() bool {
			var n uint64
			for _, h := range g.Snapshot().Handshakes {
				n += h.N
			}
			return n == handshakes
		})
		if err := check(t.Context()); describe(err) != want {
			t.Errorf("%s: %v, want %q", rule, err, want)
		}
	}
	step("the first run", "", 0)
	dial("")
	for range 3 {
		dial("?broken")
	}
	step("three of four fail", "3 of 4, the limit is 50 %", 4)
	for range 3 {
		dial("?broken")
	}
	step("too few to judge", "", 7)

	// Handshakes that the full server refuses, and bad ones.
	dial("")
	dial("")
	until(t, "the third session", func() bool { return g.Snapshot().SessionsOpen == 3 })
	for range 20 {
		if _, status := dial(""); status != http.StatusServiceUnavailable {
			t.Fatalf("a handshake above the limit was answered %d", status)
		}
	}
	step("refused handshakes", "", 29)
}

// Clients cannot make the check fail: neither with frames sent before the answer, after
// which libraries close, nor with a handshake for a page that answers 5xx.
func TestHandshakesCountsOwnFaultsAlone(t *testing.T) {
	g, address := guardedAt(t, core.Config{})
	check := Handshakes(g, 0.1, 1)
	early, _ := probetest.Find("handshake-early-data")
	valid, _ := probetest.Find("handshake-valid")
	do := func(s probetest.Scenario, path string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if _, err := s.Run(ctx, probetest.Target{Addr: address, Path: path}); err != nil {
			t.Fatal(err)
		}
	}
	counted := func(reason event.Reason) (n uint64) {
		for _, h := range g.Snapshot().Handshakes {
			if h.Reason == reason && h.Result == "failed" {
				n += h.N
			}
		}
		return n
	}
	if err := check(t.Context()); err != nil {
		t.Error(err)
	}
	for range 5 {
		do(valid, "/page")
		do(early, "/ws")
	}
	until(t, "the count", func() bool {
		return counted(event.ReasonServerError) == 5 && counted(event.ReasonNothingWritten) == 5
	})
	if n := g.Snapshot().HandshakesBroken; n != 0 {
		t.Errorf("%d count as this server's fault", n)
	}
	do(valid, "/ws")
	if err := check(t.Context()); err != nil {
		t.Errorf("clients made the check fail: %v", err)
	}
	do(valid, "/ws?broken")
	until(t, "the count", func() bool { return g.Snapshot().HandshakesBroken == 1 })
	if err := check(t.Context()); err == nil {
		t.Error("a handler that answers 500 does not count")
	}
}

// Readiness follows the limit: the server is not ready before a client is refused, and is
// ready again when there is room.
func TestReadinessFollowsTheSessions(t *testing.T) {
	c := New(Config{Logger: slog.New(slog.DiscardHandler)})
	defer c.Close()
	g, dial := guarded(t, core.Config{Health: c, MaxSessions: 3})
	mustAdd(t, c, Check{Name: "sessions", Func: Sessions(g, 2), Interval: 5 * time.Millisecond})
	until(t, "readiness", func() bool { return g.Snapshot().Ready })
	dial("")
	second, _ := dial("")
	until(t, "the limit", func() bool { return !g.Snapshot().Ready })
	if a, _ := c.Answer(core.HealthQuery{Route: core.RouteLive, Head: ask{}}); a.Status != 200 {
		t.Errorf("live answers %d", a.Status)
	}
	_, _ = second.Vanish(probetest.FIN)
	until(t, "room again", func() bool { return g.Snapshot().Ready })
}

// Without a guard the checks pass.
func TestChecksOfNoGuard(t *testing.T) {
	for _, g := range []Guard{nil, (*core.Guard)(nil)} {
		for name, check := range map[string]func(context.Context) error{
			"Sessions": Sessions(g, 1), "Handshakes": Handshakes(g, 0.1, 1),
		} {
			if err := check(t.Context()); err != nil {
				t.Errorf("%s of %T: %v", name, g, err)
			}
		}
	}
}

// A nil function panics when the check is made, not in each run.
func TestNilFunctions(t *testing.T) {
	for want, make := range map[string]func(){
		"health.Below: nil function":      func() { Below(nil, 1, "") },
		"health.ShareBelow: nil function": func() { ShareBelow(nil, 1, 1) },
		"health.Ping: nil Pinger":         func() { Ping(nil) },
		"health.Reply: nil function":      func() { Reply[interface{ Err() error }](nil) },
	} {
		func() {
			defer func() {
				if got := recover(); got != want {
					t.Errorf("panic %v, want %q", got, want)
				}
			}()
			make()
		}()
	}
}
