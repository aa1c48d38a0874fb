package core

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/journal/logtest"
)

// looking is a Health that calls the guard, both to answer and for its checks.
type looking struct{ g *Guard }

func (l *looking) Answer(q HealthQuery) (Answer, bool) {
	if q.Route == RouteReady && l.g.Snapshot().SessionsOpen > 900 {
		return Answer{Status: 503}, true
	}
	return Answer{}, false
}

func (l *looking) Checks() []CheckStatus {
	if l.g.Snapshot().SessionsOpen > 900 {
		return nil
	}
	return []CheckStatus{{"sessions", "pass"}}
}

func TestHealthThatLooksAtTheGuard(t *testing.T) {
	l := new(looking)
	g := quietGuard(t, Config{Health: l})
	l.g = g
	for range 2 {
		if s := g.Snapshot(); !s.Ready || len(s.Checks) != 1 {
			t.Errorf("ready %t, checks %v", s.Ready, s.Checks)
		}
		if a := g.answerRoute(RouteReady, pathHead("/readyz"), new(Answer)); a.Status != 200 {
			t.Errorf("/readyz is answered %d", a.Status)
		}
	}
}

// changing is a Health whose answer and checks are functions.
type changing struct {
	answer func(HealthQuery) (Answer, bool)
	checks func() []CheckStatus
}

func (c changing) Answer(q HealthQuery) (Answer, bool) { return c.answer(q) }
func (c changing) Checks() []CheckStatus               { return c.checks() }

// One snapshot waits for a Health that blocks; the others have its latest answer.
func TestHealthThatBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var block chan struct{}
		g := quietGuard(t, Config{Health: changing{
			func(HealthQuery) (Answer, bool) {
				if block != nil {
					<-block
				}
				return Answer{Status: 200}, true
			},
			func() []CheckStatus { return []CheckStatus{{"db", "pass"}} },
		}})
		g.Snapshot().Checks[0].Name = "the caller's"
		block = make(chan struct{})
		go g.Snapshot()
		synctest.Wait()
		for range 3 {
			if s := g.Snapshot(); !s.Ready || s.Checks[0].Name != "db" {
				t.Errorf("ready %t, checks %v", s.Ready, s.Checks)
			}
		}
		close(block)
		synctest.Wait()
	})
}

func TestChecksThatPanic(t *testing.T) {
	checks := func() []CheckStatus { panic("checks") }
	g, log := newGuardAndLog(t, Config{Health: changing{func(HealthQuery) (Answer, bool) { return Answer{}, false }, func() []CheckStatus { return checks() }}}, slog.LevelError)
	for range 3 {
		if s := g.Snapshot(); !s.Ready || s.Checks != nil {
			t.Errorf("ready %t, checks %v", s.Ready, s.Checks)
		}
	}
	lines := linesLoggedBy(t, g, log)
	logtest.WantMessages(t, "the panic is logged once", lines, "callback panicked")
	logtest.WantAttrs(t, lines[0], map[string]string{"callback": "Health.Checks", "panic": "checks"})
	checks = func() []CheckStatus { return []CheckStatus{{"db", "pass"}} }
	if s := g.Snapshot(); len(s.Checks) != 1 {
		t.Errorf("afterwards the checks are %v", s.Checks)
	}
}

// An observer may call every method of the guard.
func TestObserverThatCallsTheGuard(t *testing.T) {
	for _, row := range []struct {
		name string
		call func(*Guard) error
		took time.Duration
	}{
		{"Snapshot", func(g *Guard) error { g.Snapshot(); return nil }, 0},
		{"Drain", func(g *Guard) error { _, err := g.Drain(context.Background()); return err }, 0},
		{"Close", func(g *Guard) error {
			if err := g.Close(); err == nil {
				return errors.New("no error, though the log cannot be written")
			}
			return g.Close()
		}, closeTimeout},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var g *Guard
				calls := 0
				g = quietGuard(t, Config{Observe: func(event.Event) {
					calls++
					start := time.Now()
					if err := row.call(g); err != nil {
						t.Error(err)
					}
					if took := time.Since(start); took > row.took+time.Second {
						t.Errorf("it took %v", took)
					}
				}})
				g.journal.Post(&event.Event{Class: event.HTTP})
				logtest.After(10 * time.Second)
				if calls != 1 {
					t.Errorf("%d calls", calls)
				}
				if err := g.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
