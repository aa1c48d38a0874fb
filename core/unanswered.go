package core

import (
	"sync/atomic"
	"time"

	"github.com/quietws/quietws/core/event"
)

// unansweredAfter is how long after a hijack a handshake may stay unanswered until that
// is logged. A proxy may need a while to ask the server behind it.
const unansweredAfter = 3 * time.Second

// unanswered counts the handshakes that were taken over and not yet answered.
type unanswered struct {
	waiting  atomic.Int64
	looking  atomic.Bool   // a timer is running
	patience time.Duration // with one of them, unansweredAfter; set by New
}

// await has it logged if the handshake, whose connection was just taken over, is
// not answered soon. One timer is there for all: only where it finds a handshake
// that still waits does it look at the connections.
func (x *exchange) await() {
	x.set(stateAwaited)
	x.g.unanswered.waiting.Add(1)
	x.g.awaitFor(x.g.unanswered.patience)
}

func (g *Guard) awaitFor(d time.Duration) {
	if g.unanswered.looking.CompareAndSwap(false, true) {
		time.AfterFunc(d, g.lookForUnanswered)
	}
}

// awaitOver ends await: the handshake was answered, or its connection is closed.
func (x *exchange) awaitOver() {
	if x.state.And(^stateAwaited)&stateAwaited != 0 {
		x.g.unanswered.waiting.Add(-1)
	}
}

func (g *Guard) lookForUnanswered() {
	g.unanswered.looking.Store(false)
	if g.unanswered.waiting.Load() == 0 {
		return
	}
	next := time.Duration(0)
	for _, c := range g.watch.Conns.All() {
		x := occupantOf(c)
		if x == nil || !x.is(stateAwaited) {
			continue
		}
		if left := x.openedAt + g.unanswered.patience - g.now(); left > 0 {
			if next == 0 || left < next {
				next = left
			}
			continue
		}
		x.awaitOver()
		if !c.PeerGone() && x.set(stateUnanswered) {
			e := x.unanswered()
			g.logEvent(&e)
		}
	}
	if next > 0 {
		g.awaitFor(next)
	}
}

// unanswered is the event of a handshake that was not answered after the hijack. It
// is counted when the connection ends: until then it may be answered yet.
func (x *exchange) unanswered() (e event.Event) {
	e.Class, e.Reason = event.UpgradeFailed, event.ReasonNothingWritten
	e.Err = x.handlerErr()
	x.fill(&e)
	return e
}
