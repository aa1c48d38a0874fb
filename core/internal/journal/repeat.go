package journal

import (
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/quietws/quietws/core/event"
)

// The bounds of what is remembered about failures.
const (
	maxFailures       = 256 // kinds of failure at once
	maxFailureSources = 64  // different addresses of one kind in one window
	maxSamples        = 3
)

// failureKey is what makes two failures the same.
type failureKey struct {
	class  event.Class
	reason event.Reason
	// source is the prober, or else "platform" or "public". It is "observe"
	// for panics of the observer, and the name of another callback for its
	// panics, which have no class.
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

// A failure is one kind that has been told, while its window runs.
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

// failureTable has the kinds whose window runs. rest is all that found it
// full: those are told only together, at the end of a window.
type failureTable struct {
	kinds map[failureKey]*failure
	rest  failure
}

// open returns the failure of that key, and whether this is its first event
// and so to be told at once.
func (t *failureTable) open(k failureKey, level slog.Level, again string) (f *failure, first bool) {
	if f = t.kinds[k]; f != nil {
		return f, false
	}
	if len(t.kinds) >= maxFailures {
		t.rest.level, t.rest.again = max(t.rest.level, level), msgOverflow
		return &t.rest, false
	}
	if t.kinds == nil {
		t.kinds = make(map[failureKey]*failure)
	}
	f = &failure{level: level, again: again, pair: pair{class: k.class}, reason: k.reason}
	t.kinds[k] = f
	return f, true
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
	// Three from one source for one path would say the same thrice.
	for _, s := range f.samples {
		if s.source == source && s.path == e.Path {
			return
		}
	}
	f.samples = append(f.samples, failureSample{source, e.Path, sample(e)})
}

// fail tells e if it is the first of its kind, and counts it if not.
func (j *Journal) fail(now time.Time, level slog.Level, e *event.Event) {
	f, first := j.failures.open(keyOf(e), level, messages[e.Class].again)
	if first {
		f.pair.prober, f.remedy = e.Prober, e.Remedy
		if j.enabled(level) {
			j.write(e.Time, level, messages[e.Class].first, lineAttrs(e)...)
		}
	} else {
		f.repeat(e)
		j.suppress(e.Class)
	}
	j.window(now, f)
}

// observerPanicked tells a panic of the observer like a failure.
func (j *Journal) observerPanicked(now time.Time, e *event.Event, p any, stack []byte) {
	f, first := j.failures.open(failureKey{source: "observe"}, slog.LevelError, msgObserverAgain)
	if first {
		j.write(now, slog.LevelError, msgObserver, slog.String("class", e.Class.String()),
			slog.String("panic", PanicText(p)), slog.String("stack", stackText(stack)))
	} else {
		f.repeat(&event.Event{Remote: e.Remote, Client: e.Client, Path: e.Path, Panic: p})
	}
	j.window(now, f)
}

// callbackPanicked posts a panic of user code other than a handler's or the
// observer's, such as what is called for each session at a drain.
func (j *Journal) CallbackPanicked(what string, p any, stack []byte) {
	text := PanicText(p)
	j.offer(new(event.Event), Ordinary, &noteLine{
		at: time.Now(), level: slog.LevelError, msg: msgCallback, callback: what, panicked: text,
		attrs: []slog.Attr{slog.String("callback", what), slog.String("panic", text), slog.String("stack", stackText(stack))},
	})
}

// callbackAgain counts a callback's panic as a repeat, and reports whether it is
// one.
func (j *Journal) callbackAgain(now time.Time, n *noteLine) bool {
	f, first := j.failures.open(failureKey{source: n.callback}, n.level, msgCallbackAgain)
	j.window(now, f)
	if first {
		f.what = n.callback
		return false
	}
	f.count++
	if len(f.samples) == 0 {
		f.samples = append(f.samples, failureSample{text: n.panicked})
	}
	return true
}

// window starts the window of f if it has none.
func (j *Journal) window(now time.Time, f *failure) {
	if f.end.IsZero() {
		f.end = now.Add(j.Collapse)
		j.arm(f.end)
	}
}

// repeats tells what was counted in the windows that are over, or in all of
// them. A window with repeats is followed by another, in which again nothing is
// told at once: what goes on failing costs one line a window. A window without
// repeats is the end of its kind, and the next of it is a first one again.
func (j *Journal) repeats(now time.Time, all bool) {
	var over []*failure
	for k, f := range j.failures.kinds {
		switch {
		case !all && now.Before(f.end):
			j.arm(f.end)
		case f.count == 0:
			delete(j.failures.kinds, k)
		default:
			over = append(over, f)
		}
	}
	slices.SortFunc(over, func(a, b *failure) int { return a.end.Compare(b.end) })
	switch rest := &j.failures.rest; {
	case rest.count == 0:
	case !all && now.Before(rest.end):
		j.arm(rest.end)
	default:
		over = append(over, rest)
	}
	for _, f := range over {
		j.tellRepeats(now, f)
		f.count, f.sources, f.samples, f.end = 0, sourceSet{}, nil, time.Time{}
		if f != &j.failures.rest && !all {
			j.window(now, f)
		}
	}
}

func (j *Journal) tellRepeats(now time.Time, f *failure) {
	attrs := make([]slog.Attr, 0, 10)
	if f.pair.class != event.Undecided {
		attrs = append(attrs, slog.String("class", f.pair.class.String()))
	}
	if f.reason != event.NoReason {
		attrs = append(attrs, slog.String("reason", f.reason.String()))
	}
	if f.pair.prober != "" {
		attrs = append(attrs, slog.String("prober", f.pair.word()))
	}
	if f.what != "" {
		attrs = append(attrs, slog.String("callback", f.what))
	}
	attrs = append(attrs, slog.Uint64("count", f.count))
	if f.what == "" {
		attrs = f.sources.attrs(attrs)
	}
	samples := make([]string, len(f.samples))
	for i, s := range f.samples {
		samples[i] = s.text
	}
	attrs = append(attrs, slog.Duration("window", j.Collapse), slog.Any("samples", samples))
	if f.remedy != "" {
		attrs = append(attrs, slog.String("remedy", f.remedy))
	}
	j.write(now, f.level, f.again, attrs...)
}
