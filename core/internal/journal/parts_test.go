package journal

import (
	"log/slog"
	"testing"
	"time"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/journal/logtest"
)

// Each part works without a Journal: it returns its lines and has its deadline while it
// has something to do, and none before and after.
func TestPartsReturnLinesAndDeadlines(t *testing.T) {
	start := time.Now()
	after := func(d time.Duration) time.Time { return start.Add(d) }
	e := event.Event{Class: event.TCPProbe, Platform: true, Remote: logtest.From(1)}
	check := func(part string, got []line, deadline, want time.Time, msgs ...string) {
		t.Helper()
		ok := len(got) == len(msgs) && deadline.Equal(want)
		for i := 0; ok && i < len(msgs); i++ {
			ok = got[i].msg == msgs[i]
		}
		if !ok {
			t.Errorf("%s: lines %v and deadline %v, want %q and %v", part, got, deadline, msgs, want)
		}
	}

	r := repeats{window: time.Minute}
	if !r.add(start, slog.LevelWarn, &e) || r.add(after(time.Second), slog.LevelWarn, &e) {
		t.Error("the first of a kind is the first, and the second is not")
	}
	check("repeats, window runs", r.due(after(59*time.Second), false), r.next, after(time.Minute))
	check("repeats, window over", r.due(after(time.Minute), false), r.next, after(2*time.Minute), messages[e.Class].again)
	check("repeats, forgotten", r.due(after(2*time.Minute), false), r.next, time.Time{})

	s := summary{every: time.Hour}
	s.add(start, &e, true)
	if s.over(after(time.Hour-1)) || !s.over(after(time.Hour)) || !s.end.Equal(after(time.Hour)) {
		t.Errorf("summary: the interval ends at %v", s.end)
	}
	l, changed := s.take(after(time.Hour), 0)
	if !changed {
		t.Error("summary: the first has no line")
	}
	check("summary", []line{l}, s.end, time.Time{}, msgSummary)

	var f floods
	for range floodFromOne {
		check("floods, below the limit", f.add(start, &e), f.end, after(time.Minute))
	}
	check("floods, above", f.add(start, &e), f.end, after(time.Minute), msgFloodSource)
	check("floods, goes on", f.due(after(time.Minute)), f.end, after(2*time.Minute))
	check("floods, over", f.due(after(2*time.Minute)), f.end, time.Time{}, msgFloodSourceOver)

	var b bursts
	if b.probe(start) || !b.probe(after(time.Millisecond)) {
		t.Error("bursts: the second of two probes in a row begins one")
	}
	b.open(after(time.Millisecond))
	check("bursts, open", nil, b.until, after(time.Millisecond+burstWindow))
	if _, goesOn := b.end(after(time.Minute), false); goesOn {
		t.Error("bursts: a window that counted nothing goes on")
	}
	check("bursts, over", nil, b.until, time.Time{})
	b.stuck.Stop()

	lost := losses{window: time.Minute}
	l, _ = lost.due(start, 3, true, false)
	lost.reported = 3
	check("losses", []line{l}, lost.next, time.Time{}, msgLost)
	_, ok := lost.due(after(time.Second), 4, true, false)
	check("losses, again", nil, lost.next, after(time.Minute))
	if _, last := lost.due(after(time.Second), 4, false, true); ok || !last {
		t.Error("losses: only the last report does not wait")
	}
}
