// Package journal turns events into log lines. The first event of a kind is logged at
// once and in full, repeats are collapsed into one line, quiet events appear in the
// summary, and a flood gets one line at its start and one at its end. Posting an event
// never waits for the logger.
//
// What to change where:
//
//   - the level of a class, and whether it is logged in full, once or only counted: policyOf (policy.go)
//   - the texts of the lines: policy.go; their attributes: attrs.go
//   - when a repeat is collapsed, and what makes two failures the same: repeats.go
//   - when a summary is printed: summary.go
//   - what counts as a flood: floods.go
//   - when probes are counted without being posted: bursts.go
//
// Each of these parts has its own state. It takes the time and an event, returns the
// lines to write, and has a deadline. Only [Journal] has the queue, the goroutine, the
// timer and the logger: turn.go runs the goroutine, handle.go asks the parts, line.go
// writes.
package journal

import (
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/prober"
)

// QueueSize is how many events may wait for the logger. The queue fills only when the
// logger or Config.Observe is slower than the network.
const QueueSize = 1024

// Config is what a Journal needs from its guard. Logger and Suppressed must be set, and
// Collapse must be positive.
type Config struct {
	Logger *slog.Logger
	// Observe gets every event after its line is written; nil for none.
	Observe func(event.Event)
	// Collapse is how long repeats of a failure are counted before they get a line.
	Collapse time.Duration
	// Summary is the time between two summaries; negative for none.
	Summary time.Duration
	// Suppressed counts events that got no line of their own. It is called from the
	// journal's goroutine and must be cheap.
	Suppressed func(event.Class, uint64)
}

// Journal turns events into log lines. It has one bounded queue and one goroutine, so
// that accepting, serving and closing connections never wait for a logger. The
// goroutine exists only while there is something to write: it ends when the queue is
// empty, and the next event, the timer or Close starts it again.
type Journal struct {
	config Config
	done   chan struct{} // closed when the last goroutine has ended

	// Shared by all goroutines. queue and run are set once, by start.
	startOnce sync.Once
	queue     chan *entry
	run       func() // loop; a method value would allocate at each start
	started   atomic.Bool
	turn      atomic.Int32 // which goroutine may run: turnFree and so on
	rung      atomic.Bool  // the timer has fired
	closed    atomic.Bool
	abandoned atomic.Bool   // Close stopped waiting: end at the next entry
	lost      atomic.Uint64 // lines that were lost and are to be reported
	late      atomic.Uint64 // events that came after Close: counted, not reported
	bursts    bursts        // partly shared, see there

	// The rest belongs to the goroutine whose turn it is, so it needs no lock.
	now     *entry // the entry being handled
	timer   *time.Timer
	next    time.Time // when timer fires; zero: it does not run
	soonest time.Time // the earliest deadline of the parts; zero: none has one
	seen    onceTable
	repeats repeats
	summary summary
	floods  floods
	losses  losses
}

// New returns a Journal and starts nothing: a guard that never sees an event has no
// goroutine.
func New(c Config) *Journal {
	return &Journal{
		config:  c,
		done:    make(chan struct{}),
		repeats: repeats{window: c.Collapse},
		summary: summary{every: c.Summary},
		losses:  losses{window: c.Collapse},
	}
}

// An entry is an event, a line that is ready, or the mark of a Flush.
type entry struct {
	event   event.Event
	as      Special
	note    *note
	flushed chan struct{}
}

// A note is a line that does not come from an event.
type note struct {
	line
	callback, panicText string // of a panic of user code, whose repeats are collapsed
}

// entries holds the free entries, *entry. A queue of entries rather than pointers would
// take a third of a megabyte, and each garbage collection would scan it. In a server
// with a very small heap that adds one collection in six.
var entries sync.Pool

// newEntry returns an empty entry. Entries are made four at a time, for a burst that
// comes before the journal's goroutine is awake: few allocations, and an entry that
// waits keeps only three others alive.
func newEntry() *entry {
	if it, ok := entries.Get().(*entry); ok {
		return it
	}
	more := new([4]entry)
	for i := range more[1:] {
		entries.Put(&more[1+i])
	}
	return &more[0]
}

// putBack empties the entry and makes it free.
func (it *entry) putBack() {
	*it = entry{}
	entries.Put(it)
}

// Post hands over one event. It never blocks and may be called from anywhere, including
// Accept and Close. If the queue is full or the journal is closed, the event is dropped
// and counted. Nothing that e refers to may change after the call.
func (j *Journal) Post(e *event.Event) { j.PostAs(e, Ordinary) }

// PostAs is Post for an event that needs more than the event itself says.
func (j *Journal) PostAs(e *event.Event, as Special) {
	if e.Class == event.HTTP && j.config.Observe == nil {
		return // by far the most frequent event, and it has no line
	}
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	j.offer(e, as, nil)
}

// Note writes a line about the server rather than about a connection: start, drain,
// accept errors. Notes use the same queue as events, so the lines keep their order.
// They are never collapsed, and their attributes are logged as they are.
func (j *Journal) Note(level slog.Level, msg string, attrs ...slog.Attr) {
	j.offer(new(event.Event), Ordinary, &note{line: line{time.Now(), level, msg, attrs}})
}

// CallbackPanicked posts a panic of user code other than a handler or the observer, for
// example of a function that is called for each session at a drain. what names the
// callback.
func (j *Journal) CallbackPanicked(what string, p any, stack []byte) {
	text := PanicText(p)
	j.offer(new(event.Event), Ordinary, &note{
		callback: what, panicText: text,
		line: line{time.Now(), slog.LevelError, msgCallback, []slog.Attr{
			slog.String("callback", what), slog.String("panic", text), slog.String("stack", stackText(stack)),
		}},
	})
}

// InBurst reports whether an answered probe by p from a is one of a burst. If so, it has
// been counted and must not be posted. If not, post it.
func (j *Journal) InBurst(a netip.Addr, p prober.Prober, route uint8) bool {
	return j.bursts.suppress(a, p, route)
}

// Dropped returns how many events and lines were lost since the start: the queue was
// full, the journal was closed, or the log handler panicked.
func (j *Journal) Dropped() uint64 { return j.lost.Load() + j.late.Load() }

// offer puts an event or a note into the queue, or counts it as lost.
func (j *Journal) offer(e *event.Event, as Special, n *note) {
	if j.closed.Load() { // counted, but no line will report it any more
		j.late.Add(1)
		return
	}
	j.startOnce.Do(j.start)
	it := newEntry()
	it.event, it.as, it.note = *e, as, n
	select {
	case j.queue <- it: // a nil queue is never ready: Close came first
		j.wake()
	default:
		j.lost.Add(1)
		it.putBack()
	}
}
