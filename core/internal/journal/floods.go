package journal

import (
	"log/slog"
	"net/netip"
	"time"

	"github.com/quietws/quietws/core/event"
)

// A flood is more connections without a request, bare or broken, than probers make:
// for a minute, above 2 a second from one source or 20 a second from all. Such
// connections are quiet otherwise, so a flood has to be logged; and it must not fill the
// log, so it gets one line at its start and one after a minute below the limit.
const (
	floodMinute     = time.Minute
	floodFromOne    = 2 * 60
	floodFromAll    = 20 * 60
	maxFloodSources = 4096 // addresses counted in a minute; the rest count in the total
)

// floods counts one minute at a time. A minute begins with the first such connection
// after a calm one.
type floods struct {
	end   time.Time // deadline: the end of the running minute; zero: none runs
	total uint64
	from  map[netip.Addr]uint64
	one   flood // by the sources that are above floodFromOne
	all   flood // by all sources together
}

// A flood is one that goes on; the zero value is none.
type flood struct {
	since   time.Time // zero: none
	last    time.Time // of the last connection above the limit
	above   bool      // the running minute is above the limit too
	count   uint64
	sources sourceSet
	top     netip.Addr // the busiest source, by its count in one minute
	topN    uint64
}

// add counts n more connections from that source and reports whether the flood begins
// with them.
func (f *flood) add(now, minute time.Time, source netip.Addr, n, inMinute uint64) (begins bool) {
	if begins = f.since.IsZero(); begins {
		f.since = minute
	}
	f.above, f.last = true, now
	f.count += n
	f.sources.add(source, maxFloodSources)
	f.busiest(source, inMinute)
	return begins
}

func (f *flood) busiest(source netip.Addr, inMinute uint64) {
	if source.IsValid() && inMinute > f.topN {
		f.top, f.topN = source, inMinute
	}
}

// add counts a connection without a request, and returns the lines of the floods that
// begin with it.
func (w *floods) add(now time.Time, e *event.Event) (lines []line) {
	if w.end.IsZero() {
		w.end = now.Add(floodMinute)
	}
	minute := w.end.Add(-floodMinute)
	w.total++
	source := sourceOf(e)
	n := w.count(source)
	// The connections before the limit was passed are part of the flood.
	if n > floodFromOne && w.one.add(now, minute, source, since(n, floodFromOne), n) {
		lines = w.one.begin(lines, now, msgFloodSource, e.Class)
	}
	if w.total <= floodFromAll {
		return lines
	}
	if w.total == floodFromAll+1 {
		w.allAbove()
	}
	if w.all.add(now, minute, source, since(w.total, floodFromAll), n) {
		lines = w.all.begin(lines, now, msgFlood, e.Class)
	}
	return lines
}

// begin adds the line about the beginning of f to lines. c is the class of the connection
// that passed the limit.
//
//go:noinline
func (f *flood) begin(lines []line, now time.Time, msg string, c event.Class) []line {
	return append(lines, line{now, slog.LevelWarn, msg, f.attrs(c)})
}

// allAbove adds the sources of this minute to the flood from all.
func (w *floods) allAbove() {
	for a, k := range w.from {
		w.all.sources.add(a, maxFloodSources)
		w.all.busiest(a, k)
	}
}

// since returns how many connections the n-th of a minute adds to a flood: all of them
// when the limit is passed, one afterwards.
func since(n, limit uint64) uint64 {
	if n == limit+1 {
		return n
	}
	return 1
}

// count returns how many connections from a there were in this minute, 0 if a is not
// known or the table is full.
func (w *floods) count(a netip.Addr) uint64 {
	if !a.IsValid() {
		return 0
	}
	n, known := w.from[a]
	if !known && len(w.from) >= maxFloodSources {
		return 0
	}
	if w.from == nil {
		w.from = make(map[netip.Addr]uint64)
	}
	w.from[a] = n + 1
	return n + 1
}

// due ends the running minute if it is over, and returns the lines of the floods that
// have stopped. While a flood goes on another minute follows at once.
func (w *floods) due(now time.Time) (lines []line) {
	if w.end.IsZero() || now.Before(w.end) {
		return nil
	}
	for _, f := range []struct {
		*flood
		msg string
	}{{&w.one, msgFloodSourceOver}, {&w.all, msgFloodOver}} {
		if !f.since.IsZero() && !f.above {
			attrs := append(f.attrs(event.Undecided), slog.Duration("duration", f.last.Sub(f.since)))
			lines = append(lines, line{now, slog.LevelInfo, f.msg, attrs})
			*f.flood = flood{}
		}
		f.above = false
	}
	w.total = 0
	clear(w.from)
	if w.one.since.IsZero() && w.all.since.IsZero() {
		w.end, w.from = time.Time{}, nil
		return lines
	}
	w.end = now.Add(floodMinute)
	return lines
}

// attrs describes the flood so far. c is the class of the connection that passed the
// limit; the line at the end has none, because there may have been several.
func (f *flood) attrs(c event.Class) (to []slog.Attr) {
	if c != event.Undecided {
		to = append(to, slog.String("class", c.String()))
	}
	to = append(to, slog.Uint64("count", f.count))
	to = f.sources.attrs(to)
	if f.top.IsValid() {
		to = append(to, slog.String("top_source", f.top.String()), slog.Uint64("top_count", f.topN))
	}
	return append(to, slog.Duration("window", floodMinute))
}
