// Package logtest has a log handler that keeps its lines, for tests of the log.
package logtest

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Line is one line as a handler got it. The keys of groups are joined with dots.
type Line struct {
	Time  time.Time
	Level slog.Level
	Msg   string
	Keys  []string
	Attrs map[string]slog.Value
}

func (l Line) String() string {
	s := l.Level.String() + " " + l.Msg
	for _, k := range l.Keys {
		if k != "stack" {
			s += fmt.Sprintf(" %s=%v", k, l.Attrs[k])
		}
	}
	return s
}

// Lines is a slog.Handler that keeps what it gets.
type Lines struct {
	mu     sync.Mutex
	Level  slog.Level
	Before func(slog.Record) // called outside the lock
	lines  []Line
}

// Enabled implements slog.Handler.
func (h *Lines) Enabled(_ context.Context, l slog.Level) bool { return l >= h.Level }

// WithAttrs implements slog.Handler.
func (h *Lines) WithAttrs([]slog.Attr) slog.Handler { panic("not used") }

// WithGroup implements slog.Handler.
func (h *Lines) WithGroup(string) slog.Handler { panic("not used") }

// Handle implements slog.Handler.
func (h *Lines) Handle(_ context.Context, r slog.Record) error {
	if h.Before != nil {
		h.Before(r)
	}
	l := Line{Time: r.Time, Level: r.Level, Msg: r.Message, Attrs: map[string]slog.Value{}}
	var flat func(string, slog.Attr)
	flat = func(prefix string, a slog.Attr) {
		if a.Value.Kind() == slog.KindGroup {
			for _, b := range a.Value.Group() {
				flat(prefix+a.Key+".", b)
			}
			return
		}
		l.Keys = append(l.Keys, prefix+a.Key)
		l.Attrs[prefix+a.Key] = a.Value
	}
	r.Attrs(func(a slog.Attr) bool { flat("", a); return true })
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines = append(h.lines, l)
	return nil
}

// Take returns the lines since the last Take.
func (h *Lines) Take() []Line {
	h.mu.Lock()
	defer h.mu.Unlock()
	l := h.lines
	h.lines = nil
	return l
}

// After lets d of fake time pass, and waits until all that is due in it has happened.
func After(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// WantMessages checks the messages of lines.
func WantMessages(t *testing.T, rule string, got []Line, want ...string) {
	t.Helper()
	ok := len(got) == len(want)
	for i := 0; ok && i < len(got); i++ {
		ok = got[i].Msg == want[i]
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

// WantAttrs checks attributes by their text; "-" means that there is none.
func WantAttrs(t *testing.T, l Line, want map[string]string) {
	t.Helper()
	for k, v := range want {
		got, ok := l.Attrs[k]
		if v == "-" && ok || v != "-" && (!ok || got.String() != v) {
			t.Errorf("attribute %s: want %s, got %v in\n  %v", k, v, got, l)
		}
	}
}

// From returns an address, a different one for each n.
func From(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), uint16(40000+n%1000))
}
