package conn

import (
	"context"
	"crypto/tls"
)

// take gives c to s.
func (c *Conn) Take(s *Seat) { c.current.Store(s) }

// leaveTo ends what take began, where nobody else has taken c since.
func (c *Conn) LeaveTo(s *Seat) { c.current.CompareAndSwap(s, nil) }

// occupied is who has c, nil if nobody has.
func (c *Conn) Occupied() *Seat { return c.current.Load() }

// watched is what c shares with the other connections of its guard.
func (c *Conn) Watched() *Watch { return c.source.Watch }

// context is what setContext was given, nil before. It is set once, before the first
// request.
func (c *Conn) Context() context.Context { return c.ctx }

func (c *Conn) SetContext(ctx context.Context) { c.ctx = ctx }

// above is the TLS connection above c, nil if there is none or it is not known.
func (c *Conn) Above() *tls.Conn { return c.tls.Load() }

// isUnderTLS reports whether TLS is above c, known or not.
func (c *Conn) IsUnderTLS() bool { return c.tls.Load() != nil || c.source.TLS.Load() }

// idle reports whether no request on c is unfinished and it is not over.
func (c *Conn) Idle() bool { return c.refs.Load() == 1 }

// awaitAnswer says that the next bytes to be written answer a handshake.
func (c *Conn) AwaitAnswer() { c.answer.Store(0) }

// setAnswered notes the status of an answer that was written where c did not see it.
func (c *Conn) SetAnswered(status int) { c.answer.Or(uint32(status)) }

// goneAtWrite reports whether the peer was found to be gone by a write.
func (c *Conn) GoneAtWrite() bool { return c.end(writeEnd) == endReset }

// timedOut reports whether reading ended by a deadline.
func (c *Conn) TimedOut() bool { return c.end(readEnd) == endTimeout }

// IsReset reports whether an error of the transport says that the peer is gone without
// having closed.
func IsReset(err error) bool { return endOf(err) == endReset }

// closedUnseen notes that this side closed c, whose reads are not seen.
func (c *Conn) ClosedUnseen() { c.setEnd(readEnd, endClosed) }

// giveUp closes c, on which nothing was asked, for the error with which its server
// gives up.
func (c *Conn) GiveUp(err error) {
	c.lastLook() // before the error hides that the peer may be leaving
	c.setEnd(readEnd, endOf(err))
	_ = c.Close()
}
