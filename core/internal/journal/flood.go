package journal

import (
	"log/slog"
	"net/netip"
	"time"

	"github.com/quietws/quietws/core/event"
)

// A flood is more connections without a request, bare or broken, than probers
// make: above 2 a second from one source, or 20 a second in all, for a minute.
// Neither quiet nor the open internet may hide one, and none may fill the log: one
// line when it begins, one when a minute has stayed below.
const (
	floodMinute     = time.Minute
	floodFromOne    = 2 * 60
	floodInAll      = 20 * 60
	maxFloodSources = 4096 // addresses counted in a minute; what is beyond counts in the total
)

// floodWatch counts one minute at a time. A minute begins with the first such
// connection after a calm one.
type floodWatch struct {
	end   time.Time // of the running minute; zero: none runs
	total uint64
	from  map[netip.Addr]uint64
	one   flood // some sources, each above floodFromOne
	all   flood // everybody together
}

// A flood that is under way, or the zero value.
type flood struct {
	since   time.Time // zero: none
	last    time.Time // the last connect above the limit
	above   bool      // the running minute is above the limit too
	count   uint64
	sources sourceSet
	top     netip.Addr // the busiest source, by its count in one minute
	topN    uint64
}

// add counts n more connects from that source and reports whether the flood
// begins with them.
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

// flood counts a connection without a request, and tells the flood that begins with it.
func (j *Journal) flood(now time.Time, e *event.Event) {
	w := &j.floods
	if w.end.IsZero() {
		w.end = now.Add(floodMinute)
		j.arm(w.end)
	}
	minute := w.end.Add(-floodMinute)
	w.total++
	source := sourceOf(e)
	n := w.count(source)
	if n > floodFromOne {
		// The ones before the limit was passed are part of it.
		if w.one.add(now, minute, source, since(n, floodFromOne), n) {
			j.write(now, slog.LevelWarn, msgFloodSource, w.one.attrs(e.Class)...)
		}
	}
	if w.total <= floodInAll {
		return
	}
	if w.total == floodInAll+1 {
		for a, k := range w.from {
			w.all.sources.add(a, maxFloodSources)
			w.all.busiest(a, k)
		}
	}
	if w.all.add(now, minute, source, since(w.total, floodInAll), n) {
		j.write(now, slog.LevelWarn, msgFlood, w.all.attrs(e.Class)...)
	}
}

// since is how many connects the one that is the n-th of its minute adds to a
// flood: all of them when the limit is passed, itself afterwards.
func since(n, limit uint64) uint64 {
	if n == limit+1 {
		return n
	}
	return 1
}

// count returns how many connects from a there were in this minute, 0 if a is
// not known or the table is full.
func (w *floodWatch) count(a netip.Addr) uint64 {
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

// floodMinute ends the running minute if it is over, and with it a flood that
// has stopped. While a flood is under way another minute follows at once.
func (j *Journal) floodMinute(now time.Time) {
	w := &j.floods
	if w.end.IsZero() {
		return
	}
	if now.Before(w.end) {
		j.arm(w.end)
		return
	}
	j.floodOver(now, &w.one, msgFloodSourceOver)
	j.floodOver(now, &w.all, msgFloodOver)
	w.total = 0
	clear(w.from)
	if w.one.since.IsZero() && w.all.since.IsZero() {
		w.end, w.from = time.Time{}, nil
		return
	}
	w.end = now.Add(floodMinute)
	j.arm(w.end)
}

func (j *Journal) floodOver(now time.Time, f *flood, msg string) {
	if !f.since.IsZero() && !f.above {
		attrs := append(f.attrs(event.Undecided), slog.Duration("duration", f.last.Sub(f.since)))
		j.write(now, slog.LevelInfo, msg, attrs...)
		*f = flood{}
	}
	f.above = false
}

// attrs describes the flood so far. The class is that of the connect that
// passed the limit; at the end there may have been several.
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
