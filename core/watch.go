package core

import (
	"net"
	"sync/atomic"
	"time"
)

// watch is what the connections of one guard share.
type watch struct {
	host        host
	epoch       time.Time
	expectProxy bool // a PROXY preamble is normal
	conns       *registry

	h2c     atomic.Bool  // a server speaks HTTP/2 without TLS
	stopped atomic.Bool  // no server accepts any more
	joined  atomic.Bool  // somebody may tell of requests
	stayed  atomic.Int64 // when lastLook last waited in vain
}

func newWatch(h host, expectProxy bool) *watch {
	return &watch{host: h, epoch: time.Now(), expectProxy: expectProxy, conns: newRegistry()}
}

// now is the time since the epoch, by the monotonic clock.
func (w *watch) now() time.Duration { return time.Since(w.epoch) }

// source is where connections come from: a listener, or a server that was not given
// one of the guard's.
type source struct {
	watch *watch
	tls   atomic.Bool // TLS is above
	// timeout is, for the connections of a server that the guard did not accept, how
	// long it waits for a request.
	timeout time.Duration
}

// host is the guard, as its connections see it.
type host interface {
	// over is called once for each connection, when its class is decided.
	over(c *Conn, e end)
}

// occupant is the request or session that has a connection, as that sees it.
type occupant interface {
	// confirm is called when the first bytes after the hijack were written: with the
	// status that they are, 0 where TLS hides it.
	confirm(status int)
	// endContext is called when the transport has failed or is closed: the session's
	// context ends after a while.
	endContext(after time.Duration)
	// leave is called when the connection is over, before its class is decided.
	leave()
}

// seat is a place for an occupant. It is part of that, so that to take a connection
// allocates nothing.
type seat struct{ occupant occupant }

// newConn watches nc. A connection that is not adopted is counted by its caller.
func newConn(nc net.Conn, s *source, p provenance) *Conn {
	c := &Conn{Conn: nc, source: s, accepted: s.watch.now()}
	c.refs.Store(1)
	c.setCame(p)
	s.watch.conns.add(c)
	return c
}
