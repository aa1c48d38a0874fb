package journal

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/journal/logtest"
)

// startJournal makes a Journal with a guard's defaults for what c leaves out.
func startJournal(c Config) *Journal {
	c.Collapse = cmp.Or(c.Collapse, time.Minute)
	c.Summary = cmp.Or(c.Summary, time.Hour)
	if c.Suppressed == nil {
		c.Suppressed = func(event.Class, uint64) {}
	}
	return New(c)
}

// inJournal runs f with a Journal on a fake clock and then closes it.
func inJournal(t *testing.T, c Config, f func(t *testing.T, j *Journal, log *logtest.Lines)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		log := &logtest.Lines{Level: slog.LevelInfo}
		if c.Logger == nil {
			c.Logger = slog.New(log)
		} else {
			log = c.Logger.Handler().(*logtest.Lines)
		}
		j := startJournal(c)
		f(t, j, log)
		if err := j.Close(time.Second); err != nil {
			t.Errorf("close: %v", err)
		}
	})
}

// handled waits until j has handled what was posted.
func handled(t *testing.T, j *Journal) {
	t.Helper()
	if err := j.Flush(t.Context()); err != nil {
		t.Fatalf("flush: %v", err)
	}
}

// inspect reads what belongs to the journal's goroutine, after it has ended and before
// it starts again. It needs a bubble of synctest.
func inspect(t *testing.T, j *Journal, read func()) {
	t.Helper()
	handled(t, j)
	synctest.Wait()
	read()
	handled(t, j)
}

func TestJournalNothingBeforeTheFirstEvent(t *testing.T) {
	before := runtime.NumGoroutine()
	j := startJournal(Config{Logger: slog.New(slog.DiscardHandler)})
	if j.queue != nil || runtime.NumGoroutine() > before {
		t.Error("New made the queue or a goroutine; a guard that sees nothing must cost nothing")
	}
	if err := j.Flush(t.Context()); err != nil {
		t.Errorf("flush before the first event: %v", err)
	}
	j.Post(&event.Event{Class: event.HTTP})
	if j.queue != nil {
		t.Error("an ordinary request without an observer reached the queue; it has no line and no reader")
	}
	for range 2 {
		if err := j.Close(time.Second); err != nil {
			t.Errorf("close before the first event, and once more: %v", err)
		}
	}
	j.Post(&event.Event{Class: event.TCPProbe})
	if n := j.Dropped(); n != 1 {
		t.Errorf("an event after close: dropped() = %d, want 1", n)
	}
}

func TestJournalKeepsOrder(t *testing.T) {
	inJournal(t, Config{}, func(t *testing.T, j *Journal, log *logtest.Lines) {
		j.Note(slog.LevelInfo, "one", slog.Int("n", 1))
		j.Post(&event.Event{Class: event.HandlerPanic, Panic: "boom"})
		j.Note(slog.LevelInfo, "two")
		j.Note(slog.LevelInfo, "two")
		handled(t, j)
		got := log.Take()
		logtest.WantMessages(t, "notes and events are logged in the order in which they were posted; notes are never collapsed",
			got, "one", "handler panicked", "two", "two")
		logtest.WantAttrs(t, got[0], map[string]string{"n": "1"})
	})
}

func TestJournalUsesTheTimeOfTheEvent(t *testing.T) {
	inJournal(t, Config{}, func(t *testing.T, j *Journal, log *logtest.Lines) {
		at := time.Now().Add(-time.Second)
		j.Post(&event.Event{Class: event.UpgradeFailed, Time: at})
		j.Post(&event.Event{Class: event.HandlerPanic})
		handled(t, j)
		got := log.Take()
		if !got[0].Time.Equal(at) {
			t.Errorf("line at %v, the event was at %v", got[0].Time, at)
		}
		if !got[1].Time.Equal(time.Now()) {
			t.Errorf("an event without a time is of now, not of %v", got[1].Time)
		}
	})
}

// A logger that blocks forever may cost the server log lines and nothing else.
func TestJournalBlockedLogger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		log := &logtest.Lines{Before: func(slog.Record) { <-release }}
		j := startJournal(Config{Logger: slog.New(log)})
		j.Post(&event.Event{Class: event.HandlerPanic})
		synctest.Wait() // the goroutine is now in the handler
		start := time.Now()
		for i := range QueueSize + 500 {
			j.Post(&event.Event{Class: event.TCPProbe, Remote: logtest.From(i)})
		}
		if time.Since(start) != 0 {
			t.Error("post waited for the logger")
		}
		if n := j.Dropped(); n != 500 {
			t.Errorf("dropped() = %d, want 500: all that did not fit into the queue", n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := j.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("flush with a blocked logger: %v, want its context's error", err)
		}
		start = time.Now()
		if err := j.Close(2 * time.Second); err == nil {
			t.Error("close: no error, though the logger never came back")
		}
		if d := time.Since(start); d != 2*time.Second {
			t.Errorf("close took %v, want its timeout of 2s", d)
		}
		close(release) // the goroutine ends, or synctest reports it
		synctest.Wait()
		select {
		case <-j.done:
		default:
			t.Error("the goroutine did not end after the logger let go of it")
		}
	})
}

// Post may be called from many goroutines at once, and Close at any time.
func TestJournalConcurrent(t *testing.T) {
	log := &logtest.Lines{Level: slog.LevelDebug}
	j := startJournal(Config{Logger: slog.New(log)})
	var posters sync.WaitGroup
	for i := range 8 {
		posters.Go(func() {
			for k := range 500 {
				j.Post(&event.Event{Class: event.TCPProbe, Remote: logtest.From(i), Platform: true})
				if k == 250 && i == 0 {
					if err := j.Close(10 * time.Second); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	posters.Wait()
	if err := j.Flush(t.Context()); err != nil {
		t.Errorf("flush after close: %v", err)
	}
}

func TestJournalNoTimerWhileNothingHappens(t *testing.T) {
	inJournal(t, Config{}, func(t *testing.T, j *Journal, log *logtest.Lines) {
		for _, c := range event.Classes() {
			j.Post(&event.Event{Class: c, Platform: true})
			j.Post(&event.Event{Class: c, Platform: true})
		}
		for i := range 2000 { // a flood
			j.Post(&event.Event{Class: event.TCPProbe, Remote: logtest.From(1)})
			if i%500 == 0 {
				handled(t, j)
			}
		}
		handled(t, j)
		logtest.After(2 * time.Hour)
		inspect(t, j, func() {
			if !j.next.IsZero() {
				t.Errorf("two hours later a timer is set to %v", j.next)
			}
			if n := len(j.repeats.kinds); n != 0 || j.floods.from != nil || j.summary.pairs != nil {
				t.Errorf("two hours later there are still %d kinds of failure, flood table %v, summary %v", n, j.floods.from, j.summary.pairs)
			}
		})
	})
}

// The goroutine may reach an event before the timer's turn comes. A window that is over
// must not count events that came after it.
func TestJournalDeadlineBeforeEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		log := &logtest.Lines{Before: func(r slog.Record) {
			if r.Message == "block" {
				<-release
			}
		}}
		j := startJournal(Config{Logger: slog.New(log), Collapse: time.Minute})
		for range 20 {
			j.Post(&event.Event{Class: event.WrongProtocol})
			j.Note(slog.LevelInfo, "block")
			logtest.After(2 * time.Minute)
			j.Post(&event.Event{Class: event.WrongProtocol})
			release <- struct{}{}
			handled(t, j)
			logtest.WantMessages(t, "the window was over when the second came", log.Take(), "wrong protocol", "block", "wrong protocol")
			logtest.After(2 * time.Minute)
		}
		if err := j.Close(time.Second); err != nil {
			t.Error(err)
		}
	})
}
