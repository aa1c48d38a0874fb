package conn

import (
	"net"
	"sync/atomic"
	"time"
)

// Watch is what the connections of one guard share.
type Watch struct {
	// Immutable after NewWatch.
	Host        Host
	Epoch       time.Time
	expectProxy bool // a PROXY preamble is normal
	Conns       *Registry

	// Atomic.
	H2C              atomic.Bool  // a server speaks HTTP/2 without TLS
	Stopped          atomic.Bool  // no server accepts any more
	RequestsReported atomic.Bool  // a middleware reports requests
	waitedAt         atomic.Int64 // when lastLook last waited for a peer that stayed
}

// NewWatch returns the Watch of a guard. Config.ExpectProxy is expectProxy.
func NewWatch(h Host, expectProxy bool) *Watch {
	return &Watch{Host: h, Epoch: time.Now(), expectProxy: expectProxy, Conns: newRegistry()}
}

// Now is the time since Epoch, by the monotonic clock.
func (w *Watch) Now() time.Duration { return time.Since(w.Epoch) }

// Source is where connections come from: a listener of the guard, or a server that has
// another listener.
type Source struct {
	Watch *Watch
	TLS   atomic.Bool // TLS is above its connections
	// Timeout is how long a server waits for a request. It is set only for servers whose
	// connections the guard did not accept; 0 means for ever.
	Timeout time.Duration
}

// Unserved closes listeners that a server cannot serve, and returns why.
func Unserved(why error, listeners ...net.Listener) error {
	for _, ln := range listeners {
		_ = ln.Close()
	}
	return why
}

// Watched is what c shares with the other connections of its guard.
func (c *Conn) Watched() *Watch { return c.source.Watch }
