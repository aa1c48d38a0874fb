package journal

import (
	"log/slog"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/journal/logtest"
)

// An application's leak test must find no goroutine of a guard that was not closed. In a
// bubble of synctest time stops when the test returns, so the goroutine may not even
// wait for a timer.
func TestJournalGoroutineEndsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &logtest.Lines{Level: slog.LevelInfo}
		j := startJournal(Config{Logger: slog.New(log)})
		for _, c := range event.Classes() {
			j.Post(&event.Event{Class: c, Platform: true})
			j.Post(&event.Event{Class: c, Platform: true})
		}
		synctest.Wait()
		if turn := j.turn.Load(); turn != turnFree {
			t.Errorf("the journal's goroutine is still there when everything is logged (turn %d)", turn)
		}
		log.Take()
		logtest.After(2 * time.Hour)
		if len(log.Take()) == 0 {
			t.Error("without the goroutine no window and no summary was logged")
		}
		if turn := j.turn.Load(); turn != turnFree {
			t.Errorf("the timer's turn has not ended (turn %d)", turn)
		}
	})
}

// The goroutine may end and start again at any moment: no event may be lost or overtaken,
// and none may wait for the next one.
func TestJournalHandOver(t *testing.T) {
	const posters, each = 4, 4000
	var next [posters]int
	all := make(chan struct{})
	left := posters * each
	room := make(chan struct{}, QueueSize/2)
	j := startJournal(Config{Logger: slog.New(slog.DiscardHandler), Observe: func(e event.Event) {
		poster, n := e.Status/each, e.Status%each
		if n != next[poster] {
			t.Errorf("poster %d: event %d came after %d", poster, n, next[poster]-1)
		}
		next[poster] = n + 1
		<-room
		if left--; left == 0 {
			close(all)
		}
	}})
	var wg sync.WaitGroup
	for p := range posters {
		wg.Go(func() {
			for n := range each {
				room <- struct{}{}
				j.Post(&event.Event{Class: event.HTTP, Status: p*each + n})
				if n%3 == p%3 {
					runtime.Gosched()
				}
			}
		})
	}
	wg.Wait()
	select {
	case <-all:
	case <-time.After(10 * time.Second):
		t.Fatalf("%d events are never handled", left)
	}
	if n := j.Dropped(); n != 0 {
		t.Errorf("%d were dropped", n)
	}
	if err := j.Close(time.Second); err != nil {
		t.Error(err)
	}
}

// Close stops waiting for a logger that blocks: the events behind it are counted.
func TestJournalCountsWhatCloseGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		j := startJournal(Config{Logger: slog.New(&logtest.Lines{Before: func(slog.Record) { <-release }})})
		j.Post(&event.Event{Class: event.HandlerPanic})
		synctest.Wait()
		for range 7 {
			j.Post(&event.Event{Class: event.TCPProbe})
		}
		if err := j.Close(time.Second); err == nil {
			t.Error("no error, though the logger blocks")
		}
		j.Post(&event.Event{Class: event.TCPProbe})
		close(release)
		synctest.Wait()
		if n := j.Dropped(); n != 8 {
			t.Errorf("dropped() = %d, want the 7 that waited and the one after close", n)
		}
	})
}

// A goroutine that is about to end looks once more: what came while it had the turn
// started no other goroutine.
func TestJournalGivesUpOnlyWhatIsDone(t *testing.T) {
	for _, row := range []struct {
		came string
		come func(*Journal)
		ends bool
	}{
		{"nothing", func(*Journal) {}, true},
		{"an event", func(j *Journal) { j.Post(&event.Event{Class: event.TCPProbe}) }, false},
		{"the timer", (*Journal).ring, false},
		{"close", func(j *Journal) { j.closed.Store(true); j.wake() }, false},
	} {
		j := startJournal(Config{Logger: slog.New(slog.DiscardHandler)})
		j.startOnce.Do(j.start)
		j.turn.Store(turnTaken)
		row.come(j)
		if ends := j.giveUp(); ends != row.ends || (j.turn.Load() == turnFree) != row.ends {
			t.Errorf("%s came: it ends %t, the turn is %d", row.came, ends, j.turn.Load())
		}
	}
}
