package journal

import (
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/prober"
	"github.com/quietws/quietws/core/internal/remedy"
)

// handle handles the entry in j.now.
func (j *Journal) handle() {
	now := time.Now()
	if !j.soonest.IsZero() && !now.Before(j.soonest) {
		j.due(now) // a window that is over must not count this entry
	}
	switch {
	case j.now.flushed != nil:
		j.endBurst(now, true)
		close(j.now.flushed)
	case j.now.note != nil:
		n := j.now.note
		if n.callback == "" || j.repeats.callback(now, n) {
			j.write(n.line)
		}
	default:
		j.event(now, &j.now.event, j.now.as)
		if j.config.Observe != nil {
			// After the line, so that the observer cannot change the stack or
			// the error in it.
			j.observe(now, &j.now.event)
		}
	}
	j.now.putBack()
	j.reportLosses(now, false)
	j.soonest = j.deadline()
}

// event counts one event, and logs it as its policy says. Most events have no line. For
// those the stack of a new goroutine should not have to grow, so the locals of a line
// belong to other functions.
func (j *Journal) event(now time.Time, e *event.Event, as Special) {
	if e.Class.String() == event.Undecided.String() { // or a class outside the set
		e.Class = event.Undecided
	}
	level, how := policyOf(e, as)
	if withoutRequest(e) {
		j.write(j.floods.add(now, e)...)
	}
	switch how {
	case logElsewhere:
		j.summary.add(now, e, false)
		j.suppressed(e.Class, 1)
	case logDebug:
		j.debug(e)
	case logCounted:
		j.summary.add(now, e, true)
		j.suppressed(e.Class, 1)
		j.debug(e)
	case logChange:
		j.summary.add(now, e, true)
		if as == OffSocket {
			j.seen.first(e.Class, e.Prober) // this line says all that the line of a first probe says
		}
		j.log(e, level, specialMessages[as], "")
	case logOnce:
		j.summary.add(now, e, true)
		if j.seen.first(e.Class, e.Prober) {
			j.log(e, level, msgSeen, remedy.ForProbe(e.Class))
			break
		}
		j.suppressed(e.Class, 1)
		j.debug(e)
	case logFull:
		j.summary.add(now, e, false)
		if !j.repeats.add(now, level, e) {
			j.suppressed(e.Class, 1)
		} else if j.enabled(level) {
			j.log(e, level, messages[e.Class].first, "")
		}
	}
	if e.Class == event.HTTPProbe && j.bursts.probe(now) {
		j.openBurst(now)
	}
}

// debug logs e at Debug.
func (j *Journal) debug(e *event.Event) {
	if j.enabled(slog.LevelDebug) {
		j.log(e, slog.LevelDebug, messages[e.Class].first, "")
	}
}

// log writes the line of e. hint is a remedy that is not in e, "" for none.
//
//go:noinline
func (j *Journal) log(e *event.Event, level slog.Level, msg, hint string) {
	attrs := lineAttrs(e)
	if hint != "" {
		attrs = append(attrs, slog.String("remedy", hint))
	}
	j.write(line{e.Time, level, msg, attrs})
}

// suppressed counts n events that got no line of their own.
func (j *Journal) suppressed(c event.Class, n uint64) {
	j.summary.suppressed += n
	j.config.Suppressed(c, n)
}

// observe calls the observer and contains its panic.
func (j *Journal) observe(now time.Time, e *event.Event) {
	defer func() {
		if p := recover(); p != nil {
			stack := debug.Stack()
			if j.repeats.observer(now, e, p) {
				j.write(line{now, slog.LevelError, msgObserver, []slog.Attr{slog.String("class", e.Class.String()),
					slog.String("panic", PanicText(p)), slog.String("stack", stackText(stack))}})
			}
		}
	}()
	j.config.Observe(*e)
}

// due writes what the deadlines that have passed ask for.
func (j *Journal) due(now time.Time) {
	j.endBurst(now, false)
	j.write(j.repeats.due(now, false)...)
	if j.summary.over(now) {
		j.endBurst(now, true) // what it counted belongs to this summary
		if l, changed := j.summary.take(now, j.lost.Load()); changed {
			j.write(l)
		}
	}
	j.write(j.floods.due(now)...)
	j.reportLosses(now, false)
	j.soonest = j.deadline()
}

// openBurst opens a window in which repeated probes are only counted, unless each probe
// has a reader: an observer, or a log at Debug.
func (j *Journal) openBurst(now time.Time) {
	if j.config.Observe != nil || j.closed.Load() || j.enabled(slog.LevelDebug) {
		j.bursts.close()
		return
	}
	j.bursts.open(now)
}

// endBurst ends the running window if it is over, or at once. If probes were counted in
// a window that is over, the next one follows without a gap: in a gap all the probes of
// a crowd would be posted.
func (j *Journal) endBurst(now time.Time, atOnce bool) {
	counts, goesOn := j.bursts.end(now, atOnce)
	for p, n := range counts {
		if n > 0 {
			j.summary.addProbes(now, prober.Prober(p), n)
			j.suppressed(event.HTTPProbe, n)
		}
	}
	if goesOn {
		j.openBurst(now)
	}
}
