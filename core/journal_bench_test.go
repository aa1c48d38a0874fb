package core

import (
	"io"
	"log/slog"
	"runtime"
	"testing"
	"time"

	"github.com/quietws/quietws/core/event"
)

func BenchmarkJournalPost(b *testing.B) {
	e := event.Event{Time: time.Now(), Class: event.TCPProbe, Platform: true, Remote: from(1), Path: "/ws"}
	quietLogger := slog.New(slog.NewTextHandler(io.Discard, nil))
	b.Run("keeping up", func(b *testing.B) {
		j := newJournal(journalConfig{logger: quietLogger})
		defer j.close(time.Second)
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if i%(queueSize/2) == 0 {
				b.StopTimer()
				_ = j.flush(b.Context())
				b.StartTimer()
			}
			j.post(&e)
		}
		if n := j.dropped(); n > 0 {
			b.Errorf("%d of %d were dropped", n, b.N)
		}
	})
	b.Run("queue full", func(b *testing.B) {
		release := make(chan struct{})
		j := newJournal(journalConfig{logger: slog.New(&logLines{before: func(slog.Record) { <-release }})})
		j.note(slog.LevelInfo, "block")
		for range queueSize + 1 {
			j.post(&e)
		}
		b.ReportAllocs()
		for b.Loop() {
			j.post(&e)
		}
		close(release)
		_ = j.close(10 * time.Second)
	})
	b.Run("ordinary request", func(b *testing.B) {
		j := newJournal(journalConfig{logger: quietLogger})
		e := e
		e.Class = event.HTTP
		b.ReportAllocs()
		for b.Loop() {
			j.post(&e)
		}
	})
}

// A logger at Debug costs the goroutine, never the poster.
func TestJournalPostAllocatesNothing(t *testing.T) {
	j := newJournal(journalConfig{logger: slog.New(slog.DiscardHandler)})
	e := event.Event{Time: time.Now(), Class: event.HTTPProbe, Platform: true, Remote: from(1), Path: "/healthz", Prober: "p"}
	j.post(&e)
	// An event finds an entry that is free where the goroutine is through with those before.
	if n := testing.AllocsPerRun(500, func() {
		for j.post(&e); len(j.queue) > 0; {
			runtime.Gosched()
		}
	}); n != 0 {
		t.Errorf("post and the journal's goroutine allocate %v times an event, want 0", n)
	}
	if err := j.close(10 * time.Second); err != nil {
		t.Error(err)
	}
}
