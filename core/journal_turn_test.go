package core

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/quietws/quietws/core/event"
)

// An application's leak tests must find nothing of a guard that it has not closed.
// In a bubble of synctest time stands still once the test has returned: the journal
// may not even wait for a timer.
func TestJournalGoroutineEndsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &logLines{level: slog.LevelInfo}
		j := newJournal(journalConfig{logger: slog.New(log)})
		for _, c := range event.Classes() {
			j.post(&event.Event{Class: c, Platform: true})
			j.post(&event.Event{Class: c, Platform: true})
		}
		synctest.Wait()
		if turn := j.turn.Load(); turn != turnFree {
			t.Errorf("the journal's goroutine is still there when all is told (turn %d)", turn)
		}
		log.take()
		after(2 * time.Hour)
		if len(log.take()) == 0 {
			t.Error("without the goroutine no window and no summary was told")
		}
		if turn := j.turn.Load(); turn != turnFree {
			t.Errorf("the timer's turn has not ended (turn %d)", turn)
		}
	})
}

// The same of a whole server that was shut down and whose guard was not closed.
func TestNoGoroutineIsLeftWithoutClose(t *testing.T) {
	before := goleak.IgnoreCurrent()
	g, err := New(Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- g.Serve(ctx, &http.Server{Handler: http.NotFoundHandler()}, ln) }()
	for _, text := range []string{"", "nonsense\r\n\r\n", "GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", upgradeGET} {
		dialed(t, ln.Addr().String(), func(c net.Conn) {
			_, _ = io.WriteString(c, text)
			if text != "" {
				_, _ = c.Read(make([]byte, 512))
			}
		})
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
	if err := goleak.Find(before); err != nil {
		t.Errorf("without Guard.Close: %v", err)
	}
}

// The goroutine ends and comes back at any moment: no event may be lost or
// overtaken then, and none may wait for the next.
func TestJournalHandOver(t *testing.T) {
	const posters, each = 4, 4000
	var next [posters]int
	all := make(chan struct{})
	left := posters * each
	room := make(chan struct{}, queueSize/2)
	j := newJournal(journalConfig{logger: slog.New(slog.DiscardHandler), observe: func(e event.Event) {
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
				j.post(&event.Event{Class: event.HTTP, Status: p*each + n})
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
	if n := j.dropped(); n != 0 {
		t.Errorf("%d were dropped", n)
	}
	if err := j.close(time.Second); err != nil {
		t.Error(err)
	}
}

// Close gives up on a logger that blocks: what waits behind it is counted.
func TestJournalCountsWhatCloseGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		j := newJournal(journalConfig{logger: slog.New(&logLines{before: func(slog.Record) { <-release }})})
		j.post(&event.Event{Class: event.HandlerPanic})
		synctest.Wait()
		for range 7 {
			j.post(&event.Event{Class: event.TCPProbe})
		}
		if err := j.close(time.Second); err == nil {
			t.Error("no error, though the logger blocks")
		}
		j.post(&event.Event{Class: event.TCPProbe})
		close(release)
		synctest.Wait()
		if n := j.dropped(); n != 8 {
			t.Errorf("dropped() = %d, want the 7 that waited and the one after close", n)
		}
	})
}

// A goroutine that is about to end looks once more: what came while it held the turn
// started no other.
func TestJournalGivesUpOnlyWhatIsDone(t *testing.T) {
	for _, row := range []struct {
		came string
		come func(*journal)
		ends bool
	}{
		{"nothing", func(*journal) {}, true},
		{"an event", func(j *journal) { j.post(&event.Event{Class: event.TCPProbe}) }, false},
		{"the timer", (*journal).ring, false},
		{"close", func(j *journal) { j.closed.Store(true); j.wake() }, false},
	} {
		j := newJournal(journalConfig{logger: slog.New(slog.DiscardHandler)})
		j.once.Do(j.start)
		j.turn.Store(turnTaken)
		row.come(j)
		if ends := j.giveUp(); ends != row.ends || (j.turn.Load() == turnFree) != row.ends {
			t.Errorf("%s came: it ends %t, the turn is %d", row.came, ends, j.turn.Load())
		}
	}
}
