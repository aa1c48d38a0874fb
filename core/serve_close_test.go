package core

import (
	"log/slog"
	"testing"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/journal/logtest"
)

// Events after Close are counted but not logged: a handler may return later than the
// program ends.
func TestAfterCloseNothingIsLogged(t *testing.T) {
	g, log := newGuardAndLog(t, Config{}, slog.LevelDebug)
	g.logEvent(&event.Event{Class: event.SessionEnded})
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		g.logEvent(&event.Event{Class: event.SessionEnded})
	}
	if n := g.Snapshot().Dropped; n != 3 {
		t.Errorf("%d events are counted as dropped, want 3", n)
	}
	logtest.WantMessages(t, "only what came before", log.Take(), "session ended")
}
