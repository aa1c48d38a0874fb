package health

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quietws/quietws/core"
)

// lines is a log that tests can read.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// from returns the lines of that level or above.
func (l *lines) from(t *testing.T, level slog.Level) (all []map[string]any) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range strings.Split(strings.TrimSpace(l.buf.String()), "\n") {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		var at slog.Level
		if err := at.UnmarshalText([]byte(m["level"].(string))); err != nil {
			t.Fatal(err)
		}
		if at >= level {
			all = append(all, m)
		}
	}
	return all
}

// A day with two outages causes four lines and four calls, each with the check, the reason,
// and how long the state before had lasted.
func TestChangesAreToldOnce(t *testing.T) {
	var log lines
	var seen []Change
	bubble(t, Config{Logger: log.logger(), OnChange: func(ch Change) { seen = append(seen, ch) }}, func(t *testing.T, c *Checker) {
		var db, cache switched
		mustAdd(t, c,
			Check{Name: "db", Func: db.check, Interval: time.Second},
			Check{Name: "cache", Func: cache.check, Interval: time.Second, Optional: true})
		after(time.Hour)
		seen = nil
		start := time.Now()
		db.down.Store(true)
		after(10 * time.Minute)
		db.down.Store(false)
		after(time.Hour)
		cache.down.Store(true)
		after(10 * time.Minute)
		cache.down.Store(false)
		after(time.Hour)

		got := log.from(t, slog.LevelInfo)
		if len(got) != 4 || len(seen) != 4 {
			t.Fatalf("%d lines, %d calls, want 4 of each:\n%v\n%+v", len(got), len(seen), got, seen)
		}
		for i, want := range []string{
			"ERROR health check failing db pass>fail down ready pass>fail",
			"INFO health check passing db fail>pass <nil> ready fail>pass",
			"WARN optional health check failing cache pass>warn down ready pass>warn",
			"INFO health check passing cache warn>pass <nil> ready warn>pass",
		} {
			ready := got[i]["ready"].(map[string]any)
			line := fmt.Sprintf("%v %v %v %v>%v %v ready %v>%v", got[i]["level"], got[i]["msg"], got[i]["check"],
				got[i]["was"], got[i]["status"], got[i]["error"], ready["was"], ready["status"])
			if line != want {
				t.Errorf("line %d is\n%s, want\n%s", i, line, want)
			}
		}
		ch := seen[1]
		if ch.Check != "db" || ch.Kind != Ready || ch.From != Fail || ch.To != Pass || ch.Err != nil || len(ch.Routes) != 1 {
			t.Fatalf("the recovery is reported as %+v", ch)
		}
		if r := ch.Routes[0]; r.Route != core.RouteReady || r.From != Fail || r.To != Pass || r.Lasted != ch.Lasted {
			t.Errorf("the route's recovery is reported as %+v", r)
		}
		if ch.Lasted < 10*time.Minute-time.Second || ch.Lasted > 10*time.Minute+time.Second {
			t.Errorf("an outage of ten minutes had lasted %v", ch.Lasted)
		}
		if !errors.Is(seen[0].Err, errDown) || seen[0].Time.Sub(start) > time.Second {
			t.Errorf("the failure is reported as %+v", seen[0])
		}
		if d := got[1]["lasted"].(float64); time.Duration(d) != ch.Lasted {
			t.Errorf("the line says %v, the call %v", time.Duration(d), ch.Lasted)
		}
	})
}

func TestChangeLevel(t *testing.T) {
	ready := func(from, to Status) []RouteChange {
		return []RouteChange{{Route: core.RouteReady, From: from, To: to}}
	}
	for _, row := range []struct {
		rule    string
		change  Change
		level   slog.Level
		message string
	}{
		{"a route begins to fail", Change{From: Pass, To: Fail, Routes: ready(Pass, Fail)}, slog.LevelError, "health check failing"},
		{"a route with a warning is lost", Change{From: Pass, To: Fail, Routes: ready(Warn, Fail)}, slog.LevelError, "health check failing"},
		{"a second check fails", Change{From: Pass, To: Fail}, slog.LevelWarn, "health check failing"},
		{"a start does not succeed", Change{From: Pending, To: Fail, Routes: ready(Pending, Fail)}, slog.LevelWarn, "health check failing"},
		{"an optional check fails", Change{From: Pass, To: Warn, Routes: ready(Pass, Warn)}, slog.LevelWarn, "optional health check failing"},
		{"a recovery", Change{From: Fail, To: Pass, Routes: ready(Fail, Pass)}, slog.LevelInfo, "health check passing"},
		{"a failing check is removed", Change{From: Fail, Routes: ready(Fail, Pass)}, slog.LevelInfo, "health check removed"},
		{"a passing check is removed", Change{From: Pass}, slog.LevelDebug, "health check removed"},
		{"a start", Change{From: Pending, To: Pass, Routes: ready(Pending, Pass)}, slog.LevelDebug, "health check passing"},
		{"a check is added", Change{From: Pending, To: Pending, Routes: ready(Pass, Pending)}, slog.LevelDebug, "health check added"},
	} {
		if got := row.change.level(); got != row.level {
			t.Errorf("%s: level %v, want %v", row.rule, got, row.level)
		}
		if got := row.change.message(); got != row.message {
			t.Errorf("%s: %q, want %q", row.rule, got, row.message)
		}
	}
}

// A normal start writes no line at the default level.
func TestAGoodStartIsSilent(t *testing.T) {
	var log lines
	bubble(t, Config{Logger: log.logger()}, func(t *testing.T, c *Checker) {
		mustAdd(t, c, Check{Name: "db", Func: passes}, Check{Name: "init", Kind: Startup, Func: passes}, Check{Name: "loop", Kind: Live, Func: passes})
		after(time.Hour)
		c.Remove("db")
		synctest.Wait()
		if got := log.from(t, slog.LevelInfo); len(got) != 0 {
			t.Errorf("it wrote %v", got)
		}
		if got := log.from(t, slog.LevelDebug); len(got) == 0 {
			t.Error("no line at Debug")
		}
	})
}

func TestRemovalIsTold(t *testing.T) {
	var last Change
	bubble(t, Config{OnChange: func(ch Change) { last = ch }}, func(t *testing.T, c *Checker) {
		mustAdd(t, c, Check{Name: "db", Func: fails})
		after(time.Minute)
		c.Remove("db")
		synctest.Wait()
		if last.Check != "db" || last.From != Fail || last.To != 0 || len(last.Routes) != 1 || last.Routes[0].To != Pass {
			t.Errorf("reported as %+v", last)
		}
	})
}

func TestPanicOfACheckIsLoggedWithItsStack(t *testing.T) {
	var log lines
	bubble(t, Config{Logger: log.logger()}, func(t *testing.T, c *Checker) {
		mustAdd(t, c, Check{Name: "db", Func: func(context.Context) error { panic("boom") }})
		after(0)
		got := log.from(t, slog.LevelWarn)
		if len(got) != 1 || got[0]["error"] != "panic: boom" || !strings.Contains(fmt.Sprint(got[0]["stack"]), "change_test.go") {
			t.Errorf("the log is %v", got)
		}
	})
}
