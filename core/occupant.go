package core

import (
	"context"
	"crypto/tls"
)

// take gives c to s.
func (c *Conn) take(s *seat) { c.current.Store(s) }

// leaveTo ends what take began, where nobody else has taken c since.
func (c *Conn) leaveTo(s *seat) { c.current.CompareAndSwap(s, nil) }

// occupied is who has c, nil if nobody has.
func (c *Conn) occupied() *seat { return c.current.Load() }

// watched is what c shares with the other connections of its guard.
func (c *Conn) watched() *watch { return c.source.watch }

// context is what setContext was given, nil before. It is set once, before the first
// request.
func (c *Conn) context() context.Context { return c.ctx }

func (c *Conn) setContext(ctx context.Context) { c.ctx = ctx }

// above is the TLS connection above c, nil if there is none or it is not known.
func (c *Conn) above() *tls.Conn { return c.tls.Load() }

// isUnderTLS reports whether TLS is above c, known or not.
func (c *Conn) isUnderTLS() bool { return c.tls.Load() != nil || c.source.tls.Load() }

// idle reports whether no request on c is unfinished and it is not over.
func (c *Conn) idle() bool { return c.refs.Load() == 1 }

// awaitAnswer says that the next bytes to be written answer a handshake.
func (c *Conn) awaitAnswer() { c.answer.Store(0) }

// setAnswered notes the status of an answer that was written where c did not see it.
func (c *Conn) setAnswered(status int) { c.answer.Or(uint32(status)) }

// goneAtWrite reports whether the peer was found to be gone by a write.
func (c *Conn) goneAtWrite() bool { return c.end(writeEnd) == endReset }

// timedOut reports whether reading ended by a deadline.
func (c *Conn) timedOut() bool { return c.end(readEnd) == endTimeout }

// isReset reports whether an error of the transport says that the peer is gone without
// having closed.
func isReset(err error) bool { return endOf(err) == endReset }

// closedUnseen notes that this side closed c, whose reads are not seen.
func (c *Conn) closedUnseen() { c.setEnd(readEnd, endClosed) }

// giveUp closes c, on which nothing was asked, for the error with which its server
// gives up.
func (c *Conn) giveUp(err error) {
	c.lastLook() // before the error hides that the peer may be leaving
	c.setEnd(readEnd, endOf(err))
	_ = c.Close()
}
