package journal

import (
	"cmp"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/quietws/quietws/core/event"
)

// The bounds of a summary.
const (
	maxPairs          = 64   // pairs of class and prober that it names
	maxSummarySources = 4096 // different addresses that it counts
)

// picture is what happened in the running interval of the summary. All events
// are counted, but the ones that have lines of their own do not by themselves
// make a summary worth printing.
type picture struct {
	since      time.Time // zero: nothing happened since the last summary
	pairs      map[pair]tally
	other      uint64 // events of pairs beyond maxPairs
	sources    sourceSet
	suppressed uint64
	printed    map[pair]struct{} // what the last printed summary showed as kept quiet
}

type tally struct {
	n    uint64
	kept bool // kept quiet
}

// depict counts e for the summary.
func (j *Journal) depict(now time.Time, e *event.Event, kept bool) {
	if j.Summary < 0 {
		return
	}
	j.begin(now)
	j.picture.sources.add(sourceOf(e), maxSummarySources)
	j.picture.count(pair{e.Class, e.Prober}, 1, kept)
}

// depictMore counts n probes of a pair, whose sources the summary knows.
func (j *Journal) depictMore(now time.Time, k pair, n uint64) {
	if j.Summary >= 0 {
		j.begin(now)
		j.picture.count(k, n, true)
	}
}

// begin makes sure that an interval of the summary runs.
func (j *Journal) begin(now time.Time) {
	if p := &j.picture; p.since.IsZero() {
		p.since = now
		j.arm(now.Add(j.Summary))
	}
}

func (p *picture) count(k pair, n uint64, kept bool) {
	t, known := p.pairs[k]
	if !known && len(p.pairs) >= maxPairs {
		p.other += n
		return
	}
	if p.pairs == nil {
		p.pairs = make(map[pair]tally)
	}
	p.pairs[k] = tally{t.n + n, t.kept || kept}
}

// summarize ends the interval if it is over, and prints it if what was kept
// quiet differs from what the last printed one showed. The next interval
// begins with the next event.
func (j *Journal) summarize(now time.Time) {
	p := &j.picture
	if p.since.IsZero() {
		return
	}
	if end := p.since.Add(j.Summary); now.Before(end) {
		j.arm(end)
		return
	}
	j.endHush(now, true) // what it counted belongs to this interval
	kept := make(map[pair]struct{})
	for k, t := range p.pairs {
		if t.kept {
			kept[k] = struct{}{}
		}
	}
	if len(kept) > 0 && !maps.Equal(kept, p.printed) {
		j.write(now, slog.LevelInfo, msgSummary, p.attrs(now, j.lost.Load())...)
		p.printed = kept
	}
	j.picture = picture{printed: p.printed}
}

func (p *picture) attrs(now time.Time, lost uint64) []slog.Attr {
	to := []slog.Attr{slog.Duration("window", now.Sub(p.since))}
	to = p.sources.attrs(to)
	sorted := slices.SortedFunc(maps.Keys(p.pairs), func(a, b pair) int {
		return cmp.Or(cmp.Compare(a.class, b.class), cmp.Compare(a.prober, b.prober))
	})
	for i := 0; i < len(sorted); {
		class := sorted[i].class
		var group []slog.Attr
		for ; i < len(sorted) && sorted[i].class == class; i++ {
			group = append(group, slog.Uint64(sorted[i].word(), p.pairs[sorted[i]].n))
		}
		to = append(to, slog.Attr{Key: class.String(), Value: slog.GroupValue(group...)})
	}
	if p.other > 0 {
		to = append(to, slog.Uint64("other", p.other))
	}
	to = append(to, slog.Uint64("suppressed", p.suppressed))
	if lost > 0 {
		to = append(to, slog.Uint64("dropped", lost)) // since the start
	}
	return to
}
