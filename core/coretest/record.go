package coretest

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/quietws/quietws/core/event"
)

// line is one line of the log.
type line struct {
	level  slog.Level
	msg    string
	attrs  map[string]string
	record slog.Record
}

func (l line) String() string {
	s := l.level.String() + " " + fmt.Sprintf("%q", l.msg)
	keys := make([]string, 0, len(l.attrs))
	for k := range l.attrs {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		v := l.attrs[k]
		if len(v) > 160 {
			v = v[:160] + "…"
		}
		s += " " + k + "=" + fmt.Sprintf("%q", v)
	}
	return s
}

// recorder is a slog.Handler that keeps every line, of every level.
type recorder struct {
	mu    sync.Mutex
	lines []line
}

func (r *recorder) Enabled(context.Context, slog.Level) bool { return true }
func (r *recorder) WithAttrs([]slog.Attr) slog.Handler       { return r }
func (r *recorder) WithGroup(string) slog.Handler            { return r }

func (r *recorder) Handle(_ context.Context, rec slog.Record) error {
	l := line{rec.Level, rec.Message, make(map[string]string), rec.Clone()}
	rec.Attrs(func(a slog.Attr) bool {
		l.attrs[a.Key] = a.Value.Resolve().String()
		return true
	})
	r.mu.Lock()
	r.lines = append(r.lines, l)
	r.mu.Unlock()
	return nil
}

func (r *recorder) all() []line {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.lines)
}

// logged returns the lines about connections at Info and above, which an operator sees.
// They have a class; lines about the server itself have none.
func (r *recorder) logged() []line {
	return slices.DeleteFunc(r.all(), func(l line) bool {
		return l.level < slog.LevelInfo || l.attrs["class"] == ""
	})
}

// events keeps what [core.Config.Observe] gets.
type events struct {
	mu  sync.Mutex
	all []event.Event
}

func (o *events) observe(e event.Event) {
	o.mu.Lock()
	o.all = append(o.all, e)
	o.mu.Unlock()
}

func (o *events) list() []event.Event {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.all)
}

// of returns the events of class c.
func (o *events) of(c event.Class) []event.Event {
	return slices.DeleteFunc(o.list(), func(e event.Event) bool { return e.Class != c })
}

// buffer is a bytes.Buffer that is safe for concurrent use.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) lines() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := strings.TrimSuffix(b.b.String(), "\n")
	if s == "" {
		return nil
	}
	return strings.Split(s, "\n")
}

func describe(e event.Event) string {
	s := fmt.Sprintf("%v/%v status=%d prober=%q %s %s remote=%v platform=%v", e.Class, e.Reason, e.Status, e.Prober, e.Method, e.Path, e.Remote, e.Platform)
	if e.Class == event.SessionEnded {
		s += fmt.Sprintf(" end=%s code=%d in=%d out=%d", e.Session.End, e.Session.Code, e.Session.BytesIn, e.Session.BytesOut)
	}
	if e.Err != nil {
		s += fmt.Sprintf(" err=%T %v", e.Err, e.Err)
	}
	return s
}
