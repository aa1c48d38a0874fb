package core

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quietws/quietws/core/event"
)

func TestJournalTellsLostLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		log := &logLines{level: slog.LevelDebug, before: func(r slog.Record) {
			if r.Message == "block" {
				<-release
			}
		}}
		j := newJournal(journalConfig{logger: slog.New(log)})
		overflow := func() {
			j.note(slog.LevelInfo, "block")
			synctest.Wait()
			for range queueSize + 7 {
				j.note(slog.LevelDebug-1, "fill")
			}
			release <- struct{}{}
			synctest.Wait()
		}
		overflow()
		got := log.take()
		wantMessages(t, "what was lost is told once, as soon as there is room", got, "block", "log lines dropped")
		wantAttrs(t, got[len(got)-1], map[string]string{"count": "7"})
		overflow()
		overflow()
		wantMessages(t, "again lost within the window: not told yet", log.take(), "block", "block")
		after(time.Minute)
		got = log.take()
		wantMessages(t, "what was lost meanwhile is told when the window is over", got, "log lines dropped")
		wantAttrs(t, got[0], map[string]string{"count": "14"})
		overflow()
		log.take()
		if err := j.close(time.Second); err != nil {
			t.Error(err)
		}
		wantMessages(t, "close tells what was not told yet", log.take(), "log lines dropped")
	})
}

// A line in the middle of an overload would tell only the beginning of it.
func TestJournalTellsLostLinesWhenThereIsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		log := &logLines{before: func(slog.Record) { <-release }}
		j := newJournal(journalConfig{logger: slog.New(log)})
		for range queueSize + 2 {
			j.note(slog.LevelInfo, "fill")
			synctest.Wait()
		}
		close(release)
		synctest.Wait()
		for i, l := range log.take() {
			if l.msg == msgLost && i < queueSize/2 {
				t.Errorf("told after %d lines, with %d still waiting", i, queueSize-i)
			}
		}
		if err := j.close(time.Second); err != nil {
			t.Error(err)
		}
	})
}

func TestJournalPanickingLogger(t *testing.T) {
	var good atomic.Bool
	log := &logLines{before: func(slog.Record) {
		if !good.Load() {
			panic("handler")
		}
	}}
	inJournal(t, journalConfig{logger: slog.New(log)}, func(t *testing.T, j *journal, log *logLines) {
		j.post(&event.Event{Class: event.HandlerPanic})
		j.note(slog.LevelInfo, "two")
		handled(t, j)
		if n := j.dropped(); n != 2 {
			t.Errorf("dropped() = %d, want 2: a line that the handler panicked on is a lost line", n)
		}
		good.Store(true)
		after(time.Minute)
		got := log.take()
		wantMessages(t, "and is told when the handler works again", got, "log lines dropped")
		if len(got) == 1 {
			wantAttrs(t, got[0], map[string]string{"count": "2"})
		}
	})
}

type panicsWhenAsked struct{ slog.Handler }

func (panicsWhenAsked) Enabled(context.Context, slog.Level) bool { panic("asked") }

func TestJournalLoggerThatPanicsWhenAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJournal(journalConfig{logger: slog.New(panicsWhenAsked{slog.DiscardHandler})})
		j.post(&event.Event{Class: event.HandlerPanic})
		if err := j.close(time.Second); err != nil {
			t.Error(err)
		}
		if n := j.dropped(); n != 1 {
			t.Errorf("dropped() = %d, want 1", n)
		}
	})
}
