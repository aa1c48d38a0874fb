package core

import (
	"sync/atomic"
	"time"

	"github.com/quietws/quietws/core/event"
)

// unansweredAfter is the time after a hijack after which an unanswered handshake is
// logged. A proxy may need a while to ask the server behind it.
const unansweredAfter = 3 * time.Second

// unanswered counts the handshakes that were hijacked and not yet answered.
type unanswered struct {
	waiting  atomic.Int64
	looking  atomic.Bool   // the timer is running
	patience time.Duration // unansweredAfter; set by New
}

// await makes sure that the handshake, whose connection was just hijacked, is logged if
// it is not answered soon. All handshakes share one timer, which looks at the connections
// only if a handshake still waits.
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

// unanswered is the event of a handshake that was not answered after the hijack. It is
// counted when the connection ends, because until then an answer may still come.
func (x *exchange) unanswered() (e event.Event) {
	e.Class, e.Reason = event.UpgradeFailed, event.ReasonNothingWritten
	e.Err = x.handlerErr()
	x.fill(&e)
	return e
}
