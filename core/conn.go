package core

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
// session; [ConnOf] finds it. Close may be called more than once, as below.
type Conn struct {
	// What each request touches comes first, for it to lie close together.

	net.Conn
	ctx     context.Context          // what ConnContext was given; see connContext
	tls     atomic.Pointer[tls.Conn] // the TLS connection above, once known
	current atomic.Pointer[exchange] // the candidate in progress (HTTP/1), or the session
	in, out atomic.Int64
	refs    atomic.Int32 // 1 for being open, 1 for each unfinished request
	flags   atomic.Uint32
	answer  atomic.Uint32 // what was first written, see noteAnswer
	headLen atomic.Uint32
	tail    atomic.Uint64 // the last bytes received, while a TLS handshake or a PROXY line may come
	ln      *listener     // the guard's own, g.unseen, for one that it did not accept

	prev, next *Conn // the registry's list
	hashNext   *Conn // the registry's index by address

	accepted time.Duration  // since the guard's epoch
	head     [headSize]byte // the first bytes received
	endAge   atomic.Uint32  // milliseconds from accept to the peer's end
	ends     atomic.Uint32  // how reading and writing ended, and what was refused: see readEnd
	hash     uint32         // in the registry's index, 0: not there
	home     atomic.Uint32  // the registry's shard, and the number of the server: homeShard, homeServer
}

// Conn.home has the shard of the registry in its lowest bits, and from homeServer
// on the number of the server, 0 where that is not known.
const (
	homeShard  = 1<<homeServer - 1
	homeServer = 8
)

// headSize is enough for a PROXY v2 header without its addresses, the start of
// an HTTP/2 preface and of a TLS record.
const headSize = 16

// probeAge is how soon a prober that says nothing has left again.
const probeAge = 5 * time.Second

// The flags of a Conn: facts that are either seen or not.
const (
	flagClosed       uint32 = 1 << iota // Close was called
	flagDecided                         // the class is decided
	flagAttached                        // ConnState tells when it is over
	flagHijacked                        // left HTTP, by ConnState
	flagActive                          // the server saw bytes above TLS
	flagH2                              // HTTP/2
	flagPastDeadline                    // the read deadline was set in the past
	flagPeerFirst                       // the peer ended before anything was written
	flagDrained                         // the guard closed it at a drain
	flagPanic                           // a handler panicked
	flagUpgradeFailed
	flagSession
	flagRefused
	flagProbeFailing
	flagOrdinary  // a request of the application's
	flagProbe     // a request that was a health answer or a quiet prober's
	flagShadow    // not accepted by the guard: bytes are not seen
	flagUpgraded  // left HTTP by a WebSocket handshake
	flagOver      // nothing more comes from the transport
	flagUncounted // not accepted where the guard could count it: Middleware alone
	flagSeenLate  // bytes are seen from the hijack on
	flagLeft      // ConnState said hijacked
	flagPreface   // the server took an HTTP/2 preface for a request
	flagAgain     // the server said a second time that it is active: over HTTP/2 a stream began
)

func (c *Conn) is(flag uint32) bool { return c.flags.Load()&flag != 0 }

// set sets flag and reports whether it was clear before.
func (c *Conn) set(flag uint32) bool { return c.flags.Or(flag)&flag == 0 }

func (c *Conn) clear(flag uint32) { c.flags.And(^flag) }

// Read implements net.Conn.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.noteRead(p[:n], int64(n), err)
	return n, err
}

// Write implements net.Conn.
func (c *Conn) Write(p []byte) (int, error) {
	first := c.unanswered()
	upgrade := first && c.is(flagUpgraded)
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
	first := c.set(flagClosed)
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
func (c *Conn) remote() netip.AddrPort { return addrPort(c.Conn.RemoteAddr()) }

// AddrPort returns the address of a TCP peer as [Head.Remote] has it, an IPv4
// address as such, the zero AddrPort where a is no *net.TCPAddr.
func AddrPort(a net.Addr) netip.AddrPort { return addrPort(a) }

func addrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok || t == nil {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// begin counts a request as unfinished. It is false where the class has been
// decided already: then the request is an event only.
func (c *Conn) begin() bool {
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
func (c *Conn) release() {
	if c.refs.Add(-1) == 0 {
		c.decide()
	}
}

// closed runs once, after Close. Where ConnState tells that the server is
// through with the connection, that is later and is what counts: by then a TLS
// handshake has ended. Without it a handshake that runs is waited for in a
// goroutine, since the one that closes may be the one that holds its lock.
func (c *Conn) closed() {
	if c.is(flagAttached) && !c.is(flagLeft) {
		return
	}
	if above := c.tls.Load(); above != nil && !c.is(flagOrdinary|flagProbe|flagSession|flagRefused|flagUpgradeFailed|flagHijacked) {
		go func() {
			_ = above.ConnectionState()
			c.over()
		}()
		return
	}
	c.over()
}

// over drops the reference for being open, once.
func (c *Conn) over() {
	if c.set(flagOver) {
		c.release()
	}
}
