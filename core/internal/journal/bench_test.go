package journal

import (
	"io"
	"log/slog"
	"runtime"
	"testing"
	"time"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/journal/logtest"
)

func BenchmarkJournalPost(b *testing.B) {
	e := event.Event{Time: time.Now(), Class: event.TCPProbe, Platform: true, Remote: logtest.From(1), Path: "/ws"}
	quietLogger := slog.New(slog.NewTextHandler(io.Discard, nil))
	b.Run("keeping up", func(b *testing.B) {
		j := startJournal(Config{Logger: quietLogger})
		defer j.Close(time.Second)
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if i%(QueueSize/2) == 0 {
				b.StopTimer()
				_ = j.Flush(b.Context())
				b.StartTimer()
			}
			j.Post(&e)
		}
		if n := j.Dropped(); n > 0 {
			b.Errorf("%d of %d were dropped", n, b.N)
		}
	})
	b.Run("queue full", func(b *testing.B) {
		release := make(chan struct{})
		j := startJournal(Config{Logger: slog.New(&logtest.Lines{Before: func(slog.Record) { <-release }})})
		j.Note(slog.LevelInfo, "block")
		for range QueueSize + 1 {
			j.Post(&e)
		}
		b.ReportAllocs()
		for b.Loop() {
			j.Post(&e)
		}
		close(release)
		_ = j.Close(10 * time.Second)
	})
	b.Run("ordinary request", func(b *testing.B) {
		j := startJournal(Config{Logger: quietLogger})
		e := e
		e.Class = event.HTTP
		b.ReportAllocs()
		for b.Loop() {
			j.Post(&e)
		}
	})
}

// Posting allocates nothing, nor does the goroutine for an event without a line.
func TestJournalPostAllocatesNothing(t *testing.T) {
	j := startJournal(Config{Logger: slog.New(slog.DiscardHandler)})
	e := event.Event{Time: time.Now(), Class: event.HTTPProbe, Platform: true, Remote: logtest.From(1), Path: "/healthz", Prober: "p"}
	j.Post(&e)
	// Wait for the goroutine each time, so that there is a free entry.
	if n := testing.AllocsPerRun(500, func() {
		for j.Post(&e); len(j.queue) > 0; {
			runtime.Gosched()
		}
	}); n != 0 {
		t.Errorf("post and the journal's goroutine allocate %v times an event, want 0", n)
	}
	if err := j.Close(10 * time.Second); err != nil {
		t.Error(err)
	}
}
