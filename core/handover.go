package core

import (
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/conn"
)

// handOver ends a request, as Done does, whose handler asked for the connection on a
// server that hands it over later, in its own goroutine, or not at all. status is the
// answer that is about to be written. Where the server reports its states,
// [Adapter.ConnState] says what becomes of the connection.
func (r *Request) handOver(status int) {
	x := r.x
	switch {
	case r.done:
	case x == nil || !x.asks || !r.begun || status != http.StatusSwitchingProtocols:
		r.Done(status, nil)
	case x.c == nil:
		r.done = true
		x.status.CompareAndSwap(0, int32(status))
		if !x.loaned {
			x.freeSlot() // a hijack that does not come is not reported
		}
		if !x.own { // nor is the end of the session
			x.untracked()
		}
	case !x.c.Saw(conn.Attached):
		r.done = true
		x.open(x.c)
		r.release()
	default:
		r.done = true
		x.status.CompareAndSwap(0, int32(status))
		x.set(stateHandingOver)
	}
}

// lend keeps the place of a session on nc whose end may not be reported.
func (r *Request) lend(nc net.Conn) {
	if x := r.x; x != nil && x.c == nil && r.begun && x.asks {
		x.loaned = x.lendSlot(nc)
	}
}

// untracked counts an accepted handshake whose session cannot be followed.
func (x *exchange) untracked() {
	if x.set(stateSettled | stateConfirmed) {
		x.g.paths.learn(x.path, "")
		x.g.stats.handshakes[handshakeAccepted][event.NoReason].Add(1)
	}
}

// endHandover ends the wait for a hijack, and reports whether there was one.
func (x *exchange) endHandover() bool { return x.state.And(^stateHandingOver)&stateHandingOver != 0 }

// open turns a handshake that was answered 101 into a session, once: the server and the
// goroutine that gets the connection may call it at the same time.
func (x *exchange) open(nc net.Conn) {
	x.g.servers.opening.Lock()
	defer x.g.servers.opening.Unlock()
	if x.opened() {
		return
	}
	if x.c == nil {
		nc = &lentConn{Conn: nc, remote: nc.RemoteAddr()}
	}
	x.status.Store(http.StatusSwitchingProtocols)
	if x.g.config.MaxSessions > 0 && x.set(stateSlot) {
		x.g.slots.taken.Add(1)
	}
	Request{c: x.c, x: x}.open(nc)
}

// handedOver runs when the server has handed the connection over.
func (g *Guard) handedOver(c *conn.Conn, nc net.Conn) {
	x := occupantOf(c)
	if x == nil || !x.is(stateHandingOver) {
		return
	}
	g.servers.unseen.delete(nc)
	x.open(nc)
	x.endHandover() // after open: SessionOn may run in between
	if x.is(stateReturned) {
		_ = nc.Close()
	}
	if c.Provenance() == conn.SeenFromHijack && !x.own {
		x.loaned = x.lendSlot(nc)
		c.Over() // nothing after this can be seen
	}
	c.Release()
}

// declined runs when the server has closed the connection without handing it over.
func (g *Guard) declined(c *conn.Conn) {
	x := occupantOf(c)
	if x == nil || !x.endHandover() {
		return
	}
	x.status.Store(0)
	x.settle()
	x.letGo(c) // no handler will return
	Request{c: c, x: x, begun: true}.release()
}

// SessionOn returns the session that the request has become, from inside the goroutine to
// which the server has handed its connection nc over; nil where the session is not
// followed.
func (r *Request) SessionOn(nc net.Conn) *Session {
	if r == nil || r.x == nil || !r.x.own && !r.x.opened() && !r.x.is(stateHandingOver) {
		return nil
	}
	if hijacked, ok := nc.(interface{ UnsafeConn() net.Conn }); ok { // fasthttp reuses its own
		nc = hijacked.UnsafeConn()
	}
	r.x.open(nc)
	return (*Session)(r.x)
}

// lentConn is a connection that its server closes itself, once, and may then use for
// another client. Close ends its reads and writes.
type lentConn struct {
	net.Conn
	remote   net.Addr
	mu       sync.Mutex
	returned bool
}

func (l *lentConn) RemoteAddr() net.Addr { return l.remote }

func (l *lentConn) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.returned {
		return net.ErrClosed
	}
	return l.SetDeadline(time.Unix(1, 0))
}

// takenBack runs when the handler that got c has returned.
func takenBack(c *conn.Conn) {
	if l, lent := c.Conn.(*lentConn); lent {
		l.mu.Lock()
		l.returned = true
		l.mu.Unlock()
	}
	if c.Provenance() >= conn.SeenFromHijack { // no one else reports its end
		_ = c.Close()
	}
}

// Held returns what a server must close when the handler that has the connection nc of a
// request has returned, nil where that is not needed. It is for servers that then leave
// such a connection open for ever. Until it is closed, the connection counts as in use,
// so that what the handler does after it has closed the connection, such as a panic,
// still counts.
func (r *Request) Held(nc net.Conn) io.Closer {
	x := r.x
	if x == nil || !r.begun || !x.asks {
		return nil
	}
	if x.c != nil && x.c.Begin() {
		x.set(stateHeld)
	}
	return &handoverHold{x, x.c, nc}
}

type handoverHold struct {
	x  *exchange
	c  *conn.Conn // as x had it: the server may be opening the session meanwhile
	nc net.Conn
}

// Close implements io.Closer. Call it once. Where the server has not reported yet that it
// handed the connection over, the report closes it: a short session's handler may return
// before that. A server that keeps the connection instead never reports it.
func (h *handoverHold) Close() error {
	defer h.x.letGo(h.c)
	h.x.set(stateReturned) // before opened is read: handedOver opens first and then looks for this
	if h.c != nil && !h.x.opened() {
		return nil
	}
	return h.nc.Close()
}

// letGo ends what Held began on c, once.
func (x *exchange) letGo(c *conn.Conn) {
	if x.state.And(^stateHeld)&stateHeld != 0 {
		c.Release()
	}
}
