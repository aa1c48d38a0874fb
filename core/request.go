package core

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/conn"
	"github.com/quietws/quietws/core/internal/head"
)

// Request is one request in the hands of an adapter. Nothing is known of the
// zero Request; its methods do nothing. It belongs to the goroutine that serves the
// request. A copy is the same request, except for whether it is done.
type Request struct {
	c     *conn.Conn
	x     *exchange
	begun bool // this layer began it, and so must end it
	done  bool // this layer has ended it
}

// question reports whether r is not a request, but a question of the guard's own: see
// MarkAsked. A field for it would be the fifth, and the compiler keeps no struct of five
// fields in registers: a session's stack would have several copies.
func (r *Request) question() bool { return r.done && !r.begun && r.x == nil && r.c == nil }

// beginOnConn judges a request by its head, before any handler has run. nc is its
// connection, or nil. If nc wraps a watched connection the request counts for that;
// otherwise the peer's address is looked up among the watched connections. A request that
// a layer outside has begun remains the same request: only that layer's Done counts.
func (a Adapter) beginOnConn(h Head, nc net.Conn) Request {
	if a.g == nil {
		return Request{}
	}
	return a.begin(h, a.g.connUnder(h, nc), nil)
}

// connUnder is connOf for the connection of a request, nil if there is none. The server
// may have wrapped the connection in a type of its own.
func (g *Guard) connUnder(h Head, nc net.Conn) *conn.Conn {
	if nc == nil {
		return nil
	}
	c := g.connOf(nc)
	if c == nil && g.stats.accepted.Load() != 0 {
		c = g.watch.Conns.Find(h.Remote())
	}
	return c
}

func (a Adapter) begin(h Head, c *conn.Conn, outer *exchange) Request {
	if outer == nil && c != nil && !c.Saw(conn.HTTP2) {
		outer = occupantOf(c)
	}
	if outer != nil && !outer.preface && outer.http1 == head.IsHTTP1(h) { // otherwise outer is the request that turned into this connection, as with h2c
		return Request{c: c, x: outer}
	}
	if !a.g.paths.routesLogged.Load() {
		a.g.logRoutes()
	}
	if c != nil && !c.Begin() {
		c = nil
	}
	r := Request{c: c, x: a.judge(h, c, atServer), begun: true}
	r.remember()
	if r.x != nil && c != nil {
		a.server.has(c)
	}
	return r
}

// ordinary begins a request that is not judged.
func (a Adapter) ordinary(c *conn.Conn) Request {
	if c != nil && !c.Begin() {
		c = nil
	}
	return Request{c: c, begun: true}
}

// take makes x the occupant of c.
func (x *exchange) take(c *conn.Conn) { c.Take(&x.seat) }

// occupantOf is the occupant of c, or nil.
func occupantOf(c *conn.Conn) *exchange {
	if s := c.Occupied(); s != nil {
		return s.Occupant.(*exchange)
	}
	return nil
}

// guardOf is the guard that watches c.
func guardOf(c *conn.Conn) *Guard { return (*Guard)(c.Watched().Host.(*host)) }

// remember makes a candidate findable from its connection, which over HTTP/1 has only one
// request at a time. A request that is answered before any handler runs does not need it.
func (r Request) remember() {
	if r.x == nil || r.c == nil || r.x.verdict == verdictProbe {
		return
	}
	if r.x.http1 {
		r.x.found = true
		r.x.take(r.c)
	} else if !r.c.Saw(conn.HTTP2) {
		r.c.Note(conn.HTTP2)
	}
}

// decision says what to do with the request. Its answer is complete: write it unchanged.
func (r Request) decision() decision {
	if r.x == nil {
		return decision{}
	}
	v := decision{verdict: r.x.verdict}
	if r.x.answer != nil {
		v.answer = *r.x.answer
	}
	if v.verdict == verdictUpgrade && r.x.fault == event.NoReason && r.x.http1 && !r.x.g.config.ObserveOnly {
		v.connection = "Upgrade"
	}
	if v.verdict == verdictRefuse {
		v.err = r.x.handshakeError(r.x.fault, v.answer.Status)
	}
	return v
}

// Candidate reports whether the outcome of this request matters. Only then does an
// adapter need to know what is answered.
func (r Request) Candidate() bool { return r.x != nil }

// opens reports whether an answer with that status opens a session.
func (x *exchange) opens(status int) bool {
	return x.asks && status == http.StatusSwitchingProtocols || x.acceptsStream(status)
}

// open notes that the connection left HTTP, on net/http from inside Hijack. It returns
// the connection to use from now on: nc itself if it is watched, or else a watched one.
func (r Request) open(nc net.Conn) net.Conn {
	c, x := r.conn(), r.x
	if c == nil && x == nil {
		return nc
	}
	if c == nil || c.Provenance() == conn.Reported {
		c = r.adopt(c, nc)
		nc = c
	}
	if x != nil && x.c != c { // a server that hands over later may be reading it
		x.c = c
	}
	if x == nil || !x.asks {
		c.Mark(conn.Hijacked)
		return nc
	}
	x.take(c)
	x.openedAt = x.g.now()
	x.g.stats.sessions.Add(1)
	c.Note(conn.Upgraded)
	c.AwaitAnswer()
	x.set(stateOpened)
	if x.g.ending.refusing.Load() { // its handshake was in progress: it gets its goodbye now
		x.g.ending.all.joins(x)
	} else if s := x.g.drainingAlone(c); s != nil {
		s.drain.joins(x)
	}
	if x.status.Load() == http.StatusSwitchingProtocols {
		x.Confirm(http.StatusSwitchingProtocols)
	} else {
		x.await()
	}
	return nc
}

// adopt makes the guard watch the connection of a session from here on, if it was not
// watched before.
func (r Request) adopt(c *conn.Conn, nc net.Conn) *conn.Conn {
	if c == nil {
		g := r.x.g
		c = conn.New(nc, g.servers.adopted, conn.Unaccepted)
		if r.begun {
			c.Begin()
		}
		return c
	}
	c.SetProvenance(conn.SeenFromHijack)
	return c
}

// conn is the connection of the request, nil if it is not known.
func (r Request) conn() *conn.Conn {
	if r.x != nil {
		return r.x.c
	}
	return r.c
}

// answered reports a status as it is written, which may be after Done. Only the first
// final status counts; informational responses are ignored. So is 101: a handshake is
// accepted when the answer has been sent, not when a framework gets the status.
func (r Request) answered(status int) {
	x := r.x
	if x == nil || !x.counts(status) || !x.status.CompareAndSwap(0, int32(status)) {
		return
	}
	if x.acceptsStream(status) {
		x.openStream()
	}
	if x.is(stateLate) {
		x.settle()
	}
}

// counts reports whether status is the first final one.
func (x *exchange) counts(status int) bool {
	return !x.fallback && !x.opened() && x.status.Load() == 0 && (status < 100 || status > 199)
}

// doneAfterChain is Done for a handler that returned err, in a framework that answers
// errors only after its chain. The outcome is settled when answered gets the status, or
// else a second after ctx has ended.
func (r *Request) doneAfterChain(ctx context.Context, err error) {
	x := r.x
	if err == nil || x == nil || !r.begun || x.status.Load() != 0 || x.opened() {
		r.Done(0, err)
		return
	}
	r.done = true
	x.noteError(err)
	if x.c != nil {
		x.c.LeaveTo(&x.seat)
	}
	if x.set(stateLate) {
		x.freeSlot()
	}
	context.AfterFunc(ctx, func() { time.AfterFunc(answerGrace, x.settle) })
}

// answerGrace is how long an answer may come after the end of its context: a middleware
// that sets a deadline ends the context before the error is answered.
const answerGrace = time.Second

// Done ends the request after its handler has returned. status is what was answered, 0 if
// that is not known; err is the handler's error. A second Done does nothing.
func (r *Request) Done(status int, err error) {
	if r.done {
		return
	}
	r.done = true
	if x := r.x; x != nil {
		if status != 0 {
			x.status.CompareAndSwap(0, int32(status))
		}
		if err != nil {
			x.noteError(err)
		}
		if r.begun {
			x.settle()
		}
	}
	r.release()
}

// release ends the hold of an unfinished request on its connection.
func (r Request) release() {
	if !r.begun {
		return
	}
	c := r.conn()
	if c == nil {
		return
	}
	if r.x == nil {
		if !c.Had(conn.Ordinary) {
			c.Mark(conn.Ordinary)
		}
	} else if !r.x.opened() {
		c.LeaveTo(&r.x.seat)
	}
	c.Release()
}
