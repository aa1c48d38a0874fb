package journal

import (
	"context"
	"log/slog"
	"time"

	"github.com/quietws/quietws/core/event"
)

// tellLost says how much was lost, once there is room again and at most once
// in a window.
func (j *Journal) tellLost(now time.Time, last bool) {
	n := j.lost.Load()
	if n == j.lostTold {
		return
	}
	if !last && now.Before(j.lostNext) {
		j.arm(j.lostNext)
		return
	}
	if !last && len(j.queue) > QueueSize/2 {
		return // every entry that is still waiting comes back here
	}
	if j.try(now, slog.LevelWarn, msgLost, slog.Uint64("count", n-j.lostTold)) {
		j.lostTold = n
	}
	j.lostNext = now.Add(j.Collapse)
}

func (j *Journal) write(at time.Time, level slog.Level, msg string, attrs ...slog.Attr) {
	if !j.try(at, level, msg, attrs...) {
		j.lost.Add(1)
	}
}

// try writes one line and reports whether the handler survived it. The record
// has no source position: it would always be this one.
func (j *Journal) try(at time.Time, level slog.Level, msg string, attrs ...slog.Attr) (ok bool) {
	defer func() { ok = recover() == nil }()
	if h := j.Logger.Handler(); h.Enabled(context.Background(), level) {
		r := slog.NewRecord(at, level, msg, 0)
		r.AddAttrs(attrs...)
		_ = h.Handle(context.Background(), r) // as slog itself: there is nowhere to tell it
	}
	return true
}

// enabled spares the making of attributes that nobody reads.
func (j *Journal) enabled(level slog.Level) (yes bool) {
	defer func() {
		if recover() != nil {
			yes = true // let try count the line
		}
	}()
	return j.Logger.Enabled(context.Background(), level)
}

// suppress counts an event that got no line of its own.
func (j *Journal) suppress(c event.Class) {
	j.picture.suppressed++
	j.Suppressed(c, 1)
}
