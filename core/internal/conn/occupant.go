package conn

import (
	"context"
	"time"
)

// Host is the guard, as its connections see it.
type Host interface {
	// Over is called once for each connection, when its class is decided.
	Over(c *Conn, e End)
}

// Occupant is the request or session on a connection, as the connection sees it.
type Occupant interface {
	// Confirm is called when the first bytes after the hijack were written. They are
	// an answer with this status; it is 0 if TLS hides it.
	Confirm(status int)
	// EndContext is called when the transport has failed or is closed: the session's
	// context is to end after this time.
	EndContext(after time.Duration)
	// Leave is called when the connection is over, before its class is decided.
	Leave()
}

// Seat holds an occupant. The occupant embeds its seat, so that taking a connection
// allocates nothing.
type Seat struct{ Occupant Occupant }

// Take makes s the occupant of c.
func (c *Conn) Take(s *Seat) { c.current.Store(s) }

// LeaveTo empties c, unless another occupant has taken it since.
func (c *Conn) LeaveTo(s *Seat) { c.current.CompareAndSwap(s, nil) }

// Occupied returns the seat that has c, nil if it is empty.
func (c *Conn) Occupied() *Seat { return c.current.Load() }

// Context is what SetContext was given, nil before.
func (c *Conn) Context() context.Context { return c.ctx }

// SetContext sets the context that the server's ConnContext got. It is called at most
// once, before the first request.
func (c *Conn) SetContext(ctx context.Context) { c.ctx = ctx }

// endSession ends the context of the session on c, if there is one: at once after a
// close. After a failed read or write it waits, so that the caller sees the error
// before it sees the end of its context.
func (c *Conn) endSession(after time.Duration) {
	if !c.Saw(Upgraded) {
		return
	}
	if s := c.current.Load(); s != nil {
		s.Occupant.EndContext(after)
	}
}

// ErrorGrace is how long after an error of the transport a session's context ends.
const ErrorGrace = 100 * time.Millisecond
