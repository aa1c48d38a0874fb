package conn

import (
	"net"
	"sync/atomic"
	"time"
)

// Watch is what the connections of one guard share.
type Watch struct {
	Host        Host
	Epoch       time.Time
	expectProxy bool // a PROXY preamble is normal
	Conns       *Registry

	H2C     atomic.Bool  // a server speaks HTTP/2 without TLS
	Stopped atomic.Bool  // no server accepts any more
	Joined  atomic.Bool  // somebody may tell of requests
	stayed  atomic.Int64 // when lastLook last waited in vain
}

func NewWatch(h Host, expectProxy bool) *Watch {
	return &Watch{Host: h, Epoch: time.Now(), expectProxy: expectProxy, Conns: newRegistry()}
}

// now is the time since the epoch, by the monotonic clock.
func (w *Watch) Now() time.Duration { return time.Since(w.Epoch) }

// Source is where connections come from: a listener, or a server that was not given
// one of the guard's.
type Source struct {
	Watch *Watch
	TLS   atomic.Bool // TLS is above
	// timeout is, for the connections of a server that the guard did not accept, how
	// long it waits for a request.
	Timeout time.Duration
}

// Host is the guard, as its connections see it.
type Host interface {
	// over is called once for each connection, when its class is decided.
	Over(c *Conn, e End)
}

// Occupant is the request or session that has a connection, as that sees it.
type Occupant interface {
	// confirm is called when the first bytes after the hijack were written: with the
	// status that they are, 0 where TLS hides it.
	Confirm(status int)
	// endContext is called when the transport has failed or is closed: the session's
	// context ends after a while.
	EndContext(after time.Duration)
	// leave is called when the connection is over, before its class is decided.
	Leave()
}

// Seat is a place for an occupant. It is part of that, so that to take a connection
// allocates nothing.
type Seat struct{ Occupant Occupant }

// New watches nc. A connection that is not adopted is counted by its caller.
func New(nc net.Conn, s *Source, p Provenance) *Conn {
	c := &Conn{Conn: nc, source: s, Accepted: s.Watch.Now()}
	c.refs.Store(1)
	c.SetCame(p)
	s.Watch.Conns.add(c)
	return c
}
