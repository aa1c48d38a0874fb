package coretest

import (
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/quietws/quietws/core/event"
)

// finish checks what holds in every row.
func (e *env) finish() {
	e.Helper()
	e.close()
	if e.guard != nil {
		e.sums()
		e.saw()
	}
	e.stop()
	if e.layer.counted() && !e.row.serverLog {
		for _, l := range e.server.lines() {
			if !strings.Contains(l, LogLine) {
				e.Errorf("the server's own log has a line about a connection that the guard watches: %q", l)
			}
		}
	}
}

// sums checks that every connection that the row opened is in one class.
func (e *env) sums() {
	e.Helper()
	s := e.guard.Snapshot()
	want := uint64(e.opened)
	if !e.layer.counted() {
		want = 0
	}
	var sum uint64
	for _, n := range s.Closed {
		sum += n
	}
	if s.Accepted != want || s.Open != 0 || sum != want {
		e.Errorf("the row opened %d connections; accepted = %d, open = %d, sum over classes = %d (%s)", want, s.Accepted, s.Open, sum, nonZero(s.Closed))
	}
	if s.SessionsOpen != 0 {
		e.Errorf("sessions open at the end: %d", s.SessionsOpen)
	}
}

// saw checks that the row had the events that it declares.
func (e *env) saw() {
	e.Helper()
	if e.limit != nil {
		return
	}
	for _, k := range e.row.sees {
		if !slices.ContainsFunc(e.events.list(), func(ev event.Event) bool { return ev.Class == k.class && ev.Reason == k.reason }) {
			e.Errorf("coretest: no event %v/%v", k.class, k.reason)
		}
	}
}

// nothingLeft fails t if a goroutine of quietws outlives the rows.
func nothingLeft(t *testing.T) {
	t.Helper()
	var left string
	ok := eventually(func() bool {
		left = ""
		buf := make([]byte, 4<<20)
		stacks := strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")
		for _, s := range stacks[1:] { // the first is this one
			if strings.Contains(s, "github.com/quietws/quietws/") && !strings.Contains(s, "testing.tRunner") && !strings.Contains(s, "testing.(*M)") {
				left += s + "\n\n"
			}
		}
		return left == ""
	})
	if !ok {
		t.Errorf("goroutines are left when every server is shut down and every guard closed:\n%s", left)
	}
}
