// Package journal turns events into log lines: the first of a kind at once, repeats
// collapsed, what is quiet in summaries, floods told. Nothing that posts an event waits
// for a log.
package journal

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quietws/quietws/core/event"
)

// QueueSize is how many events may wait for the logger. It is reached only
// while the logger or Config.Observe is slower than the network.
const QueueSize = 1024

type Config struct {
	Logger  *slog.Logger
	Observe func(event.Event)
	// collapse is the window of a failure, summary the interval of the
	// summaries; summary < 0: none.
	Collapse, Summary time.Duration
	// suppressed counts events that got no line of their own. It is called
	// from the journal's goroutine and must be cheap.
	Suppressed func(event.Class, uint64)
}

// A journal turns events into log lines. It owns one bounded queue and one
// goroutine, so that nothing that accepts, serves or closes a connection ever
// waits for a logger. The goroutine is there only while there is something to
// write: it ends when the queue is empty, and the next event, the timer or close
// starts it again. What follows done belongs to that goroutine, which is why there
// is no lock: turn hands it from one to the next.
type Journal struct {
	Config

	once      sync.Once
	started   atomic.Bool
	turn      atomic.Int32 // whose turn it is: turnFree and so on
	rung      atomic.Bool  // the timer went off
	closed    atomic.Bool
	abandoned atomic.Bool // close gave up waiting: stop at the next entry
	lost      atomic.Uint64
	late      atomic.Uint64 // came when it was closed
	queue     chan *entry   // made at the first post
	run       func()        // loop, made once: a method value would allocate at each start
	done      chan struct{}

	now      *entry // the one in hand
	timer    *time.Timer
	next     time.Time // what timer is set to; zero: it is not running
	seen     firstSights
	failures failureTable
	picture  picture
	floods   floodWatch
	hush     hush
	lostTold uint64
	lostNext time.Time // no second line about lost ones before
}

// The values of journal.turn.
const (
	turnFree  int32 = iota // no goroutine runs
	turnTaken              // one does
	turnOver               // close has ended the last one
)

// An entry is an event, a state line or the mark of a flush.
type entry struct {
	event   event.Event
	as      Special
	note    *noteLine
	flushed chan struct{}
}

// entries are those that nobody has in hand, *entry. A queue of entries
// themselves would have a third of a megabyte, which each collection reads: in a
// server whose heap is as small as Go lets it be, that is one collection in six.
var entries sync.Pool

// newEntry returns one that is empty. They are made four at a time, for a burst
// that comes before the journal's goroutine is awake: few allocations, and no more
// kept by one that waits.
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

type noteLine struct {
	at    time.Time
	level slog.Level
	msg   string
	attrs []slog.Attr

	callback, panicked string // of a panic of user code, whose repeats are collapsed
}

// New starts nothing: a guard that never sees an event has no goroutine.
func New(c Config) *Journal {
	return &Journal{Config: c, done: make(chan struct{})}
}

func (j *Journal) start() {
	j.run = j.loop
	j.timer = time.AfterFunc(time.Hour, j.ring)
	j.timer.Stop()
	j.queue = make(chan *entry, QueueSize)
	j.started.Store(true)
}

// wake starts the goroutine if none runs. One that is about to end looks once
// more, after it has given up its turn, for what came before.
func (j *Journal) wake() {
	switch j.turn.Load() {
	case turnFree:
		if j.turn.CompareAndSwap(turnFree, turnTaken) {
			go j.run()
		}
	case turnOver: // what close gave up, or was posted while it ended
		for {
			select {
			case it := <-j.queue:
				j.late.Add(1)
				it.putBack()
				continue
			default:
			}
			return
		}
	}
}

// ring is what the timer calls.
func (j *Journal) ring() {
	j.rung.Store(true)
	j.wake()
}

// post hands over one event. It never blocks and may be called from anywhere,
// Accept and Close too. An event that finds the queue full, or the journal
// closed, is dropped and counted. What e refers to must not change any more.
func (j *Journal) Post(e *event.Event) { j.PostAs(e, Ordinary) }

// postAs is post for an event of which there is more to say.
func (j *Journal) PostAs(e *event.Event, as Special) {
	if e.Class == event.HTTP && j.Observe == nil {
		return // by far the most frequent, and nobody wants it
	}
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	j.offer(e, as, nil)
}

// note writes a line about the server rather than about a connection: start,
// drain, accept errors. It goes through the same queue, so that lines keep
// their order, and is never collapsed. Its attributes are logged as they are.
func (j *Journal) Note(level slog.Level, msg string, attrs ...slog.Attr) {
	j.offer(new(event.Event), Ordinary, &noteLine{at: time.Now(), level: level, msg: msg, attrs: attrs})
}

func (j *Journal) offer(e *event.Event, as Special, note *noteLine) {
	if j.closed.Load() { // counted, but not told: nobody is there to tell it
		j.late.Add(1)
		return
	}
	j.once.Do(j.start)
	it := newEntry()
	it.event, it.as, it.note = *e, as, note
	select {
	case j.queue <- it: // nil, hence never ready, if close came first
		j.wake()
	default:
		j.lost.Add(1)
		it.putBack()
	}
}

// dropped is how many events and lines were lost: the queue was full, the
// journal closed, or the log handler panicked.
func (j *Journal) Dropped() uint64 { return j.lost.Load() + j.late.Load() }

// close handles what is queued, writes the repeats that are still being
// counted, and ends the goroutine for good. A logger that blocks for ever costs
// its caller no more than timeout: then the error says so, and the goroutine ends
// as soon as the logger lets go of it. Events posted meanwhile are dropped.
// It may be called again, and before anything was posted.
func (j *Journal) Close(timeout time.Duration) error {
	j.closed.Store(true)
	j.once.Do(func() { j.turn.Store(turnOver); close(j.done) })
	j.wake()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-j.done:
		return nil
	case <-timer.C:
	}
	j.abandoned.Store(true)
	return fmt.Errorf("quietws: the log was not written within %v: Config.Logger or Config.Observe blocks", timeout)
}

// loop handles what is there and ends.
func (j *Journal) loop() {
	ended := false
	defer func() {
		// User code that calls runtime.Goexit, such as t.FailNow, must not take
		// the log with it.
		if !ended {
			go j.run()
		}
	}()
	for !j.closed.Load() {
		if j.rung.Load() && j.rung.Swap(false) {
			j.due(time.Now())
		}
		select {
		case j.now = <-j.queue:
			j.handle()
			continue
		default:
		}
		if j.giveUp() {
			ended = true
			return
		}
	}
	j.finish()
	ended = true
	j.turn.Store(turnOver)
	close(j.done)
	j.wake()
}

// giveUp gives up the turn, and reports whether it stays so: what came while it was
// taken has started no other goroutine.
func (j *Journal) giveUp() bool {
	j.turn.Store(turnFree)
	done := len(j.queue) == 0 && !j.rung.Load() && !j.closed.Load()
	return done || !j.turn.CompareAndSwap(turnFree, turnTaken)
}

// finish empties the queue and tells what is pending.
func (j *Journal) finish() {
	for !j.abandoned.Load() {
		select {
		case j.now = <-j.queue:
			j.handle()
			continue
		default:
		}
		j.timer.Stop()
		j.endHush(time.Now(), true)
		j.repeats(time.Now(), true)
		j.tellLost(time.Now(), true)
		return
	}
	j.timer.Stop()
	j.endHush(time.Now(), true)
}

func (j *Journal) handle() {
	now := time.Now()
	if !j.next.IsZero() && !now.Before(j.next) {
		j.due(now) // the timer is only one of many that want the goroutine
	}
	switch {
	case j.now.flushed != nil:
		j.endHush(now, true)
		close(j.now.flushed)
	case j.now.note != nil:
		j.line(now, j.now.note)
	default:
		j.tell(now, &j.now.event, j.now.as)
		if j.Observe != nil {
			// After the line: what the observer does to the stack or the error
			// is then its own affair.
			j.show(now, &j.now.event)
		}
	}
	j.now.putBack()
	j.tellLost(now, false)
}

// putBack gives it to who needs one next. What it had is let go.
func (it *entry) putBack() {
	*it = entry{}
	entries.Put(it)
}

func (j *Journal) line(now time.Time, n *noteLine) {
	if n.callback != "" && j.callbackAgain(now, n) {
		return
	}
	j.write(n.at, n.level, n.msg, n.attrs...)
}

// show calls the observer and contains its panic.
func (j *Journal) show(now time.Time, e *event.Event) {
	defer func() {
		if p := recover(); p != nil {
			j.observerPanicked(now, e, p, debug.Stack())
		}
	}()
	j.Observe(*e)
}

// due does what a deadline asks for. Each part arms the timer anew if it has
// one left; if none has, no timer runs.
func (j *Journal) due(now time.Time) {
	j.next = time.Time{}
	j.endHush(now, false)
	j.repeats(now, false)
	j.summarize(now)
	j.floodMinute(now)
	j.tellLost(now, false)
}

// arm makes sure that due runs at that time or before.
func (j *Journal) arm(at time.Time) {
	if j.next.IsZero() || at.Before(j.next) {
		j.next = at
		j.timer.Reset(time.Until(at))
	}
}
