package journal

import (
	"cmp"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/prober"
)

// The limits of a summary.
const (
	maxPairs          = 64   // pairs of class and prober that it names
	maxSummarySources = 4096 // different addresses that it counts
)

// summary counts the events of one interval. The interval begins with the first event
// after the last one. At its end there is a line if the pairs that were kept quiet
// differ from those of the last line. Events that have lines of their own are counted,
// but are no reason for a summary.
type summary struct {
	every      time.Duration // negative: no summaries
	since, end time.Time     // the interval, end is the deadline; zero: nothing happened yet
	pairs      map[pair]tally
	other      uint64 // events of pairs beyond maxPairs
	sources    sourceSet
	suppressed uint64
	printed    map[pair]struct{} // the quiet pairs of the last line
}

// A tally counts the events of one pair.
type tally struct {
	n     uint64
	quiet bool // kept quiet
}

// add counts e.
func (s *summary) add(now time.Time, e *event.Event, quiet bool) {
	if s.every < 0 {
		return
	}
	s.begin(now)
	s.sources.add(sourceOf(e), maxSummarySources)
	s.count(pair{e.Class, e.Prober}, 1, quiet)
}

// addProbes counts n answered probes by p that were not posted. The summary has their
// sources already.
func (s *summary) addProbes(now time.Time, p prober.Prober, n uint64) {
	if s.every >= 0 {
		s.begin(now)
		s.count(pair{event.HTTPProbe, p.String()}, n, true)
	}
}

// begin begins an interval if none runs.
func (s *summary) begin(now time.Time) {
	if s.since.IsZero() {
		s.since, s.end = now, now.Add(s.every)
	}
}

func (s *summary) count(k pair, n uint64, quiet bool) {
	t, known := s.pairs[k]
	if !known && len(s.pairs) >= maxPairs {
		s.other += n
		return
	}
	if s.pairs == nil {
		s.pairs = make(map[pair]tally)
	}
	s.pairs[k] = tally{t.n + n, t.quiet || quiet}
}

// over reports whether the interval is over.
func (s *summary) over(now time.Time) bool {
	return !s.end.IsZero() && !now.Before(s.end)
}

// take ends the interval and returns its line. changed is false if it has none. lost is
// how many lines were lost since the start.
func (s *summary) take(now time.Time, lost uint64) (l line, changed bool) {
	quiet := make(map[pair]struct{})
	for k, t := range s.pairs {
		if t.quiet {
			quiet[k] = struct{}{}
		}
	}
	if changed = len(quiet) > 0 && !maps.Equal(quiet, s.printed); changed {
		l = line{now, slog.LevelInfo, msgSummary, s.attrs(now, lost)}
		s.printed = quiet
	}
	*s = summary{every: s.every, printed: s.printed}
	return l, changed
}

func (s *summary) attrs(now time.Time, lost uint64) []slog.Attr {
	to := []slog.Attr{slog.Duration("window", now.Sub(s.since))}
	to = s.sources.attrs(to)
	sorted := slices.SortedFunc(maps.Keys(s.pairs), func(a, b pair) int {
		return cmp.Or(cmp.Compare(a.class, b.class), cmp.Compare(a.prober, b.prober))
	})
	for i := 0; i < len(sorted); {
		class := sorted[i].class
		var group []slog.Attr
		for ; i < len(sorted) && sorted[i].class == class; i++ {
			group = append(group, slog.Uint64(sorted[i].word(), s.pairs[sorted[i]].n))
		}
		to = append(to, slog.Attr{Key: class.String(), Value: slog.GroupValue(group...)})
	}
	if s.other > 0 {
		to = append(to, slog.Uint64("other", s.other))
	}
	to = append(to, slog.Uint64("suppressed", s.suppressed))
	if lost > 0 {
		to = append(to, slog.Uint64("dropped", lost)) // since the start
	}
	return to
}
