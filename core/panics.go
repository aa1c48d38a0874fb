package core

import (
	"runtime/debug"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/conn"
	"github.com/quietws/quietws/core/internal/journal"
	"github.com/quietws/quietws/core/internal/usererror"
)

// notePanic ends the request as Done does, if its handler panicked with v. The caller
// recovers v and panics with it again, unless the connection has left HTTP and the layer
// is the innermost one.
func (r *Request) notePanic(v any) {
	r.recordPanic(v, r.x == nil || r.x.buffersReused)
}

// recordPanic is notePanic. reused says that v may contain text in buffers that the
// server reuses.
func (r *Request) recordPanic(v any, reused bool) {
	c, x := r.conn(), r.x
	hijacked := x != nil && x.opened()
	r.done = true
	if c == nil && x == nil {
		return // nothing is known of it; the server logs it
	}
	var g *Guard
	attached := false
	if c != nil {
		g, attached = guardOf(c), c.Saw(conn.Attached)
		c.Mark(conn.Panicked)
	} else {
		g = x.g
	}
	if x == nil || x.set(statePanicked) {
		e := event.Event{Class: event.HandlerPanic, Panic: usererror.FixPanic(v, reused), Stack: debug.Stack()}
		if x != nil {
			x.fill(&e)
		} else {
			g.fill(c, &e)
		}
		// Where the server's log is ours, its own line is swallowed. Elsewhere the
		// server logs the panic, and this line would be the second.
		as := journal.Ordinary
		if !hijacked && !attached {
			as = journal.Elsewhere
		}
		g.logEventAs(&e, as)
	}
	if hijacked {
		_ = c.Close() // net/http never closes it
	}
	if r.begun {
		switch {
		case x == nil:
		case x.is(stateStream):
			x.settle()
		default:
			x.set(stateSettled)
			if !hijacked {
				x.freeSlot()
			}
		}
		r.release()
	}
}
