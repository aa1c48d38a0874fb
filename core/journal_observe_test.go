package core

import (
	"log/slog"
	"runtime"
	"testing"
	"time"

	"github.com/quietws/quietws/core/event"
)

func TestJournalObserve(t *testing.T) {
	var seen []event.Class
	observe := func(e event.Event) { seen = append(seen, e.Class) }
	inJournal(t, journalConfig{observe: observe}, func(t *testing.T, j *journal, log *logLines) {
		for _, c := range event.Classes() {
			j.post(&event.Event{Class: c})
			j.post(&event.Event{Class: c})
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
	inJournal(t, journalConfig{observe: observe}, func(t *testing.T, j *journal, log *logLines) {
		for range 10 {
			j.post(&event.Event{Class: event.HTTP, Remote: from(1), Path: "/\n"})
		}
		handled(t, j)
		got := log.take()
		wantMessages(t, "a panic of the observer is contained and told once", got, "observer panicked")
		wantAttrs(t, got[0], map[string]string{"panic": `"observer: /\n"`, "class": "http"})
		if got[0].level != slog.LevelError || got[0].attrs["stack"].String() == "" {
			t.Errorf("want Error and a stack, got %v", got[0])
		}
		after(time.Minute)
		got = log.take()
		wantMessages(t, "its repeats are collapsed", got, "observer panicked: repeated")
		wantAttrs(t, got[0], map[string]string{"count": "9", "sources": "1"})
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
	inJournal(t, journalConfig{observe: observe}, func(t *testing.T, j *journal, log *logLines) {
		j.post(&event.Event{Class: event.HandlerPanic})
		j.post(&event.Event{Class: event.UpgradeFailed})
		handled(t, j)
		wantMessages(t, "the journal goes on", log.take(), "handler panicked", "websocket upgrade failed")
	})
}
