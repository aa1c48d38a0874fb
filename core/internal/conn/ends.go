package conn

import (
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/usererror"
)

// endKind is how reading or writing ended.
type endKind uint32

const (
	endNone    endKind = iota
	endEOF             // the peer closed
	endReset           // the peer reset, or is gone
	endTimeout         // a deadline passed
	endClosed          // closed on this side
	endOther
)

// The bytes of Conn.ends, as shifts: how reading and writing ended, the most significant
// reason of its refused handshakes, and why the server could not read a request.
const (
	readEnd       = 0
	writeEnd      = 8
	refusedFor    = 16
	badRequestFor = 24
)

func (c *Conn) end(which uint) endKind { return endKind(c.ends.Load() >> which & 0xff) }

// setEnd returns the end before. The last one counts, except that the end of the peer
// stays: what comes after it is this side's own doing.
func (c *Conn) setEnd(which uint, kind endKind) endKind {
	for {
		old := c.ends.Load()
		if was := endKind(old >> which & 0xff); was == endEOF || was == endReset {
			return was
		}
		if c.ends.CompareAndSwap(old, old&^(0xff<<which)|uint32(kind)<<which) {
			return endKind(old >> which & 0xff)
		}
	}
}

// noteDeadline notes whether a read deadline was already past when it was set. net/http
// ends its background read with such a deadline, so its expiry says nothing about the
// peer.
func (c *Conn) noteDeadline(t time.Time) {
	if !t.IsZero() && (t.Before(c.source.Watch.Epoch) || !t.After(time.Now())) { // net/http sets one long past: that needs no clock
		c.Note(PastDeadline)
	} else if c.Saw(PastDeadline) {
		c.Forget(PastDeadline)
	}
}

func (c *Conn) noteReadError(err error) {
	kind := endOf(err)
	if kind == endTimeout && c.Saw(PastDeadline) {
		return
	}
	if c.Saw(Closed) && kind != endTimeout {
		kind = endClosed
	}
	if kind == endEOF || kind == endReset {
		c.peerEnded()
	}
	c.endSession(ErrorGrace)
	if c.setEnd(readEnd, kind) == endNone && c.In.Load() == 0 {
		c.first()
	}
}

// peerEnded notes, once, when the peer was found to be gone.
func (c *Conn) peerEnded() {
	if c.Out.Load() == 0 {
		c.Note(PeerFirst)
	}
	age := uint32(max(c.source.Watch.Now()-c.Accepted, 0)/time.Millisecond) + 1
	c.endAge.CompareAndSwap(0, age)
}

// endOf sorts an error of a read or a write by its type.
func endOf(err error) endKind {
	if op, ok := err.(*net.OpError); ok && op != nil { // nearly always, and once for each request of net/http
		err = op.Err
	}
	switch {
	case err == io.EOF:
		return endEOF
	case err == os.ErrDeadlineExceeded, usererror.Is(err, os.ErrDeadlineExceeded):
		return endTimeout
	case usererror.Is(err, net.ErrClosed, io.ErrClosedPipe):
		return endClosed
	}
	if errno, ok := usererror.As[syscall.Errno](err); ok {
		switch errno {
		case syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNABORTED,
			syscall.ETIMEDOUT, // no reply to keep-alive or to a retransmission
			syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.ENETDOWN, syscall.EHOSTDOWN:
			return endReset
		}
	}
	return endOther
}

// IsReset reports whether an error of the transport says that the peer is gone without
// having closed.
func IsReset(err error) bool { return endOf(err) == endReset }

// PeerGone reports whether the peer was found to be gone.
func (c *Conn) PeerGone() bool {
	end := c.end(readEnd)
	return end == endEOF || end == endReset || c.end(writeEnd) == endReset
}

// GoneAtWrite reports whether a write found the peer to be gone.
func (c *Conn) GoneAtWrite() bool { return c.end(writeEnd) == endReset }

// TimedOut reports whether a deadline ended reading.
func (c *Conn) TimedOut() bool { return c.end(readEnd) == endTimeout }

// ClosedUnseen notes that this side closed c. It is for connections whose reads are not
// seen.
func (c *Conn) ClosedUnseen() { c.setEnd(readEnd, endClosed) }

// SetBadRequest notes why the server could not read a request.
func (c *Conn) SetBadRequest(r event.Reason) { c.ends.Or(uint32(r) << badRequestFor) }

// BadRequest is the reason of SetBadRequest, NoReason if it was not called.
func (c *Conn) BadRequest() event.Reason { return event.Reason(c.ends.Load() >> badRequestFor) }
