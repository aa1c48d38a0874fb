// Package conn watches one connection and decides, when it is over, what it was.
//
// Where to look:
//
//   - what counts as a probe: probe.go; the order of the classes: classify.go
//   - what is remembered of a connection: conn.go (bytes in and out), facts.go (facts,
//     and outcomes of its requests), answer.go (what this side wrote first), ends.go
//     (how reading and writing ended), preamble.go (PROXY preambles), place.go (where
//     it came from), tlsresult.go and tlsreason.go (its TLS handshake)
//   - what classify gets, and what it hands to the guard: evidence.go
//   - when a connection is over: phase.go
//   - the methods that servers and libraries look for on a connection: abilities.go
//   - how a connection is found: layers.go (from one that wraps it), registry.go (by
//     its peer's address)
//   - what the connections of one guard share: watch.go
//
// A connection knows its guard as a [Host] and its request or session as an
// [Occupant], both in occupant.go, and nothing else about them.
package conn

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"sync/atomic"
	"time"
)

// Conn is a watched connection. It adds no buffer, no deadline and no goroutine to the
// connection below, and changes no byte. It counts the bytes in and out, keeps the first
// ones, and notes how reading and writing ended and who closed. Its class is decided
// once, when it is closed and its last request is finished.
//
// It keeps the abilities of the connection below: CloseWrite, CloseRead, SyscallConn,
// File and the TCP settings work if they work there, and return errors.ErrUnsupported
// otherwise. ReadFrom and WriteTo copy if there is no faster way below. [net.Buffers]
// are sent with one Write each, because only the net package's own types can send them
// with one system call. A listener of the guard makes a Conn, or the hijack of a
// session does; [Of] finds it. Close may be called more than once if that holds below.
//
// # Phases
//
// Each phase is a [Fact] that is set once and never taken back.
//
//	phase        fact        set by
//	open         none        New
//	handed over  HandedOver  the server's report that the connection was hijacked;
//	                         most connections skip this phase
//	closed       Closed      the first Close
//	over         Over        Over, called once nothing more can happen: by the server's
//	                         report that it closed the connection; by Close where the
//	                         server reports nothing, or nothing more (handed over); at
//	                         the hijack where its end cannot be seen
//	decided      Decided     the last Release: Over drops one reference, and each
//	                         unfinished request holds one
//
// The order is as listed, with two exceptions: a handler may close a connection before the
// server reports the hijack, and a connection that the guard did not accept can be over
// before it is closed here, or without that.
type Conn struct {
	// The fields that each request touches come first, so that they share cache lines.

	// Immutable after New.
	net.Conn

	// Set once by the accepting goroutine, before the first request.
	ctx context.Context // see SetContext

	// Atomic.
	tls     atomic.Pointer[tls.Conn] // the TLS connection above, once known
	current atomic.Pointer[Seat]     // the handshake being answered (HTTP/1), or the session
	In, Out atomic.Int64             // bytes
	refs    atomic.Int32             // 1 until it is over, and 1 for each unfinished request
	facts   atomic.Uint32            // of type Fact
	answer  atomic.Uint32            // what this side wrote first, see noteAnswer
	headLen atomic.Uint32            // how much of head may be read
	tail    atomic.Uint64            // the last bytes received, see noteLine and noteTail

	// Immutable after New.
	source *Source

	// Under the lock of the registry's list.
	prev, next *Conn

	// Under the lock of the registry's index.
	hashNext *Conn // the next with the same hash

	// Immutable after New.
	Accepted time.Duration // since Watch.Epoch

	// Written by Read only, each byte once and before headLen covers it.
	head [headSize]byte // the first bytes received

	// Atomic.
	endAge   atomic.Uint32 // milliseconds from accept to the peer's end, plus one
	ends     atomic.Uint32 // see readEnd
	outcomes atomic.Uint32 // of type Outcome
	place    atomic.Uint32 // see placeShard
}

// headSize is enough for a PROXY v2 header without its addresses, and for the start of
// an HTTP/2 preface or of a TLS record.
const headSize = 16

// New watches nc. The caller counts it as accepted, unless it is [Unaccepted].
func New(nc net.Conn, s *Source, p Provenance) *Conn {
	c := &Conn{Conn: nc, source: s, Accepted: s.Watch.Now()}
	c.refs.Store(1)
	c.place.Store(uint32(p) << placeOrigin)
	s.Watch.Conns.add(c)
	return c
}

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
	if upgrade && n > 0 { // a handshake is answered only once its answer is written
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

// NetConn returns the connection below, as (*tls.Conn).NetConn does.
func (c *Conn) NetConn() net.Conn { return c.Conn }

// Remote is the peer's address, the zero AddrPort if it has none. Call it only after
// the first Read and under no lock: go-proxyproto blocks in RemoteAddr until then.
func (c *Conn) Remote() netip.AddrPort { return AddrPort(c.Conn.RemoteAddr()) }

// AddrPort is the address of a TCP peer, with an IPv4-mapped address as IPv4. It is the
// zero AddrPort for any other address.
func AddrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok || t == nil {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

func (c *Conn) noteRead(p []byte, n int64, err error) {
	if n > 0 {
		before := c.In.Add(n) - n
		if before < headSize && len(p) > 0 && uint32(before) == c.headLen.Load() {
			// The place of each byte belongs to the Read that returned it.
			m := copy(c.head[before:], p)
			c.headLen.Store(uint32(before) + uint32(m))
		}
		if before == 0 {
			c.first()
		}
		switch {
		case before < proxyV1Max && (before > 0 && c.tail.Load() != 0 || before == 0 && mayBeProxyV1(p)):
			c.noteLine(p)
		case !c.Saw(Active) && c.tls.Load() != nil:
			c.noteTail(p)
		}
	}
	if err != nil {
		c.noteReadError(err)
	}
}

// first runs after the first Read returned, because the address may be asked for only
// then (see Remote).
func (c *Conn) first() {
	if c.tls.Load() != nil || !c.Saw(Attached) || c.source.Watch.H2C.Load() {
		c.source.Watch.Conns.Index(c)
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

func (c *Conn) noteWrite(n int64, err error) {
	if n > 0 {
		c.Out.Add(n)
	}
	if err != nil {
		kind := endOf(err)
		if kind == endReset {
			c.peerEnded()
		}
		c.setEnd(writeEnd, kind)
		c.endSession(ErrorGrace)
	}
}
