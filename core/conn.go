package core

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// Conn is a watched connection. It changes nothing of what passes: no buffer,
// no deadline, no goroutine. It notes how many bytes came and went, the first
// of them, how reading and writing ended, and who closed; what it was is
// decided once, when it is closed and no request on it is unfinished.
//
// It keeps the abilities of the connection below: CloseWrite, ReadFrom,
// WriteTo, SyscallConn, File and the TCP settings work where they work there
// and return errors.ErrUnsupported where they do not.
type Conn struct {
	net.Conn
	ln  *listener       // the guard's own, g.unseen, for one that it did not accept
	ctx context.Context // what ConnContext was given; see connContext

	tls     atomic.Pointer[tls.Conn] // the TLS connection above, once known
	current atomic.Pointer[exchange] // the candidate in progress (HTTP/1), or the session

	prev, next *Conn // the registry's list
	hashNext   *Conn // the registry's index by address

	accepted time.Duration // since the guard's epoch
	in, out  atomic.Int64
	refs     atomic.Int32 // 1 for being open, 1 for each unfinished request
	flags    atomic.Uint32
	answer   atomic.Uint32 // what was first written, see noteAnswer
	endAge   atomic.Uint32 // milliseconds from accept to the peer's end
	headLen  atomic.Uint32
	head     [headSize]byte // the first bytes received
	hash     uint32         // in the registry's index, 0: not there
	shard    uint8          // of the registry
	ends     atomic.Uint32  // how reading and writing ended, and what was refused: see readEnd
	tail     atomic.Uint64  // the last bytes received, while a TLS handshake may run
}

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
)

// endKind is how reading or writing ended.
type endKind uint32

const (
	endNone    endKind = iota
	endEOF             // the peer closed
	endReset           // the peer reset, or was found to be gone
	endTimeout         // a deadline passed
	endClosed          // closed on this side
	endOther
)

// The bytes of Conn.ends, by how far they are shifted: two endKinds, of which
// the last counts, and the most telling Reason of a refused handshake.
const (
	readEnd    = 0
	writeEnd   = 8
	refusedFor = 16
)

func (c *Conn) end(which uint) endKind { return endKind(c.ends.Load() >> which & 0xff) }

// setEnd returns what it was before. That the peer ended stays: what comes
// after it is of our own making.
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
	if c.answer.Load() == 0 {
		c.noteAnswer(p)
	}
	n, err := c.Conn.Write(p)
	c.noteWrite(int64(n), err)
	return n, err
}

// Close implements net.Conn.
func (c *Conn) Close() error {
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

// noteDeadline remembers whether a read deadline was already over when it was
// set: net/http ends its background read in that way, and such an expiry says
// nothing about the peer.
func (c *Conn) noteDeadline(t time.Time) {
	if !t.IsZero() && !t.After(time.Now()) {
		c.set(flagPastDeadline)
	} else if c.is(flagPastDeadline) {
		c.clear(flagPastDeadline)
	}
}

// NetConn returns the connection below, for those who want to look under this
// one as they look under a *tls.Conn.
func (c *Conn) NetConn() net.Conn { return c.Conn }

func (c *Conn) noteRead(p []byte, n int64, err error) {
	if n > 0 {
		before := c.in.Add(n) - n
		if before < headSize && len(p) > 0 && uint32(before) == c.headLen.Load() {
			// Each byte's place belongs to the one Read that brought it.
			m := copy(c.head[before:], p)
			c.headLen.Store(uint32(before) + uint32(m))
		}
		if before == 0 {
			c.first()
		}
		if !c.is(flagActive) && c.tls.Load() != nil {
			c.noteTail(p)
		}
	}
	if err != nil {
		c.noteReadError(err)
	}
}

// noteTail keeps the last eight bytes received.
func (c *Conn) noteTail(p []byte) {
	tail := c.tail.Load()
	for _, b := range p[max(0, len(p)-8):] {
		tail = tail<<8 | uint64(b)
	}
	c.tail.Store(tail)
}

func (c *Conn) noteReadError(err error) {
	kind := endOf(err)
	if kind == endTimeout && c.is(flagPastDeadline) {
		return
	}
	if c.is(flagClosed) && kind != endTimeout {
		kind = endClosed
	}
	if kind == endEOF || kind == endReset {
		c.peerEnded()
	}
	c.endSession(errorGrace)
	if c.setEnd(readEnd, kind) == endNone && c.in.Load() == 0 {
		c.first()
	}
}

func (c *Conn) noteWrite(n int64, err error) {
	if n > 0 {
		c.out.Add(n)
	}
	if err != nil {
		kind := endOf(err)
		if kind == endReset {
			c.peerEnded()
		}
		c.setEnd(writeEnd, kind)
		c.endSession(errorGrace)
	}
}

// endSession ends the context of the session on c, if there is one, after a
// while: at once for a close, and after a failed read or write when its caller
// has had the time to see the error rather than the end of its context.
func (c *Conn) endSession(after time.Duration) {
	if !c.is(flagUpgraded) {
		return
	}
	if x := c.current.Load(); x != nil {
		x.endContext(after)
	}
}

// errorGrace is how long after an error of the transport a session's context
// ends.
const errorGrace = 100 * time.Millisecond

// peerEnded notes when the peer was seen to be gone, once.
func (c *Conn) peerEnded() {
	if c.out.Load() == 0 {
		c.set(flagPeerFirst)
	}
	age := uint32(max(c.ln.g.now()-c.accepted, 0)/time.Millisecond) + 1
	c.endAge.CompareAndSwap(0, age)
}

// first runs after the first Read returned. Only now may the address be asked:
// go-proxyproto blocks for it until the preamble has come.
func (c *Conn) first() {
	if c.tls.Load() != nil || !c.is(flagAttached) {
		c.ln.g.conns.index(c)
	}
}

// The parts of Conn.answer: the status of the first response, or that the
// first bytes written were a TLS record's.
const (
	answerStatus    = 0xffff
	answerExplained = 1 << 16 // net/http: "400 Bad Request: why"
	answerTLS       = 1 << 17
	answerOther     = 1 << 18
)

// noteAnswer notes the status line of the first response on a plain port, for
// the requests that a server answers without calling anyone, or that TLS is
// above. What the server itself wrote is not hostile.
func (c *Conn) noteAnswer(p []byte) {
	v := uint32(answerOther)
	switch {
	case len(p) >= 3 && p[0] >= 0x14 && p[0] <= 0x17 && p[1] == 3:
		v = answerTLS
		if !c.ln.tls.Load() && c.headLen.Load() > 0 && c.head[0] == 0x16 { // a record answers a record
			c.ln.tls.Store(true)
		}
	case len(p) >= 12 && string(p[:7]) == "HTTP/1." && p[8] == ' ':
		if s := int(p[9]-'0')*100 + int(p[10]-'0')*10 + int(p[11]-'0'); s >= 100 && s <= 599 {
			v = uint32(s)
			if i := 12 + len(" Bad Request"); s == 400 && len(p) > i && p[i] == ':' {
				v |= answerExplained
			}
		}
	case len(p) == 0:
		return
	}
	if c.is(flagUpgraded) {
		v = c.noteUpgrade(p, v)
	}
	c.answer.CompareAndSwap(0, v)
}

// longestAlert is more than any TLS record that carries an alert alone, and
// less than the record of the shortest answer to a handshake.
const longestAlert = 64

// noteUpgrade notes that a handshake was answered after the hijack, as
// gorilla/websocket does it. Under TLS the answer cannot be read; that there is
// one, and not only the alert of a close, shows in its length.
func (c *Conn) noteUpgrade(p []byte, v uint32) uint32 {
	x := c.current.Load()
	switch {
	case x == nil:
	case v == answerTLS || c.tls.Load() != nil && v == answerOther:
		if len(p) < longestAlert {
			return 0
		}
		x.confirm(0)
	case v&answerStatus != 0:
		x.confirm(int(v & answerStatus))
	default:
		x.confirm(0)
	}
	return v
}

// endOf sorts an error of a read or a write by its type.
func endOf(err error) endKind {
	switch {
	case err == io.EOF:
		return endEOF
	case errors.Is(err, os.ErrDeadlineExceeded):
		return endTimeout
	case errors.Is(err, net.ErrClosed), errors.Is(err, io.ErrClosedPipe):
		return endClosed
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		switch errno {
		case syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNABORTED,
			syscall.ETIMEDOUT, // keep-alive or a retransmission that nobody answered
			syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.ENETDOWN, syscall.EHOSTDOWN:
			return endReset
		}
	}
	return endOther
}

// remote is the peer's address, the zero AddrPort where there is none. It is
// asked only after the first Read, and under no lock.
func (c *Conn) remote() netip.AddrPort { return addrPort(c.Conn.RemoteAddr()) }

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
// handshake has stored its error. Without it the handshake is waited for in a
// goroutine, since the one that closes may be the one that holds its lock.
func (c *Conn) closed() {
	if c.is(flagAttached) && !c.is(flagLeft) {
		return
	}
	if above := c.tls.Load(); above != nil && !c.is(flagOrdinary|flagProbe|flagSession|flagRefused|flagUpgradeFailed|flagHijacked) {
		go func() {
			_ = above.Handshake() // returns the stored result; the transport is closed
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

// proxyV2Length is the length of the PROXY v2 header in head, its addresses
// included.
func proxyV2Length(head []byte) int64 {
	return 16 + int64(binary.BigEndian.Uint16(head[14:16]))
}
