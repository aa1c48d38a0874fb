package journal

import (
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/quietws/quietws/core/event"
)

// The limits of what is remembered about failures.
const (
	maxFailures       = 256 // kinds of failure at once
	maxFailureSources = 64  // different addresses of one kind in one window
	maxSamples        = 3
)

// A failureKey is what makes two failures the same.
type failureKey struct {
	class  event.Class
	reason event.Reason
	// source is the prober, or else "platform" or "public". Panics of callbacks have
	// no class: source is "observe" for the observer, else the callback's name.
	source string
}

func keyOf(e *event.Event) failureKey {
	k := failureKey{e.Class, e.Reason, e.Prober}
	switch {
	case k.source != "":
	case e.Platform:
		k.source = "platform"
	default:
		k.source = "public"
	}
	return k
}

// A failure is one kind that has been logged, while its window runs.
type failure struct {
	level   slog.Level
	again   string // the message of its repeats
	pair    pair
	reason  event.Reason
	remedy  string
	what    string // the callback that panics, "" for anything else
	end     time.Time
	count   uint64 // repeats in this window
	sources sourceSet
	samples []failureSample
}

type failureSample struct {
	source netip.Addr
	path   string
	text   string
}

// repeats collapses failures. The first of a kind is logged at once. Its repeats are
// counted for a window, and one line reports them at its end. A window with repeats is
// followed by another, in which the first is a repeat too: a failure that goes on costs
// one line a window. After a window without repeats the kind is forgotten.
type repeats struct {
	window time.Duration
	kinds  map[failureKey]*failure
	rest   failure   // failures that found kinds full; they have no first line
	next   time.Time // deadline: the first end of a window; zero: none runs
}

// add counts e, and reports whether it is the first of its kind, which is to be logged
// at once.
func (r *repeats) add(now time.Time, level slog.Level, e *event.Event) (first bool) {
	f, first := r.open(now, keyOf(e), level, messages[e.Class].again)
	if first {
		f.pair.prober, f.remedy = e.Prober, e.Remedy
	} else {
		f.repeat(e)
	}
	return first
}

// observer counts a panic of the observer, which it got for e, in the same way.
func (r *repeats) observer(now time.Time, e *event.Event, p any) (first bool) {
	f, first := r.open(now, failureKey{source: "observe"}, slog.LevelError, msgObserverAgain)
	if !first {
		f.repeat(&event.Event{Remote: e.Remote, Client: e.Client, Path: e.Path, Panic: p})
	}
	return first
}

// callback counts a panic of another callback in the same way.
func (r *repeats) callback(now time.Time, n *note) (first bool) {
	f, first := r.open(now, failureKey{source: n.callback}, n.level, msgCallbackAgain)
	if first {
		f.what = n.callback
		return true
	}
	f.count++
	if len(f.samples) == 0 {
		f.samples = append(f.samples, failureSample{text: n.panicText})
	}
	return false
}

// open returns the failure with that key, and whether this is its first event. It starts
// its window if none runs.
func (r *repeats) open(now time.Time, k failureKey, level slog.Level, again string) (f *failure, first bool) {
	switch f = r.kinds[k]; {
	case f != nil:
	case len(r.kinds) >= maxFailures:
		f = &r.rest
		f.level, f.again = max(f.level, level), msgOverflow
	default:
		if r.kinds == nil {
			r.kinds = make(map[failureKey]*failure)
		}
		f, first = &failure{level: level, again: again, pair: pair{class: k.class}, reason: k.reason}, true
		r.kinds[k] = f
	}
	if f.end.IsZero() {
		r.startWindow(now, f)
	}
	return f, first
}

func (r *repeats) startWindow(now time.Time, f *failure) {
	f.end = now.Add(r.window)
	r.next = sooner(r.next, f.end)
}

// repeat counts e as one more of f.
func (f *failure) repeat(e *event.Event) {
	f.count++
	if e.Remedy != "" && f.again != msgOverflow {
		f.remedy = e.Remedy
	}
	source := sourceOf(e)
	f.sources.add(source, maxFailureSources)
	if len(f.samples) >= maxSamples {
		return
	}
	// Three samples of one source and path would all say the same.
	for _, s := range f.samples {
		if s.source == source && s.path == e.Path {
			return
		}
	}
	f.samples = append(f.samples, failureSample{source, e.Path, sample(e)})
}

// due returns the lines about the repeats in the windows that are over, or in all of
// them, in the order in which the windows end.
func (r *repeats) due(now time.Time, all bool) (lines []line) {
	if !all && (r.next.IsZero() || now.Before(r.next)) {
		return nil
	}
	r.next = time.Time{}
	var over []*failure
	for k, f := range r.kinds {
		switch {
		case !all && now.Before(f.end):
			r.next = sooner(r.next, f.end)
		case f.count == 0:
			delete(r.kinds, k)
		default:
			over = append(over, f)
		}
	}
	slices.SortFunc(over, func(a, b *failure) int { return a.end.Compare(b.end) })
	switch {
	case r.rest.count == 0:
	case !all && now.Before(r.rest.end):
		r.next = sooner(r.next, r.rest.end)
	default:
		over = append(over, &r.rest)
	}
	for _, f := range over {
		lines = append(lines, line{now, f.level, f.again, f.attrs(r.window)})
		f.count, f.sources, f.samples, f.end = 0, sourceSet{}, nil, time.Time{}
		if f != &r.rest && !all {
			r.startWindow(now, f)
		}
	}
	return lines
}

// attrs describes the repeats of f in a window.
func (f *failure) attrs(window time.Duration) []slog.Attr {
	to := make([]slog.Attr, 0, 10)
	if f.pair.class != event.Undecided {
		to = append(to, slog.String("class", f.pair.class.String()))
	}
	if f.reason != event.NoReason {
		to = append(to, slog.String("reason", f.reason.String()))
	}
	if f.pair.prober != "" {
		to = append(to, slog.String("prober", f.pair.word()))
	}
	if f.what != "" {
		to = append(to, slog.String("callback", f.what))
	}
	to = append(to, slog.Uint64("count", f.count))
	if f.what == "" {
		to = f.sources.attrs(to)
	}
	samples := make([]string, len(f.samples))
	for i, s := range f.samples {
		samples[i] = s.text
	}
	to = append(to, slog.Duration("window", window), slog.Any("samples", samples))
	if f.remedy != "" {
		to = append(to, slog.String("remedy", f.remedy))
	}
	return to
}
