package health

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quietws/quietws/core"
)

// A check that hangs costs one goroutine, delays no other check and no route, and fails at
// its timeout.
func TestHangingCheckHoldsNothing(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, c *Checker) {
		h := newHanging(true)
		defer close(h.letGo)
		var other switched
		mustAdd(t, c, Check{Name: "hangs", Func: h.check}, Check{Name: "other", Func: other.check, Interval: time.Second})
		after(2*time.Second - 1)
		wantOutput(t, c, "not run yet")
		after(1)
		wantOutput(t, c, "timed out after 2s")
		before := runtime.NumGoroutine()
		for range 100 {
			after(6 * time.Second)
			for r := core.RouteLive; r <= core.RouteHealth; r++ {
				began := time.Now()
				c.Answer(core.HealthQuery{Route: r, Head: ask{}})
				if d := time.Since(began); d != 0 {
					t.Fatalf("%s waited %v", r, d)
				}
			}
		}
		wantReady(t, c, "ten minutes later", false)
		if n := h.runs.Load(); n != 1 {
			t.Errorf("%d runs of a check that never returned, want 1", n)
		}
		if n := other.runs.Load(); n < 590 {
			t.Errorf("the other check ran %d times in ten minutes, want one a second", n)
		}
		// A few may belong to others; a leak would be 60 or 100.
		if n := runtime.NumGoroutine(); n > before+10 {
			t.Errorf("%d goroutines, %d ten minutes ago", n, before)
		}
	})
}

func TestNothingRunsBetweenRuns(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, c *Checker) {
		before := runtime.NumGoroutine()
		for i := range 100 {
			mustAdd(t, c, Check{Name: fmt.Sprint("c", i), Func: passes})
		}
		after(time.Minute)
		if n := runtime.NumGoroutine(); n > before+10 {
			t.Errorf("%d goroutines with 100 idle checks, %d without", n, before)
		}
	})
}

// A check that passed and then hangs must not stay green, even if its one failure does not
// reach the threshold.
func TestNoStaleGreen(t *testing.T) {
	var seen []Change
	bubble(t, Config{OnChange: func(ch Change) { seen = append(seen, ch) }}, func(t *testing.T, c *Checker) {
		h := newHanging(false)
		mustAdd(t, c, Check{Name: "db", Func: h.check, FailAfter: 100, Interval: 10 * time.Second, MaxAge: 30 * time.Second})
		after(0)
		h.on.Store(true)
		// The second run begins within 10 s and times out 2 s later. No result follows for
		// 30 s.
		after(5 * time.Second)
		wantReady(t, c, "a moment later", true)
		after(40 * time.Second)
		wantReady(t, c, "after its age", false)
		wantOutput(t, c, "stale: no result for 30s")
		if last := seen[len(seen)-1]; !errors.Is(last.Err, ErrStale) || last.To != Fail {
			t.Errorf("reported %+v, want a failure with ErrStale", last)
		}

		t.Log("a failure after that, below the threshold, does not turn it green")
		h.on.Store(false)
		h.result = errDown
		close(h.letGo)
		after(15 * time.Second)
		wantReady(t, c, "failing again", false)
		wantOutput(t, c, `"output":"down"`)
	})
}

func TestStaleRecovers(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, c *Checker) {
		h := newHanging(true)
		mustAdd(t, c, Check{Name: "db", Func: h.check, FailAfter: 9, MaxAge: time.Minute})
		after(2 * time.Second)
		wantOutput(t, c, "timed out after 2s")
		after(time.Minute - 1)
		wantOutput(t, c, "timed out after 2s")
		after(1)
		wantOutput(t, c, "stale: no result for 1m0s")
		h.on.Store(false)
		close(h.letGo)
		after(time.Second)
		wantReady(t, c, "one good result", true)
	})
}

// The timer of MaxAge may fire just when a result arrives.
func TestResultJustInTimeIsNotStale(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, c *Checker) {
		mustAdd(t, c, Check{Name: "db", Func: passes})
		after(0)
		c.mu.Lock()
		db := c.tasks["db"]
		c.mu.Unlock()
		c.age(db)
		wantReady(t, c, "a result of this moment", true)
	})
}

func TestHungLiveCheckFails(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, c *Checker) {
		h := newHanging(true)
		defer close(h.letGo)
		mustAdd(t, c, Check{Name: "loop", Kind: Live, Func: h.check, FailAfter: 3, Interval: time.Second, Timeout: time.Second})
		after(5 * time.Second)
		wantCodes(t, c, "not heard of for 5 s", 200)
		after(time.Second)
		wantCodes(t, c, "stale", 503, 200, 200, 200)
	})
}

func TestThresholds(t *testing.T) {
	const second = time.Second
	bubble(t, Config{}, func(t *testing.T, c *Checker) {
		var s switched
		mustAdd(t, c, Check{Name: "db", Func: s.check, Interval: second, FailAfter: 3, PassAfter: 2})
		// until waits for n more results.
		until := func(n int64) {
			for want := s.runs.Load() + n; s.runs.Load() < want; {
				after(second / 10)
			}
			synctest.Wait()
		}
		after(0)
		wantReady(t, c, "one pass of two", false)
		wantOutput(t, c, "passed 1 of 2 times")
		until(1)
		wantReady(t, c, "two passes of two", true)
		s.down.Store(true)
		until(2)
		wantReady(t, c, "two failures of three", true)
		s.down.Store(false)
		until(1)
		s.down.Store(true)
		until(2)
		wantReady(t, c, "two more, not in a row", true)
		until(1)
		wantReady(t, c, "three failures of three", false)
		s.down.Store(false)
		until(1)
		wantReady(t, c, "one pass of two", false)
		until(1)
		wantReady(t, c, "two passes of two", true)
	})
}

func TestTimeout(t *testing.T) {
	for _, row := range []struct {
		rule string
		f    func(context.Context) error
		want string
	}{
		{"a check that returns at the timeout", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, "timed out after 2s"},
		{"a check that returns another error at the timeout", func(ctx context.Context) error { <-ctx.Done(); return errDown }, "timed out after 2s"},
		{"a check that passes too late", func(context.Context) error { <-time.After(3 * time.Second); return nil }, "timed out after 2s"},
		{"a check that is fast enough", func(context.Context) error { <-time.After(time.Second); return nil }, `"status":"pass"`},
	} {
		t.Run(row.rule, func(t *testing.T) {
			bubble(t, Config{}, func(t *testing.T, c *Checker) {
				mustAdd(t, c, Check{Name: "db", Func: row.f})
				after(3500 * time.Millisecond)
				wantOutput(t, c, row.want)
			})
		})
	}
}

// begun returns the times from Add to the runs of a check.
func begun(k Check, f func(context.Context) error, d time.Duration) (at []time.Duration) {
	c := New(Config{Logger: slog.New(slog.DiscardHandler)})
	defer c.Close()
	start := time.Now()
	k.Name, k.Func = "db", func(ctx context.Context) error {
		at = append(at, time.Since(start))
		return f(ctx)
	}
	if err := c.Add(k); err != nil {
		panic(err)
	}
	after(d)
	return at
}

func TestPace(t *testing.T) {
	const second = time.Second
	t.Run("the first run is at once, the phase of the rest is random, the interval then even", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			phases := map[time.Duration]bool{}
			for range 5 {
				at := begun(Check{Interval: 10 * second}, passes, 60*second)
				if at[0] != 0 || at[1] <= 5*second-1 || at[1] > 10*second {
					t.Errorf("runs at %v", at)
				}
				for i := 2; i < len(at); i++ {
					if at[i]-at[i-1] != 10*second {
						t.Errorf("runs at %v", at)
					}
				}
				phases[at[1]] = true
			}
			if len(phases) < 2 {
				t.Error("five checks run at the same times")
			}
		})
	})
	t.Run("the delay comes first", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			if at := begun(Check{Delay: 3 * second}, passes, 4*second); !slices.Equal(at, []time.Duration{3 * second}) {
				t.Errorf("runs at %v", at)
			}
		})
	})
	t.Run("what has never passed is asked again soon, and its phase is random after that", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n := 0
			at := begun(Check{}, func(context.Context) error {
				if n++; n < 3 {
					return errDown
				}
				return nil
			}, 23*second)
			if !slices.Equal(at[:4], []time.Duration{0, second, 2 * second, 12 * second}) || len(at) < 5 || at[4] >= 22*second {
				t.Errorf("runs at %v", at)
			}
		})
	})
	t.Run("but not against an interval that was named", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			if at := begun(Check{Interval: 10 * second}, fails, 5*second-1); len(at) != 1 {
				t.Errorf("runs at %v", at)
			}
		})
	})
	t.Run("a start that is over is not checked again", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			if at := begun(Check{Kind: Startup}, passes, time.Hour); len(at) != 1 {
				t.Errorf("runs at %v", at)
			}
		})
	})
	t.Run("unless the check is for readiness too", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			if at := begun(Check{Kind: Startup | Ready}, passes, time.Minute); len(at) < 6 {
				t.Errorf("runs at %v", at)
			}
		})
	})
}

func TestContextIsTheCheckers(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, c *Checker) {
		var deadline time.Duration
		ended := make(chan error, 1)
		mustAdd(t, c, Check{Name: "db", Timeout: 7 * time.Second, Func: func(ctx context.Context) error {
			at, _ := ctx.Deadline()
			deadline = time.Until(at)
			<-ctx.Done()
			ended <- ctx.Err()
			return nil
		}})
		after(time.Second)
		if deadline != 7*time.Second {
			t.Errorf("the context ends in %v, want the timeout", deadline)
		}
		c.Close()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Close ends the context with %v", err)
		}
	})
}
