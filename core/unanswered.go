package core

import (
	"time"

	"github.com/quietws/quietws/core/event"
)

// unansweredAfter is how long after a hijack a handshake may stay unanswered until that
// is logged. A proxy may need a while to ask the server behind it.
const unansweredAfter = 3 * time.Second

// await has it logged if the handshake, whose connection was just taken over, is
// not answered soon. One timer is there for all: only where it finds a handshake
// that still waits does it look at the connections.
func (x *exchange) await() {
	x.set(stateAwaited)
	x.g.awaited.Add(1)
	x.g.awaitFor(x.g.patience)
}

func (g *Guard) awaitFor(d time.Duration) {
	if g.awaiting.CompareAndSwap(false, true) {
		time.AfterFunc(d, g.lookForUnanswered)
	}
}

// awaitOver ends await: the handshake was answered, or its connection is closed.
func (x *exchange) awaitOver() {
	if x.state.And(^stateAwaited)&stateAwaited != 0 {
		x.g.awaited.Add(-1)
	}
}

func (g *Guard) lookForUnanswered() {
	g.awaiting.Store(false)
	if g.awaited.Load() == 0 {
		return
	}
	next := time.Duration(0)
	for _, c := range g.watch.Conns.All() {
		x := occupantOf(c)
		if x == nil || !x.is(stateAwaited) {
			continue
		}
		if left := x.openedAt + g.patience - g.now(); left > 0 {
			if next == 0 || left < next {
				next = left
			}
			continue
		}
		x.awaitOver()
		if !c.PeerGone() && x.set(stateUnanswered) {
			e := x.unanswered()
			g.tell(&e)
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
