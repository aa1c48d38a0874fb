// Package conn watches a connection: what passed, how it ended, and what it therefore
// was. What counts as a probe is in classify.go. A connection knows its guard as a
// [Host], and who has it as an [Occupant], and nothing else of them.
package conn

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"sync/atomic"
	"time"
)

// Conn is a watched connection. It changes nothing of what passes: no buffer,
// no deadline, no goroutine. It notes how many bytes came and went, the first
// of them, how reading and writing ended, and who closed; what it was is
// decided once, when it is closed and no request on it is unfinished.
//
// It keeps the abilities of the connection below: CloseWrite, CloseRead,
// SyscallConn, File and the TCP settings work where they work there and return
// errors.ErrUnsupported where they do not; ReadFrom and WriteTo copy where there
// is no faster way below. [net.Buffers] go out as one Write each: the way to one
// system call for all is net's own. It is made by [Guard.Listener], or at the hijack of a
// session; [Of] finds it. Close may be called more than once, as below.
type Conn struct {
	// What each request touches comes first, for it to lie close together.

	net.Conn
	ctx     context.Context          // what ConnContext was given; see connContext
	tls     atomic.Pointer[tls.Conn] // the TLS connection above, once known
	current atomic.Pointer[Seat]     // who has it: the candidate in progress (HTTP/1), or the session
	In, Out atomic.Int64
	refs    atomic.Int32  // 1 for being open, 1 for each unfinished request
	facts   atomic.Uint32 // what was seen
	answer  atomic.Uint32 // what was first written, see noteAnswer
	headLen atomic.Uint32
	tail    atomic.Uint64 // the last bytes received, while a TLS handshake or a PROXY line may come
	source  *Source       // where it comes from

	prev, next *Conn // the registry's list
	hashNext   *Conn // the registry's index by address

	Accepted time.Duration  // since the guard's epoch
	head     [headSize]byte // the first bytes received
	endAge   atomic.Uint32  // milliseconds from accept to the peer's end
	ends     atomic.Uint32  // how reading and writing ended, and what was refused: see readEnd
	outcomes atomic.Uint32  // what its requests were
	place    atomic.Uint32  // where it stands in the books: placeShard, placeServer, placeOrigin
}

// Conn.place has the shard of the registry in its lowest bits, from placeServer on the
// number of the server, 0 if that is not known, and from placeOrigin on the provenance.
const (
	placeShard  = 1<<placeServer - 1
	placeServer = 8
	MaxServers  = 1<<(placeOrigin-placeServer) - 1 // those of further servers end with the last one
	placeOrigin = 24
)

// Provenance says how a connection came to the guard, and so what is seen of it.
type Provenance uint32

const (
	Accepted Provenance = iota // by a listener of the guard's: everything
	Reported                   // by its server: no bytes
	Followed                   // by its server, and bytes from the hijack on
	Adopted                    // at a hijack, with Middleware alone: bytes from there on, and it is not counted
)

func (c *Conn) Came() Provenance { return Provenance(c.place.Load() >> placeOrigin) }

func (c *Conn) SetCame(p Provenance) {
	for {
		old := c.place.Load()
		if c.place.CompareAndSwap(old, old&(1<<placeOrigin-1)|uint32(p)<<placeOrigin) {
			return
		}
	}
}

// shard is a number to spread connections by.
func (c *Conn) Shard() uint32 { return c.place.Load() & placeShard }

// server is the number of its server, 0 if that is not known.
func (c *Conn) Server() uint32 { return c.place.Load() >> placeServer & MaxServers }

// setServer notes the number of its server.
func (c *Conn) SetServer(n uint32) {
	for {
		old := c.place.Load()
		if c.place.CompareAndSwap(old, old&^(MaxServers<<placeServer)|n<<placeServer) {
			return
		}
	}
}

// headSize is enough for a PROXY v2 header without its addresses, the start of
// an HTTP/2 preface and of a TLS record.
const headSize = 16

// ProbeAge is how soon a prober that says nothing has left again.
const ProbeAge = 5 * time.Second

// Fact is something that was seen of a connection, or not.
type Fact uint32

const (
	Closed       Fact = 1 << iota // Close was called
	Decided                       // the class is decided
	Attached                      // ConnState tells when it is over
	Active                        // the server saw bytes above TLS
	Again                         // the server said a second time that it is active: over HTTP/2 a stream began
	HTTP2                         // HTTP/2
	PastDeadline                  // the read deadline was set in the past
	PeerFirst                     // the peer ended before anything was written
	Drained                       // the guard closed it at a drain
	Preface                       // the server took an HTTP/2 preface for a request
	Upgraded                      // left HTTP by a WebSocket handshake
	HandedOver                    // ConnState said hijacked
	Over                          // nothing more comes from the transport
	Indexed                       // in the registry's index
)

func (c *Conn) Saw(f Fact) bool { return c.facts.Load()&uint32(f) != 0 }

// note notes f and reports whether it was new.
func (c *Conn) Note(f Fact) bool { return c.facts.Or(uint32(f))&uint32(f) == 0 }

func (c *Conn) Forget(f Fact) { c.facts.And(^uint32(f)) }

// Outcome is what one of the requests on a connection was. The first of this list that
// a connection has decides its class.
type Outcome uint32

const (
	Panicked      Outcome = 1 << iota // a handler panicked
	UpgradeFailed                     // a good handshake was not completed
	Session                           // a WebSocket session
	Hijacked                          // left HTTP, and no WebSocket
	Refused                           // a refused handshake
	ProbeFailing                      // a known prober was answered badly
	Ordinary                          // a request of the application's
	Probe                             // a health answer, or a quiet prober's

	AnyRequest = 1<<iota - 1 // the TLS handshake of such a connection was good
)

func (c *Conn) Had(o Outcome) bool { return c.outcomes.Load()&uint32(o) != 0 }

// mark notes o and reports whether it was new.
func (c *Conn) Mark(o Outcome) bool { return c.outcomes.Or(uint32(o))&uint32(o) == 0 }

// Read implements net.Conn.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.noteRead(p[:n], int64(n), err)
	return n, err
}

// Write implements net.Conn.
func (c *Conn) Write(p []byte) (int, error) {
	first := c.unanswered()
	upgrade := first && c.Saw(Upgraded)
	if first && !upgrade {
		c.noteAnswer(p)
	}
	n, err := c.Conn.Write(p)
	if upgrade && n > 0 { // a handshake is answered when the answer is written
		c.noteUpgrade(p[:n])
	}
	c.noteWrite(int64(n), err)
	return n, err
}

// Close implements net.Conn.
func (c *Conn) Close() error {
	c.lastLook()
	first := c.Note(Closed)
	err := c.Conn.Close()
	if first {
		c.endSession(0)
		c.closed()
	}
	return err
}

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	c.noteDeadline(t)
	return c.Conn.SetDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.noteDeadline(t)
	return c.Conn.SetReadDeadline(t)
}

// NetConn returns the connection below, for those who want to look under this
// one as they look under a *tls.Conn.
func (c *Conn) NetConn() net.Conn { return c.Conn }

// remote is the peer's address, the zero AddrPort where there is none. It is
// asked only after the first Read, and under no lock.
func (c *Conn) Remote() netip.AddrPort { return AddrPort(c.Conn.RemoteAddr()) }

// AddrPort is the address of a TCP peer, an IPv4 address as such, the zero AddrPort for
// any other.
func AddrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok || t == nil {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// begin counts a request as unfinished. It is false where the class has been
// decided already: then the request is an event only.
func (c *Conn) Begin() bool {
	for {
		n := c.refs.Load()
		if n <= 0 {
			return false
		}
		if c.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// release drops one reference; whoever drops the last decides the class.
func (c *Conn) Release() {
	if c.refs.Add(-1) == 0 {
		c.decide()
	}
}

// closed runs once, after Close. Where ConnState tells that the server is
// through with the connection, that is later and is what counts: by then a TLS
// handshake has ended. Without it a handshake that runs is waited for in a
// goroutine, since the one that closes may be the one that holds its lock.
func (c *Conn) closed() {
	if c.Saw(Attached) && !c.Saw(HandedOver) {
		return
	}
	if above := c.tls.Load(); above != nil && !c.Had(Ordinary|Probe|Session|Refused|UpgradeFailed|Hijacked) {
		go func() {
			_ = above.ConnectionState()
			c.Over()
		}()
		return
	}
	c.Over()
}

// over drops the reference for being open, once.
func (c *Conn) Over() {
	if c.Note(Over) {
		c.Release()
	}
}
