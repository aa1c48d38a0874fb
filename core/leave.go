package core

import (
	"context"
	"net"
	"net/http"
)

// Leave ends a request, as Done does, whose handler has asked for the connection
// in a server that hands it over later, in a goroutine of its own, or not at
// all. status is the answer that is about to be written. Where the server tells
// its states, [Adapter.ConnState] says what becomes of it.
func (r *Request) Leave(status int) {
	x := r.x
	switch {
	case r.done:
	case x == nil || !x.asks || !r.begun || status != http.StatusSwitchingProtocols:
		r.Done(status, nil)
	case x.c == nil:
		r.done = true
		x.status.CompareAndSwap(0, int32(status))
		x.freeSlot() // nobody tells of a hijack that does not come
		if !x.own {  // nor of the end of the session
			x.untracked()
		}
	case !x.c.is(flagAttached):
		r.done = true
		x.open(x.c)
		r.release()
	default:
		r.done = true
		x.status.CompareAndSwap(0, int32(status))
		x.set(stateLeaving)
	}
}

// untracked counts a handshake that was accepted and whose session nobody can
// follow.
func (x *exchange) untracked() {
	if x.set(stateSettled | stateConfirmed) {
		x.g.learn(x.path)
		x.g.stats.handshakes[handshakeAccepted][NoReason].Add(1)
	}
}

// left ends the wait for a hijack, and reports whether there was one.
func (x *exchange) left() bool { return x.state.And(^stateLeaving)&stateLeaving != 0 }

// open makes a session of a handshake that was answered 101, once: the server
// and the one that it hands the connection over to may come at the same time.
func (x *exchange) open(nc net.Conn) {
	x.g.opening.Lock()
	defer x.g.opening.Unlock()
	if x.opened() {
		return
	}
	x.status.Store(http.StatusSwitchingProtocols)
	if x.g.config.MaxSessions > 0 && !x.slot {
		x.slot = true
		x.g.slots.Add(1)
	}
	Request{c: x.c, x: x}.Opened(nc)
}

// leave runs when the server has handed the connection over.
func (c *Conn) leave(nc net.Conn) {
	x := c.current.Load()
	if x == nil || !x.left() {
		return
	}
	c.ln.g.unseen.Delete(nc)
	x.open(nc)
	if c.is(flagSeenLate) && !x.own {
		c.over() // it ends here, as far as anyone can see
	}
	c.release()
}

// stayed runs when the server has closed the connection, which it then has not
// handed over.
func (c *Conn) stayed() {
	x := c.current.Load()
	if x == nil || !x.left() {
		return
	}
	x.status.Store(0)
	x.settle()
	Request{c: c, x: x, begun: true}.release()
}

// SessionOn returns the session on a connection that was handed over, nil if
// there is none. It is to be called by the one that it was handed to.
func (a Adapter) SessionOn(nc net.Conn) *Session {
	c := a.g.connOf(nc)
	if c == nil {
		return nil
	}
	x := c.current.Load()
	if x == nil || !x.opened() && !x.is(stateLeaving) {
		return nil
	}
	x.open(nc)
	return (*Session)(x)
}

// RunSession calls f with the session that the request has become, from inside
// the goroutine that the server has handed the connection nc over to, and with a
// context that ends when the connection is closed by this server, when a read or
// a write on it fails, or at the drain's deadline. When f has returned, the
// session is over as far as this side goes: its error is the session's end, a
// panic is told, and what it registered with OnDrain is through.
func (r Request) RunSession(parent context.Context, nc net.Conn, f func(context.Context, *Session) error) {
	x := r.x
	if x == nil {
		_ = f(parent, nil)
		return
	}
	x.open(nc)
	s := (*Session)(x)
	ctx, cancel := context.WithCancelCause(context.WithValue(parent, exchangeKey{}, x))
	x.setCancel(cancel)
	if x.c.is(flagClosed) {
		cancel(errSessionEnded)
	}
	defer func() {
		v := recover()
		s.Settle()
		if v != nil {
			inner := Request{c: x.c, x: x}
			inner.Panicked(v)
		}
		cancel(errSessionEnded)
		if x.c.is(flagSeenLate | flagUncounted) { // nobody else tells its end
			_ = x.c.Close()
		}
	}()
	if err := f(ctx, s); err != nil {
		x.noteError(err)
	}
}

// Panicked tells a panic v of the one that nc was handed over to, and closes it.
func (a Adapter) Panicked(nc net.Conn, v any) {
	if x := (*exchange)(a.SessionOn(nc)); x != nil {
		r := Request{c: x.c, x: x}
		r.Panicked(v)
	}
}
