package journal

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/journal/logtest"
)

func TestJournalReportsLostLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		log := &logtest.Lines{Level: slog.LevelDebug, Before: func(r slog.Record) {
			if r.Message == "block" {
				<-release
			}
		}}
		j := startJournal(Config{Logger: slog.New(log)})
		overflow := func() {
			j.Note(slog.LevelInfo, "block")
			synctest.Wait()
			for range QueueSize + 7 {
				j.Note(slog.LevelDebug-1, "fill")
			}
			release <- struct{}{}
			synctest.Wait()
		}
		overflow()
		got := log.Take()
		logtest.WantMessages(t, "what was lost is logged once, as soon as there is room", got, "block", "log lines dropped")
		logtest.WantAttrs(t, got[len(got)-1], map[string]string{"count": "7"})
		overflow()
		overflow()
		logtest.WantMessages(t, "again lost within the window: not logged yet", log.Take(), "block", "block")
		logtest.After(time.Minute)
		got = log.Take()
		logtest.WantMessages(t, "what was lost meanwhile is logged when the window is over", got, "log lines dropped")
		logtest.WantAttrs(t, got[0], map[string]string{"count": "14"})
		overflow()
		log.Take()
		if err := j.Close(time.Second); err != nil {
			t.Error(err)
		}
		logtest.WantMessages(t, "close logs what was not logged yet", log.Take(), "log lines dropped")
	})
}

// A line in the middle of an overload would report only its beginning.
func TestJournalReportsLostLinesWhenThereIsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		log := &logtest.Lines{Before: func(slog.Record) { <-release }}
		j := startJournal(Config{Logger: slog.New(log)})
		for range QueueSize + 2 {
			j.Note(slog.LevelInfo, "fill")
			synctest.Wait()
		}
		close(release)
		synctest.Wait()
		for i, l := range log.Take() {
			if l.Msg == msgLost && i < QueueSize/2 {
				t.Errorf("logged after %d lines, with %d still waiting", i, QueueSize-i)
			}
		}
		if err := j.Close(time.Second); err != nil {
			t.Error(err)
		}
	})
}

func TestJournalPanickingLogger(t *testing.T) {
	var good atomic.Bool
	log := &logtest.Lines{Before: func(slog.Record) {
		if !good.Load() {
			panic("handler")
		}
	}}
	inJournal(t, Config{Logger: slog.New(log)}, func(t *testing.T, j *Journal, log *logtest.Lines) {
		j.Post(&event.Event{Class: event.HandlerPanic})
		j.Note(slog.LevelInfo, "two")
		handled(t, j)
		if n := j.Dropped(); n != 2 {
			t.Errorf("dropped() = %d, want 2: a line that the handler panicked on is a lost line", n)
		}
		good.Store(true)
		logtest.After(time.Minute)
		got := log.Take()
		logtest.WantMessages(t, "and is logged when the handler works again", got, "log lines dropped")
		if len(got) == 1 {
			logtest.WantAttrs(t, got[0], map[string]string{"count": "2"})
		}
	})
}

type panicsWhenAsked struct{ slog.Handler }

func (panicsWhenAsked) Enabled(context.Context, slog.Level) bool { panic("asked") }

func TestJournalLoggerThatPanicsWhenAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := startJournal(Config{Logger: slog.New(panicsWhenAsked{slog.DiscardHandler})})
		j.Post(&event.Event{Class: event.HandlerPanic})
		if err := j.Close(time.Second); err != nil {
			t.Error(err)
		}
		if n := j.Dropped(); n != 1 {
			t.Errorf("dropped() = %d, want 1", n)
		}
	})
}
