package health

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/quietws/quietws/core"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ask has the parts of a request that health reads.
type ask struct{ query, accept string }

func (ask) Method() string         { return "GET" }
func (ask) Path() string           { return "/" }
func (a ask) Query() string        { return a.query }
func (ask) Host() string           { return "" }
func (ask) Proto() string          { return "HTTP/1.1" }
func (ask) Remote() netip.AddrPort { return netip.AddrPort{} }
func (ask) TLS() bool              { return false }
func (a ask) Field(name string) string {
	if name == "Accept" {
		return a.accept
	}
	return ""
}

var errDown = errors.New("down")

func passes(context.Context) error { return nil }
func fails(context.Context) error  { return errDown }

// bubble runs f in synthetic time, with a Checker that discards its log.
func bubble(t *testing.T, config Config, f func(t *testing.T, c *Checker)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		if config.Logger == nil {
			config.Logger = slog.New(slog.DiscardHandler)
		}
		c := New(config)
		// Runs in progress get a minute to return: a bubble waits for all goroutines.
		defer func() { c.Close(); after(time.Minute) }()
		f(t, c)
	})
}

// after lets d pass and waits until all goroutines are idle.
func after(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func mustAdd(t *testing.T, c *Checker, checks ...Check) {
	t.Helper()
	if err := c.Add(checks...); err != nil {
		t.Fatal(err)
	}
}

// wantCodes fails unless live, ready, startup and health answer with these codes.
func wantCodes(t *testing.T, c *Checker, rule string, want ...int) {
	t.Helper()
	for i, code := range want {
		r := core.RouteLive + core.Route(i)
		a, ok := c.Answer(core.HealthQuery{Route: r, Head: ask{}})
		if !ok || a.Status != code {
			t.Errorf("%s: %s answers %d, want %d", rule, r, a.Status, code)
		}
	}
}

func wantReady(t *testing.T, c *Checker, rule string, want bool) {
	t.Helper()
	code := 200
	if !want {
		code = 503
	}
	a, _ := c.Answer(core.HealthQuery{Route: core.RouteReady, Head: ask{}})
	if a.Status != code {
		t.Errorf("%s: ready answers %d, want %d", rule, a.Status, code)
	}
}

// output returns the long ready report.
func output(c *Checker) string {
	a, _ := c.Answer(core.HealthQuery{Route: core.RouteReady, Details: true, Head: ask{query: "verbose"}})
	return a.Body
}

func wantOutput(t *testing.T, c *Checker, want string) {
	t.Helper()
	if got := output(c); !strings.Contains(got, want) {
		t.Errorf("the report is\n%s\nwant %q in it", got, want)
	}
}

// switched is a check that can be turned on and off; it counts its runs.
type switched struct {
	down atomic.Bool
	runs atomic.Int64
}

func (s *switched) check(context.Context) error {
	s.runs.Add(1)
	if s.down.Load() {
		return errDown
	}
	return nil
}

// hanging is a check that, while on, does not return before it is released, even after its
// context is done.
type hanging struct {
	on     atomic.Bool
	runs   atomic.Int64
	letGo  chan struct{}
	result error
}

func newHanging(on bool) *hanging {
	h := &hanging{letGo: make(chan struct{})}
	h.on.Store(on)
	return h
}

func (h *hanging) check(context.Context) error {
	h.runs.Add(1)
	if h.on.Load() {
		<-h.letGo
	}
	return h.result
}
