package journal

import (
	"context"
	"log/slog"
	"time"
)

// A line is one log line that is ready to be written.
type line struct {
	at    time.Time
	level slog.Level
	msg   string
	attrs []slog.Attr
}

// write writes lines, and counts those that the log handler panicked on.
func (j *Journal) write(lines ...line) {
	for i := range lines {
		if !j.try(&lines[i]) {
			j.lost.Add(1)
		}
	}
}

// try writes one line and reports whether the handler survived it. The record has no
// source position, because that would always be this function.
func (j *Journal) try(l *line) (ok bool) {
	defer func() { ok = recover() == nil }()
	if h := j.config.Logger.Handler(); h.Enabled(context.Background(), l.level) {
		r := slog.NewRecord(l.at, l.level, l.msg, 0)
		r.AddAttrs(l.attrs...)
		_ = h.Handle(context.Background(), r) // slog ignores this error too
	}
	return true
}

// enabled reports whether the logger takes lines of that level. If not, their attributes
// need not be made.
func (j *Journal) enabled(level slog.Level) (yes bool) {
	defer func() {
		if recover() != nil {
			yes = true // try then counts the line as lost
		}
	}()
	return j.config.Logger.Enabled(context.Background(), level)
}

// losses says when to report lines that were lost: once there is room again, and at most
// once in a window.
type losses struct {
	window    time.Duration
	reported  uint64
	notBefore time.Time // no further line before
	next      time.Time // deadline: a report is pending; zero: none is
}

// reportLosses writes the line about lost lines if it is time for one.
func (j *Journal) reportLosses(now time.Time, last bool) {
	lost := j.lost.Load()
	if lost == j.losses.reported {
		return
	}
	if l, ok := j.losses.due(now, lost, len(j.queue) <= QueueSize/2, last); ok && j.try(&l) {
		j.losses.reported = lost
	}
}

// due returns the line about lines that are not reported yet, if it is time for it. lost
// is how many were lost since the start, more than were reported. Without room in the
// queue there is no line: each entry that is still waiting ends in another call. last is
// for the call before the end, which does not wait.
func (l *losses) due(now time.Time, lost uint64, room, last bool) (report line, ok bool) {
	l.next = time.Time{}
	switch {
	case last:
	case now.Before(l.notBefore):
		l.next = l.notBefore
		return line{}, false
	case !room:
		return line{}, false
	}
	l.notBefore = now.Add(l.window)
	return line{now, slog.LevelWarn, msgLost, []slog.Attr{slog.Uint64("count", lost-l.reported)}}, true
}
