package core

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quietws/quietws/core/event"
)

// logLine is one line as a handler got it, groups joined with dots.
type logLine struct {
	time  time.Time
	level slog.Level
	msg   string
	keys  []string
	attrs map[string]slog.Value
}

func (l logLine) String() string {
	s := l.level.String() + " " + l.msg
	for _, k := range l.keys {
		if k != "stack" {
			s += fmt.Sprintf(" %s=%v", k, l.attrs[k])
		}
	}
	return s
}

// logLines is a slog.Handler that keeps what it gets.
type logLines struct {
	mu     sync.Mutex
	level  slog.Level
	before func(slog.Record) // called outside the lock
	lines  []logLine
}

func (h *logLines) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level }
func (h *logLines) WithAttrs([]slog.Attr) slog.Handler           { panic("not used") }
func (h *logLines) WithGroup(string) slog.Handler                { panic("not used") }

func (h *logLines) Handle(_ context.Context, r slog.Record) error {
	if h.before != nil {
		h.before(r)
	}
	l := logLine{time: r.Time, level: r.Level, msg: r.Message, attrs: map[string]slog.Value{}}
	var flat func(string, slog.Attr)
	flat = func(prefix string, a slog.Attr) {
		if a.Value.Kind() == slog.KindGroup {
			for _, b := range a.Value.Group() {
				flat(prefix+a.Key+".", b)
			}
			return
		}
		l.keys = append(l.keys, prefix+a.Key)
		l.attrs[prefix+a.Key] = a.Value
	}
	r.Attrs(func(a slog.Attr) bool { flat("", a); return true })
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines = append(h.lines, l)
	return nil
}

// take returns the lines since the last take.
func (h *logLines) take() []logLine {
	h.mu.Lock()
	defer h.mu.Unlock()
	l := h.lines
	h.lines = nil
	return l
}

// inJournal runs f with a journal on a fake clock and closes it after.
func inJournal(t *testing.T, c journalConfig, f func(t *testing.T, j *journal, log *logLines)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		log := &logLines{level: slog.LevelInfo}
		if c.logger == nil {
			c.logger = slog.New(log)
		} else {
			log = c.logger.Handler().(*logLines)
		}
		j := newJournal(c)
		f(t, j, log)
		if err := j.close(time.Second); err != nil {
			t.Errorf("close: %v", err)
		}
	})
}

// handled waits until j has handled what was posted.
func handled(t *testing.T, j *journal) {
	t.Helper()
	if err := j.flush(t.Context()); err != nil {
		t.Fatalf("flush: %v", err)
	}
}

// inspect reads what belongs to the journal's goroutine. The flush before and
// the one after order that with what the goroutine does.
func inspect(t *testing.T, j *journal, read func()) {
	t.Helper()
	handled(t, j)
	read()
	handled(t, j)
}

// after lets d of fake time go by, and what is due in it be told.
func after(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func wantMessages(t *testing.T, rule string, got []logLine, want ...string) {
	t.Helper()
	ok := len(got) == len(want)
	for i := 0; ok && i < len(got); i++ {
		ok = got[i].msg == want[i]
	}
	if !ok {
		t.Errorf("%s\nwant %q\ngot:", rule, want)
		for i, l := range got {
			if i == 10 {
				t.Errorf("  and %d more", len(got)-i)
				break
			}
			t.Errorf("  %v", l)
		}
	}
}

// wantAttrs checks attributes by their text; "-" means that there is none.
func wantAttrs(t *testing.T, l logLine, want map[string]string) {
	t.Helper()
	for k, v := range want {
		got, ok := l.attrs[k]
		if v == "-" && ok || v != "-" && (!ok || got.String() != v) {
			t.Errorf("attribute %s: want %s, got %v in\n  %v", k, v, got, l)
		}
	}
}

func from(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), uint16(40000+n%1000))
}

func TestJournalNothingBeforeTheFirstEvent(t *testing.T) {
	before := runtime.NumGoroutine()
	j := newJournal(journalConfig{logger: slog.New(slog.DiscardHandler)})
	if j.queue != nil || runtime.NumGoroutine() > before {
		t.Error("newJournal made the queue or a goroutine; a guard that sees nothing must cost nothing")
	}
	if err := j.flush(t.Context()); err != nil {
		t.Errorf("flush before the first event: %v", err)
	}
	j.post(&event.Event{Class: event.HTTP})
	if j.queue != nil {
		t.Error("an ordinary request without an observer reached the queue; it has no line and no reader")
	}
	for range 2 {
		if err := j.close(time.Second); err != nil {
			t.Errorf("close before the first event, and once more: %v", err)
		}
	}
	j.post(&event.Event{Class: event.TCPProbe})
	if n := j.dropped(); n != 1 {
		t.Errorf("an event after close: dropped() = %d, want 1", n)
	}
}

func TestJournalKeepsOrder(t *testing.T) {
	inJournal(t, journalConfig{}, func(t *testing.T, j *journal, log *logLines) {
		j.note(slog.LevelInfo, "one", slog.Int("n", 1))
		j.post(&event.Event{Class: event.HandlerPanic, Panic: "boom"})
		j.note(slog.LevelInfo, "two")
		j.note(slog.LevelInfo, "two")
		handled(t, j)
		got := log.take()
		wantMessages(t, "notes and events are told in the order of their posting; notes are never collapsed",
			got, "one", "handler panicked", "two", "two")
		wantAttrs(t, got[0], map[string]string{"n": "1"})
	})
}

func TestJournalUsesTheTimeOfTheEvent(t *testing.T) {
	inJournal(t, journalConfig{}, func(t *testing.T, j *journal, log *logLines) {
		at := time.Now().Add(-time.Second)
		j.post(&event.Event{Class: event.UpgradeFailed, Time: at})
		j.post(&event.Event{Class: event.HandlerPanic})
		handled(t, j)
		got := log.take()
		if !got[0].time.Equal(at) {
			t.Errorf("line at %v, the event was at %v", got[0].time, at)
		}
		if !got[1].time.Equal(time.Now()) {
			t.Errorf("an event without a time is of now, not of %v", got[1].time)
		}
	})
}

// A logger that blocks for ever must cost the server nothing but log lines.
func TestJournalBlockedLogger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		log := &logLines{before: func(slog.Record) { <-release }}
		j := newJournal(journalConfig{logger: slog.New(log)})
		j.post(&event.Event{Class: event.HandlerPanic})
		synctest.Wait() // the goroutine is now in the handler
		start := time.Now()
		for i := range queueSize + 500 {
			j.post(&event.Event{Class: event.TCPProbe, Remote: from(i)})
		}
		if time.Since(start) != 0 {
			t.Error("post waited for the logger")
		}
		if n := j.dropped(); n != 500 {
			t.Errorf("dropped() = %d, want 500: all that did not fit into the queue", n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := j.flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("flush with a blocked logger: %v, want its context's error", err)
		}
		start = time.Now()
		if err := j.close(2 * time.Second); err == nil {
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

// post is called from everywhere at once, and close may come at any time.
func TestJournalConcurrent(t *testing.T) {
	log := &logLines{level: slog.LevelDebug}
	j := newJournal(journalConfig{logger: slog.New(log)})
	var posters sync.WaitGroup
	for i := range 8 {
		posters.Go(func() {
			for k := range 500 {
				j.post(&event.Event{Class: event.TCPProbe, Remote: from(i), Platform: true})
				if k == 250 && i == 0 {
					if err := j.close(10 * time.Second); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	posters.Wait()
	if err := j.flush(t.Context()); err != nil {
		t.Errorf("flush after close: %v", err)
	}
}

func TestJournalNoTimerWhileNothingHappens(t *testing.T) {
	inJournal(t, journalConfig{}, func(t *testing.T, j *journal, log *logLines) {
		for _, c := range event.Classes() {
			j.post(&event.Event{Class: c, Platform: true})
			j.post(&event.Event{Class: c, Platform: true})
		}
		for i := range 2000 { // a flood
			j.post(&event.Event{Class: event.TCPProbe, Remote: from(1)})
			if i%500 == 0 {
				handled(t, j)
			}
		}
		handled(t, j)
		after(2 * time.Hour)
		inspect(t, j, func() {
			if !j.next.IsZero() {
				t.Errorf("two hours later a timer is set to %v", j.next)
			}
			if n := len(j.failures.kinds); n != 0 || j.floods.from != nil || j.picture.pairs != nil {
				t.Errorf("two hours later there are still %d kinds of failure, flood table %v, picture %v", n, j.floods.from, j.picture.pairs)
			}
		})
	})
}

// The timer is one of several things that want the goroutine. A window that is
// over must not take in events that came after it.
func TestJournalDeadlineBeforeEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		log := &logLines{before: func(r slog.Record) {
			if r.Message == "block" {
				<-release
			}
		}}
		j := newJournal(journalConfig{logger: slog.New(log), collapse: time.Minute})
		for range 20 {
			j.post(&event.Event{Class: event.WrongProtocol})
			j.note(slog.LevelInfo, "block")
			after(2 * time.Minute)
			j.post(&event.Event{Class: event.WrongProtocol})
			release <- struct{}{}
			handled(t, j)
			wantMessages(t, "the window was over when the second came", log.take(), "wrong protocol", "block", "wrong protocol")
			after(2 * time.Minute)
		}
		if err := j.close(time.Second); err != nil {
			t.Error(err)
		}
	})
}
