package health

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quietws/quietws/core"
)

// Mistakes seen in health libraries, each tried here on our checker. A row names the
// libraries that make the mistake, and fails on a checker that makes it.
var pitfalls = []struct {
	pitfall string
	seen    string
	try     func(t *testing.T, c *Checker)
}{
	{"a check that hangs stays green for ever", "go-sundheit, InVision go-health, heptiolabs Async",
		func(t *testing.T, c *Checker) {
			h := newHanging(false)
			defer close(h.letGo)
			mustAdd(t, c, Check{Name: "db", Func: h.check, FailAfter: 1000})
			after(0)
			wantReady(t, c, "before it hangs", true)
			h.on.Store(true)
			after(4 * time.Hour)
			wantReady(t, c, "four hours after it began to hang", false)
			wantOutput(t, c, "stale: no result for")
		}},
	{"a hanging check costs another goroutine with each probe or interval", "alexliesenfeld, hellofresh, heptiolabs Timeout, etherlabs",
		func(t *testing.T, c *Checker) {
			h := newHanging(true)
			defer close(h.letGo)
			mustAdd(t, c, Check{Name: "db", Func: h.check, Interval: time.Second})
			after(3 * time.Second)
			before := runtime.NumGoroutine()
			for range 50 {
				probe(c, core.RouteReady)
				after(time.Second)
			}
			if n := runtime.NumGoroutine(); n > before+5 || h.runs.Load() != 1 {
				t.Errorf("%d goroutines, %d before; %d runs in progress, want 1", n, before, h.runs.Load())
			}
		}},
	{"a check that returns after its timeout leaves its goroutine behind", "hellofresh 5.5.4, etherlabs",
		func(t *testing.T, c *Checker) {
			before := runtime.NumGoroutine()
			for i := range 50 {
				mustAdd(t, c, Check{Name: fmt.Sprint("c", i), Timeout: time.Second, Func: func(context.Context) error {
					<-time.After(3 * time.Second)
					return nil
				}})
			}
			after(3500 * time.Millisecond)
			if n := runtime.NumGoroutine(); n > before+10 {
				t.Errorf("%d goroutines, %d before", n, before)
			}
		}},
	{"an impatient prober marks the service down for everyone", "alexliesenfeld",
		func(t *testing.T, c *Checker) {
			ctx, hangUp := context.WithCancel(t.Context())
			mustAdd(t, c, Check{Name: "db", Func: func(ctx context.Context) error {
				select {
				case <-time.After(time.Second):
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			}})
			h, done := guardOf(t, c)
			defer done()
			synctest.Wait()
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, "GET", "/readyz", nil))
			hangUp()
			after(time.Second)
			wantReady(t, c, "for the next prober", true)
		}},
	{"probes queue up behind a slow check", "alexliesenfeld, hellofresh",
		func(t *testing.T, c *Checker) {
			h := newHanging(true)
			defer close(h.letGo)
			mustAdd(t, c, Check{Name: "db", Func: h.check})
			synctest.Wait()
			begun := time.Now()
			var wg sync.WaitGroup
			for range 100 {
				wg.Go(func() { probe(c, core.RouteReady) })
			}
			wg.Wait()
			if d := time.Since(begun); d != 0 {
				t.Errorf("100 probes waited %v", d)
			}
		}},
	{"each probe runs the check, so that probers load the dependency", "hellofresh, dimiro1, etherlabs, nelkinda, tavsec, Fiber's middleware",
		func(t *testing.T, c *Checker) {
			var s switched
			mustAdd(t, c, Check{Name: "db", Func: s.check})
			after(0)
			for range 1000 {
				probe(c, core.RouteReady)
			}
			synctest.Wait()
			if n := s.runs.Load(); n != 1 {
				t.Errorf("%d runs, want 1", n)
			}
		}},
	{"a request waits for ten hanging checks one after the other", "hellofresh, heptiolabs, Kubernetes healthz",
		func(t *testing.T, c *Checker) {
			h := newHanging(true)
			defer close(h.letGo)
			for i := range 10 {
				mustAdd(t, c, Check{Name: fmt.Sprint("c", i), Func: h.check, Timeout: time.Second})
			}
			after(time.Second)
			if got := strings.Count(output(c), "timed out after 1s"); got != 10 {
				t.Errorf("%d of 10 are known to hang after their timeout", got)
			}
		}},
	{"a check's context has no deadline", "hellofresh, heptiolabs, InVision",
		func(t *testing.T, c *Checker) {
			var ended error
			mustAdd(t, c, Check{Name: "db", Timeout: time.Second, Func: func(ctx context.Context) error {
				<-ctx.Done()
				ended = ctx.Err()
				return nil
			}})
			after(time.Second)
			if !errors.Is(ended, context.DeadlineExceeded) {
				t.Errorf("a second later its context says %v", ended)
			}
		}},
	{"a panic in a check ends the process", "hellofresh, go-sundheit, heptiolabs, etherlabs, InVision, tavsec",
		func(t *testing.T, c *Checker) {
			mustAdd(t, c, Check{Name: "db", Func: func(context.Context) error { panic("boom") }})
			after(0)
			wantOutput(t, c, "panic: boom")
		}},
	{"a panic in a listener ends the process", "alexliesenfeld",
		func(t *testing.T, c *Checker) {
			c.config.OnChange = func(Change) { panic("boom") }
			mustAdd(t, c, Check{Name: "db", Func: passes})
			after(0)
			wantReady(t, c, "with a listener that panics", true)
		}},
	{"a listener that calls the checker deadlocks", "alexliesenfeld",
		func(t *testing.T, c *Checker) {
			called := 0
			c.config.OnChange = func(Change) { called++; c.Checks(); c.Remove("other"); probe(c, core.RouteReady) }
			mustAdd(t, c, Check{Name: "db", Func: passes}, Check{Name: "other", Func: passes})
			after(0)
			if called == 0 {
				t.Error("not called")
			}
			wantReady(t, c, "after it", true)
		}},
	{"a listener that blocks holds up the probes", "tavsec",
		func(t *testing.T, c *Checker) {
			letGo := make(chan struct{})
			defer close(letGo)
			c.config.OnChange = func(Change) { <-letGo }
			mustAdd(t, c, Check{Name: "db", Func: fails})
			after(time.Minute)
			wantReady(t, c, "with a listener that blocks", false)
			wantOutput(t, c, "down")
		}},
	{"stopping before the start panics, and so does stopping twice", "alexliesenfeld, InVision",
		func(t *testing.T, c *Checker) {
			for range 3 {
				if err := c.Close(); err != nil {
					t.Error(err)
				}
			}
		}},
	{"removing a check twice while it runs deadlocks the route", "go-sundheit",
		func(t *testing.T, c *Checker) {
			h := newHanging(true)
			defer close(h.letGo)
			mustAdd(t, c, Check{Name: "db", Func: h.check})
			synctest.Wait()
			if !c.Remove("db") || c.Remove("db") {
				t.Error("not removed once")
			}
			wantReady(t, c, "without it", true)
		}},
	{"a name used twice leaks the first check", "go-sundheit, alexliesenfeld, heptiolabs",
		func(t *testing.T, c *Checker) {
			var s switched
			mustAdd(t, c, Check{Name: "db", Func: s.check, Interval: time.Second})
			for range 20 {
				if err := c.Add(Check{Name: "db", Func: fails}); err == nil {
					t.Fatal("it was added")
				}
			}
			after(time.Minute)
			if n := s.runs.Load(); n < 59 || n > 62 {
				t.Errorf("%d runs in a minute, want one a second", n)
			}
		}},
	{"ready before the first result of a check that fails", "InVision",
		func(t *testing.T, c *Checker) {
			mustAdd(t, c, Check{Name: "db", Func: fails, Delay: time.Second})
			wantReady(t, c, "before the first result", false)
		}},
	{"green after the checker was stopped", "InVision",
		func(t *testing.T, c *Checker) {
			mustAdd(t, c, Check{Name: "db", Func: passes})
			after(0)
			c.Close()
			wantReady(t, c, "after Close", false)
		}},
	{"adding a check while another hangs blocks the liveness route", "heptiolabs",
		func(t *testing.T, c *Checker) {
			h := newHanging(true)
			defer close(h.letGo)
			mustAdd(t, c, Check{Name: "db", Func: h.check})
			synctest.Wait()
			begun := time.Now()
			mustAdd(t, c, Check{Name: "more", Func: passes})
			wantCodes(t, c, "live", 200)
			if d := time.Since(begun); d != 0 {
				t.Errorf("it took %v", d)
			}
		}},
	{"a dependency that is down makes liveness fail, and the platform restarts every replica", "kube-apiserver, mozmeao infra 660",
		func(t *testing.T, c *Checker) {
			mustAdd(t, c, Check{Name: "db", Func: fails}, Check{Name: "init", Kind: Startup, Func: fails})
			after(time.Hour)
			wantCodes(t, c, "dependencies away", 200, 503, 503, 200)
		}},
	{"200 and pass although a check fails", "nelkinda",
		func(t *testing.T, c *Checker) {
			mustAdd(t, c, Check{Name: "db", Func: fails})
			after(0)
			if rep, _ := readReport(t, c, core.RouteReady, ""); rep.Status != "fail" || probe(c, core.RouteReady) != 503 {
				t.Errorf("the report says %s", rep.Status)
			}
		}},
	{"error texts are shown to everyone", "hellofresh, alexliesenfeld, etherlabs, go-sundheit, InVision, healthz of Kubernetes by check",
		func(t *testing.T, c *Checker) {
			mustAdd(t, c, Check{Name: "secretdb", Func: func(context.Context) error { return errors.New("secret: no such user") }})
			after(0)
			h, done := guardOf(t, c)
			defer done()
			for _, path := range []string{"/readyz", "/readyz?verbose", "/readyz?verbose&exclude=secretdb", "/healthz?verbose", "/livez?full=1"} {
				for _, accept := range []string{"", "application/health+json"} {
					r := httptest.NewRequest("GET", path, nil) // as if from a local proxy
					r.RemoteAddr = "127.0.0.1:5555"
					r.Header.Set("Accept", accept)
					w := httptest.NewRecorder()
					if h.ServeHTTP(w, r); strings.Contains(w.Body.String(), "secret") {
						t.Errorf("%s shows %s", path, w.Body)
					}
				}
			}
		}},
	{"HEAD and OPTIONS are 404 or 405, and what is no question is answered", "Fiber, heptiolabs, tavsec",
		func(t *testing.T, c *Checker) {
			h, done := guardOf(t, c)
			defer done()
			for method, want := range map[string]int{"GET": 200, "HEAD": 200, "OPTIONS": 200, "POST": 405, "DELETE": 405} {
				w := httptest.NewRecorder()
				h.ServeHTTP(w, httptest.NewRequest(method, "/readyz", nil))
				if w.Code != want || w.Header().Get("Cache-Control") != "no-store" || (want == 405) != (w.Header().Get("Allow") == "GET, HEAD, OPTIONS") ||
					w.Header().Get("Set-Cookie") != "" || w.Header().Get("Location") != "" || (method == "HEAD") != (w.Body.Len() == 0) {
					t.Errorf("%s: %d %v %q", method, w.Code, w.Header(), w.Body)
				}
			}
		}},
	{"the body changes without a change of state, and is gossiped and stored each time", "Consul, aspnetcore 2583",
		func(t *testing.T, c *Checker) {
			mustAdd(t, c, Check{Name: "db", Func: fails}, Check{Name: "ok", Func: passes})
			after(0)
			first, _ := c.Answer(core.HealthQuery{Route: core.RouteReady, Head: ask{}})
			after(time.Hour)
			if next, _ := c.Answer(core.HealthQuery{Route: core.RouteReady, Head: ask{}}); next.Body != first.Body {
				t.Errorf("%q became %q", first.Body, next.Body)
			}
		}},
	{"a misspelled exclude has an effect", "Kubernetes healthz",
		func(t *testing.T, c *Checker) {
			mustAdd(t, c, Check{Name: "db", Func: fails}, Check{Name: "ok", Func: passes})
			after(0)
			a, _ := c.Answer(core.HealthQuery{Route: core.RouteReady, Details: true, Head: ask{query: "exclude=bd"}})
			if rep, _ := readReport(t, c, core.RouteReady, "exclude=bd"); a.Status != 503 || len(rep.Notes) != 1 {
				t.Errorf("answered %d, noted %q", a.Status, rep.Notes)
			}
		}},
	{"a report longer than the kubelet reads", "kubelet: maxRespBodyLength",
		func(t *testing.T, c *Checker) {
			for i := range 250 {
				mustAdd(t, c, Check{Name: fmt.Sprint("check-", i), Func: func(context.Context) error { return errors.New(strings.Repeat("x", 5000)) }})
			}
			after(0)
			if _, size := readReport(t, c, core.RouteReady, ""); size >= 10_000 {
				t.Errorf("%d bytes", size)
			}
		}},
}

func TestPitfalls(t *testing.T) {
	for _, row := range pitfalls {
		t.Run(row.pitfall, func(t *testing.T) {
			bubble(t, Config{}, func(t *testing.T, c *Checker) {
				defer func() {
					if t.Failed() {
						t.Logf("seen in %s", row.seen)
					}
				}()
				row.try(t, c)
			})
		})
	}
}

// probe requests a route like any client.
func probe(c *Checker, r core.Route) (status int) {
	a, _ := c.Answer(core.HealthQuery{Route: r, Head: ask{}})
	return a.Status
}

// guardOf is c behind a guard that shows details to no one.
func guardOf(t *testing.T, c *Checker) (h http.Handler, done func()) {
	t.Helper()
	g, err := core.New(core.Config{Health: c, Logger: c.config.Logger})
	if err != nil {
		t.Fatal(err)
	}
	return g.Wrap(http.NewServeMux()), func() { _ = g.Close() }
}
