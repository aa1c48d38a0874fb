package health

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quietws/quietws/core"
)

func TestAddTakesAllOrNone(t *testing.T) {
	many := make([]Check, maxChecks+1)
	for i := range many {
		many[i] = Check{Name: fmt.Sprint("c", i), Func: passes}
	}
	for _, row := range []struct {
		rule   string
		checks []Check
		want   string
	}{
		{"a name in use", []Check{{Name: "new", Func: passes}, {Name: "there", Func: passes}}, `"there": there is one`},
		{"a name twice", []Check{{Name: "a", Func: passes}, {Name: "a", Func: passes}}, `"a": there is one`},
		{"an invalid check", []Check{{Name: "new", Func: passes}, {Name: "b"}}, "Func is nil"},
		{"too many", many, "at most 256"},
	} {
		t.Run(row.rule, func(t *testing.T) {
			bubble(t, Config{}, func(t *testing.T, c *Checker) {
				mustAdd(t, c, Check{Name: "there", Func: passes})
				if err := c.Add(row.checks...); err == nil || !strings.Contains(err.Error(), row.want) {
					t.Errorf("error is %v, want %q", err, row.want)
				}
				if got := c.Checks(); len(got) != 1 || got[0].Name != "there" {
					t.Errorf("the checks are %v, want the one from before", got)
				}
			})
		})
	}
}

func TestAddTakesAsManyAsItSays(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, c *Checker) {
		for i := range maxChecks {
			mustAdd(t, c, Check{Name: fmt.Sprint("c", i), Func: passes})
		}
		after(0)
		wantReady(t, c, "256 checks", true)
		if err := c.Add(Check{Name: "more", Func: passes}); err == nil {
			t.Error("one more was added")
		}
	})
}

func TestRemove(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, c *Checker) {
		if c.Remove("db") {
			t.Error("Remove says there was a check where there was none")
		}
		mustAdd(t, c, Check{Name: "db", Func: fails}, Check{Name: "a", Func: passes}, Check{Name: "z", Func: passes})
		after(0)
		wantReady(t, c, "a failing check", false)
		if !c.Remove("db") {
			t.Error("Remove says there was no check")
		}
		wantReady(t, c, "the failing check removed", true)
		if got := fmt.Sprint(c.Checks()); got != "[{a pass} {z pass}]" {
			t.Errorf("the checks are %s", got)
		}
	})
}

// A run in progress when its check is removed must neither be repeated nor count for a new
// check of the same name.
func TestRemoveWhileRunning(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, c *Checker) {
		h := newHanging(true)
		h.result = errDown
		cancelled := make(chan error, 1)
		mustAdd(t, c, Check{Name: "db", Func: func(ctx context.Context) error {
			context.AfterFunc(ctx, func() { cancelled <- ctx.Err() })
			return h.check(ctx)
		}})
		after(time.Second)
		c.Remove("db")
		mustAdd(t, c, Check{Name: "db", Func: passes})
		synctest.Wait()
		if err := <-cancelled; !errors.Is(err, context.Canceled) {
			t.Errorf("the run's context says %v", err)
		}
		close(h.letGo)
		after(time.Minute)
		wantReady(t, c, "a new check of that name passes", true)
		if n := h.runs.Load(); n != 1 {
			t.Errorf("the removed check ran %d times, want 1", n)
		}
	})
}

func TestChecksMayCallTheChecker(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, c *Checker) {
		mustAdd(t, c, Check{Name: "root", Func: func(context.Context) error {
			c.Answer(core.HealthQuery{Route: core.RouteReady, Head: ask{query: "verbose"}, Details: true})
			c.Checks()
			return errors.Join(c.Add(Check{Name: "leaf", Func: passes}))
		}})
		after(0)
		if got := fmt.Sprint(c.Checks()); got != "[{leaf pass} {root pass}]" {
			t.Errorf("the checks are %s", got)
		}
		mustAdd(t, c, Check{Name: "last", Func: func(context.Context) error {
			c.Remove("last")
			return c.Close()
		}})
		after(0)
		if err := c.Add(Check{Name: "x", Func: passes}); !errors.Is(err, ErrClosed) {
			t.Errorf("Add says %v after a check has closed the checker", err)
		}
	})
}

func TestCloseIsHarmless(t *testing.T) {
	t.Run("never: a checker without checks has nothing to end", func(t *testing.T) {
		wantCodes(t, New(Config{}), "no checks", 200, 200, 200, 200)
	})
	t.Run("before the first use, and twice", func(t *testing.T) {
		bubble(t, Config{}, func(t *testing.T, c *Checker) {
			for range 2 {
				if err := c.Close(); err != nil {
					t.Error(err)
				}
			}
			if err := c.Add(Check{Name: "db", Func: passes}); !errors.Is(err, ErrClosed) {
				t.Errorf("Add says %v, want ErrClosed", err)
			}
			if c.Remove("db") {
				t.Error("Remove found a check")
			}
		})
	})
	t.Run("nothing is green after it", func(t *testing.T) {
		bubble(t, Config{}, func(t *testing.T, c *Checker) {
			var s switched
			mustAdd(t, c, Check{Name: "db", Func: s.check}, Check{Name: "loop", Kind: Live, Func: fails})
			after(0)
			wantCodes(t, c, "before", 503, 200, 200, 200)
			c.Close()
			wantCodes(t, c, "after", 200, 503, 200, 200)
			a, _ := c.Answer(core.HealthQuery{Route: core.RouteReady, Details: true, Head: ask{query: "exclude=db"}})
			if a.Status != 503 {
				t.Errorf("an exclude opens a closed checker: %d", a.Status)
			}
			n := s.runs.Load()
			after(time.Hour)
			if s.runs.Load() != n {
				t.Error("a check ran after Close")
			}
		})
	})
	t.Run("a start that is not over stays so", func(t *testing.T) {
		bubble(t, Config{}, func(t *testing.T, c *Checker) {
			mustAdd(t, c, Check{Name: "init", Kind: Startup, Func: fails})
			c.Close()
			wantCodes(t, c, "after", 200, 503, 503, 200)
		})
	})
	t.Run("it does not wait for a run that hangs", func(t *testing.T) {
		bubble(t, Config{}, func(t *testing.T, c *Checker) {
			h := newHanging(true)
			mustAdd(t, c, Check{Name: "db", Func: h.check})
			after(time.Second)
			began := time.Now()
			c.Close()
			if d := time.Since(began); d != 0 {
				t.Errorf("Close took %v", d)
			}
			close(h.letGo)
			after(time.Hour)
			wantReady(t, c, "a result after Close", false)
		})
	})
}

// All methods run at once, for the race detector. At the end no goroutine may be left.
func TestEverythingAtOnce(t *testing.T) {
	c := New(Config{OnChange: func(Change) {}})
	var wg sync.WaitGroup
	for i := range 4 {
		name := fmt.Sprint("c", i)
		wg.Go(func() {
			for range 200 {
				_ = c.Add(Check{Name: name, Func: passes, Interval: time.Millisecond})
				c.Remove(name)
			}
		})
		wg.Go(func() {
			for range 200 {
				c.Answer(core.HealthQuery{Route: core.RouteReady, Details: true, Head: ask{query: "verbose&exclude=" + name}})
				c.Checks()
			}
		})
	}
	wg.Go(func() { c.Close() })
	wg.Go(func() { c.Close() })
	wg.Wait()
	wantReady(t, c, "closed", false)
}

// A prober that disconnects while a check runs must not fail it.
func TestProberThatHangsUpPoisonsNothing(t *testing.T) {
	c := New(Config{})
	defer c.Close()
	running, letGo := make(chan struct{}), make(chan struct{})
	result := make(chan error, 1)
	mustAdd(t, c, Check{Name: "slow", Timeout: time.Minute, Func: func(ctx context.Context) error {
		close(running)
		<-letGo
		result <- ctx.Err()
		return ctx.Err()
	}})
	asked := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hangs" {
			close(asked)
			<-r.Context().Done()
		}
		a, _ := c.Answer(core.HealthQuery{Route: core.RouteReady, Head: ask{}})
		w.WriteHeader(a.Status)
	}))
	defer server.Close()

	<-running
	ctx, hangUp := context.WithCancel(context.Background())
	go func() { <-asked; hangUp() }()
	req, _ := http.NewRequestWithContext(ctx, "GET", server.URL+"/hangs", nil)
	if res, err := server.Client().Do(req); err == nil {
		res.Body.Close()
		t.Error("the prober did not disconnect")
	}
	close(letGo)
	if err := <-result; err != nil {
		t.Errorf("the check's context says %v", err)
	}
}
