package health

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quietws/quietws/core"
)

// Each of these listeners would deadlock a checker that calls it under a lock.
func TestListenerMayCallTheChecker(t *testing.T) {
	var c *Checker
	calls := 0
	synctest.Test(t, func(t *testing.T) {
		c = New(Config{Logger: slog.New(slog.DiscardHandler), OnChange: func(ch Change) {
			calls++
			c.Answer(core.HealthQuery{Route: core.RouteReady, Details: true, Head: ask{query: "verbose"}})
			c.Checks()
			switch ch.Check {
			case "a":
				_ = c.Add(Check{Name: "b", Func: fails})
			case "b":
				c.Remove("b")
				if ch.To == 0 {
					c.Close()
				}
			}
		}})
		mustAdd(t, c, Check{Name: "a", Func: passes})
		after(time.Minute)
		if err := c.Add(Check{Name: "x", Func: passes}); !errors.Is(err, ErrClosed) {
			t.Errorf("after %d calls Add says %v; the listener did not reach Close", calls, err)
		}
	})
}

func TestListenerIsContained(t *testing.T) {
	for _, row := range []struct {
		rule   string
		misuse func()
		logs   string
	}{
		{"a panic is logged with its stack", func() { panic("boom") }, "health listener panicked"},
		{"an end of the goroutine", func() { runtime.Goexit() }, ""},
	} {
		t.Run(row.rule, func(t *testing.T) {
			var log lines
			var calls []string
			config := Config{Logger: log.logger(), OnChange: func(ch Change) {
				calls = append(calls, ch.Check+" "+ch.To.String())
				row.misuse()
			}}
			bubble(t, config, func(t *testing.T, c *Checker) {
				mustAdd(t, c, Check{Name: "a", Func: passes})
				synctest.Wait()
				c.Remove("a")
				synctest.Wait()
				if got := fmt.Sprint(calls); got != "[a pending a pass a ]" {
					t.Errorf("the listener was called for %s", got)
				}
				if s := log.buf.String(); !strings.Contains(s, row.logs) || row.logs != "" && !strings.Contains(s, "notify_test.go") {
					t.Errorf("the log is\n%s", s)
				}
			})
		})
	}
}

// badHandler is a log handler that panics.
type badHandler struct{}

func (badHandler) Enabled(context.Context, slog.Level) bool  { return true }
func (badHandler) Handle(context.Context, slog.Record) error { panic("in the handler") }
func (badHandler) WithAttrs([]slog.Attr) slog.Handler        { return badHandler{} }
func (badHandler) WithGroup(string) slog.Handler             { return badHandler{} }

func TestLoggerIsContained(t *testing.T) {
	calls := 0
	bubble(t, Config{Logger: slog.New(badHandler{}), OnChange: func(Change) { calls++; panic("too") }}, func(t *testing.T, c *Checker) {
		mustAdd(t, c, Check{Name: "a", Func: passes})
		after(time.Second)
		wantReady(t, c, "with a logger that panics", true)
		if calls != 2 {
			t.Errorf("the listener was called %d times, want 2", calls)
		}
	})
}

// A listener that blocks delays only itself. A limited number of changes waits for it, and
// the last one shows the present state.
func TestListenerThatBlocks(t *testing.T) {
	var log lines
	var changes []Change
	letGo := make(chan struct{})
	first := true
	synctest.Test(t, func(t *testing.T) {
		letGo = make(chan struct{})
		c := New(Config{Logger: log.logger(), OnChange: func(ch Change) {
			if first {
				first = false
				<-letGo
			}
			changes = append(changes, ch)
		}})
		defer c.Close()
		up := false
		mustAdd(t, c, Check{Name: "flaps", Interval: time.Second, Func: func(context.Context) error {
			if up = !up; up {
				return nil
			}
			return errDown
		}})
		after(time.Hour)
		c.mu.Lock()
		queued, now := len(c.queue), c.tasks["flaps"].status
		c.mu.Unlock()
		if queued != maxQueue {
			t.Errorf("%d changes wait, want %d", queued, maxQueue)
		}
		close(letGo)
		synctest.Wait()
		if n := len(changes); n != maxQueue+1 || changes[n-1].To != now {
			t.Errorf("the listener got %d changes, the last to %v; want %d, the last to %v", n, changes[n-1].To, maxQueue+1, now)
		}
		if d := changes[maxQueue].Time.Sub(changes[1].Time); d != (maxQueue-1)*time.Second {
			t.Errorf("the kept changes span %v, want the latest", d)
		}
		if s := log.buf.String(); strings.Count(s, "health changes dropped") != 1 {
			t.Error("the log does not say once that changes were dropped")
		}
	})
}

func TestNoCallbackAfterClose(t *testing.T) {
	letGo := make(chan struct{})
	calls := 0
	synctest.Test(t, func(t *testing.T) {
		letGo = make(chan struct{})
		c := New(Config{Logger: slog.New(slog.DiscardHandler), OnChange: func(Change) { calls++; <-letGo }})
		mustAdd(t, c, Check{Name: "a", Func: passes}, Check{Name: "b", Func: passes})
		synctest.Wait()
		c.Close()
		close(letGo)
		synctest.Wait()
		if calls != 1 {
			t.Errorf("%d calls, want only the one that had begun", calls)
		}
	})
}
