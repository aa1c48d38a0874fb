package journal

import (
	"log/slog"
	"runtime"
	"testing"
	"time"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/journal/logtest"
)

func TestJournalObserve(t *testing.T) {
	var seen []event.Class
	observe := func(e event.Event) { seen = append(seen, e.Class) }
	inJournal(t, Config{Observe: observe}, func(t *testing.T, j *Journal, log *logtest.Lines) {
		for _, c := range event.Classes() {
			j.Post(&event.Event{Class: c})
			j.Post(&event.Event{Class: c})
		}
		handled(t, j)
		if len(seen) != 2*len(event.Classes()) {
			t.Fatalf("observer got %d events, want %d: every one, quiet ones and repeats too", len(seen), 2*len(event.Classes()))
		}
		for i, c := range seen {
			if c != event.Classes()[i/2] {
				t.Errorf("event %d is %v, want %v: in the order of their posting", i, c, event.Classes()[i/2])
			}
		}
	})
}

func TestJournalPanickingObserver(t *testing.T) {
	observe := func(e event.Event) { panic("observer: " + e.Path) }
	inJournal(t, Config{Observe: observe}, func(t *testing.T, j *Journal, log *logtest.Lines) {
		for range 10 {
			j.Post(&event.Event{Class: event.HTTP, Remote: logtest.From(1), Path: "/\n"})
		}
		handled(t, j)
		got := log.Take()
		logtest.WantMessages(t, "a panic of the observer is contained and logged once", got, "observer panicked")
		logtest.WantAttrs(t, got[0], map[string]string{"panic": `"observer: /\n"`, "class": "http"})
		if got[0].Level != slog.LevelError || got[0].Attrs["stack"].String() == "" {
			t.Errorf("want Error and a stack, got %v", got[0])
		}
		logtest.After(time.Minute)
		got = log.Take()
		logtest.WantMessages(t, "its repeats are collapsed", got, "observer panicked: repeated")
		logtest.WantAttrs(t, got[0], map[string]string{"count": "9", "sources": "1"})
	})
}

// t.FailNow in an observer ends the goroutine that calls it.
func TestJournalObserverThatEndsItsGoroutine(t *testing.T) {
	n := 0
	observe := func(event.Event) {
		if n++; n == 1 {
			runtime.Goexit()
		}
	}
	inJournal(t, Config{Observe: observe}, func(t *testing.T, j *Journal, log *logtest.Lines) {
		j.Post(&event.Event{Class: event.HandlerPanic})
		j.Post(&event.Event{Class: event.UpgradeFailed})
		handled(t, j)
		logtest.WantMessages(t, "the journal goes on", log.Take(), "handler panicked", "websocket upgrade failed")
		n = 0
		j.Post(&event.Event{Class: event.HandlerPanic})
		logtest.After(time.Minute)
		logtest.WantMessages(t, "and the deadlines of what was in hand hold", log.Take(), "handler panicked: repeated")
	})
}
