package conn

import (
	"encoding/binary"
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
	endReset           // the peer reset, or was found to be gone
	endTimeout         // a deadline passed
	endClosed          // closed on this side
	endOther
)

// The bytes of Conn.ends, by how far they are shifted: two endKinds, of which
// the last counts, the most telling Reason of a refused handshake, and the
// server's own for a request that it could not read.
const (
	readEnd    = 0
	writeEnd   = 8
	refusedFor = 16
	unreadFor  = 24
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

// noteDeadline remembers whether a read deadline was already over when it was
// set: net/http ends its background read in that way, and such an expiry says
// nothing about the peer.
func (c *Conn) noteDeadline(t time.Time) {
	if !t.IsZero() && (t.Before(c.source.Watch.Epoch) || !t.After(time.Now())) { // net/http ends a read by one long past: no need of a clock
		c.Note(PastDeadline)
	} else if c.Saw(PastDeadline) {
		c.Forget(PastDeadline)
	}
}

func (c *Conn) noteRead(p []byte, n int64, err error) {
	if n > 0 {
		before := c.In.Add(n) - n
		if before < headSize && len(p) > 0 && uint32(before) == c.headLen.Load() {
			// Each byte's place belongs to the one Read that brought it.
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

// lastLook finds out, before a connection is closed here that brought a PROXY
// preamble, whole or cut, and nothing else, whether its peer has left. A health check of a
// proxy's does, in the moment in which the server refuses the preamble; behind a
// proxy that sends it for real a request follows.
func (c *Conn) lastLook() {
	head := c.head[:c.headLen.Load()]
	if len(head) < len(proxyV1) || head[0] != proxyV1[0] && head[0] != proxyV2[0] || c.end(readEnd) != endNone ||
		c.Saw(Closed|Drained) || c.Had(AnyRequest) || !preambleAlone(head, c.In.Load(), c.tail.Load()) {
		return
	}
	// A server that closes all of its connections does so one after the other, and
	// holds its lock meanwhile: of peers that stay it waits for one.
	w := c.source.Watch
	if last := w.stayed.Load(); last != 0 && int64(w.Now()) < last+int64(lookPause) {
		return
	}
	if w.Stopped.Load() {
		return
	}
	if c.Conn.SetReadDeadline(time.Now().Add(lastLooks)) != nil {
		return
	}
	var more [1]byte
	n, err := c.Conn.Read(more[:])
	switch end := endOf(err); {
	case n > 0 || end == endEOF || end == endReset:
		c.noteRead(more[:n], int64(n), err)
	case end == endTimeout:
		w.stayed.Store(int64(w.Now()))
	}
}

// lastLooks is how long lastLook waits for a peer that may be leaving: longer
// than a round trip to another zone, and than a busy machine takes to send a FIN.
const lastLooks = 100 * time.Millisecond

// lookPause is how long nobody is waited for after a peer that stayed.
const lookPause = time.Second

// tailMore is Conn.tail where more came after a PROXY line.
const tailMore = 1

// noteLine keeps the last bytes of what may be a PROXY line, or that more came
// after it.
func (c *Conn) noteLine(p []byte) {
	tail := c.tail.Load()
	for _, b := range p[:min(len(p), proxyV1Max)] {
		if tail == tailMore || tail&0xff == '\n' {
			tail = tailMore
			break
		}
		tail = tail<<8 | uint64(b)
	}
	c.tail.Store(tail)
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

// endSession ends the context of the session on c, if there is one, after a
// while: at once for a close, and after a failed read or write when its caller
// has had the time to see the error rather than the end of its context.
func (c *Conn) endSession(after time.Duration) {
	if !c.Saw(Upgraded) {
		return
	}
	if s := c.current.Load(); s != nil {
		s.Occupant.EndContext(after)
	}
}

// ErrorGrace is how long after an error of the transport a session's context
// ends.
const ErrorGrace = 100 * time.Millisecond

// peerEnded notes when the peer was seen to be gone, once.
func (c *Conn) peerEnded() {
	if c.Out.Load() == 0 {
		c.Note(PeerFirst)
	}
	age := uint32(max(c.source.Watch.Now()-c.Accepted, 0)/time.Millisecond) + 1
	c.endAge.CompareAndSwap(0, age)
}

// first runs after the first Read returned. Only now may the address be asked:
// go-proxyproto blocks for it until the preamble has come.
func (c *Conn) first() {
	if c.tls.Load() != nil || !c.Saw(Attached) || c.source.Watch.H2C.Load() {
		c.source.Watch.Conns.Index(c)
	}
}

// The parts of Conn.answer: the status of the first response, or that the
// first bytes written were a TLS record's.
const (
	answerStatus    = 0xffff
	answerExplained = 1 << 16 // net/http: "400 Bad Request: why"
	answerTLS       = 1 << 17
	answerOther     = 1 << 18
	answerPart      = 1 << 19 // to a handshake, and only so many bytes of it yet
	answerAt        = 20      // how far to shift for the number of them
)

// noteAnswer notes the status line of the first response on a plain port, for
// the requests that a server answers without calling anyone, or that TLS is
// above. What the server itself wrote is not hostile.
func (c *Conn) noteAnswer(p []byte) {
	v := uint32(answerOther)
	switch {
	case len(p) >= 3 && p[0] >= 0x14 && p[0] <= 0x17 && p[1] == 3:
		v = answerTLS
		if !c.source.TLS.Load() && c.headLen.Load() > 0 && c.head[0] == 0x16 { // a record answers a record
			c.source.TLS.Store(true)
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
	c.answer.CompareAndSwap(0, v)
}

// unanswered reports whether the first answer, or its status, is still to come.
func (c *Conn) unanswered() bool {
	a := c.answer.Load()
	return (a == 0 || a&answerPart != 0) && !c.Saw(Closed)
}

// longestAlert is more than any TLS record that carries an alert alone, and
// less than the records of the shortest answer to a handshake.
const longestAlert = 64

// noteUpgrade notes, of what is written after a hijack, that it answers the
// handshake, as gorilla/websocket does it: by the status line, in however many
// parts that comes. Under TLS it cannot be read; that there is an answer, and not
// only the alert of a close, shows in its length.
func (c *Conn) noteUpgrade(p []byte) {
	s, a := c.current.Load(), c.answer.Load()
	switch {
	case s == nil:
		c.answer.Store(answerOther)
	case c.plain():
		for _, b := range p {
			if a = statusLine(a, b); a&answerPart == 0 {
				break
			}
		}
		c.answer.Store(a)
		if a&answerStatus != 0 && a&answerPart == 0 {
			s.Occupant.Confirm(int(a & answerStatus))
		}
	case int(a&answerStatus)+len(p) < longestAlert:
		c.answer.Store(answerPart | a + uint32(len(p)))
	default:
		c.answer.Store(answerOther)
		s.Occupant.Confirm(0)
	}
}

// plain reports whether the bytes that pass are HTTP's: the request was readable, or
// the connection is one that was handed over by the server as it reads it.
func (c *Conn) plain() bool {
	return c.Came() >= Followed || c.tls.Load() == nil && (c.headLen.Load() == 0 || c.head[0] >= 'A' && c.head[0] <= 'Z')
}

// statusLine takes the next byte of a status line, "HTTP/1.1 101", and returns the
// next a: a part of it, the status, or answerOther.
func statusLine(a uint32, b byte) uint32 {
	const form = "HTTP/1.x sss"
	at, status := a>>answerAt, a&answerStatus
	switch f := form[at]; {
	case f == 's' && b >= '0' && b <= '9':
		status = status*10 + uint32(b-'0')
	case f == 'x', f == b:
	default:
		return answerOther
	}
	if at++; int(at) < len(form) {
		return answerPart | at<<answerAt | status
	}
	if status < 100 || status > 599 {
		return answerOther
	}
	return status
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
			syscall.ETIMEDOUT, // keep-alive or a retransmission that nobody answered
			syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.ENETDOWN, syscall.EHOSTDOWN:
			return endReset
		}
	}
	return endOther
}

// proxyV2Length is the length of the PROXY v2 header in head, its addresses
// included.
func proxyV2Length(head []byte) int64 {
	return 16 + int64(binary.BigEndian.Uint16(head[14:16]))
}

// markRefused keeps the most telling reason of a connection: the first in the order of
// the reasons.
func (c *Conn) MarkRefused(r event.Reason) {
	for {
		old := c.ends.Load()
		if was := event.Reason(old >> refusedFor & 0xff); was != 0 && was <= r {
			break
		}
		if c.ends.CompareAndSwap(old, old&^(0xff<<refusedFor)|uint32(r)<<refusedFor) {
			break
		}
	}
	c.Mark(Refused)
}

// asked reports whether a request, or a part of one, has come on c. In TLS, and
// where the guard did not accept it, the first of a connection does not show.
func (c *Conn) Asked() bool {
	return c.Had(AnyRequest) || c.tls.Load() == nil && c.In.Load() > 0 &&
		!preambleAlone(c.head[:c.headLen.Load()], c.In.Load(), c.tail.Load())
}

// secured reports whether the TLS handshake above c is done, true where there is
// none.
func (c *Conn) Secured() bool {
	above := c.tls.Load()
	return above == nil || above.ConnectionState().HandshakeComplete
}

// setUnread notes why the server could not read a request.
func (c *Conn) SetUnread(r event.Reason) { c.ends.Or(uint32(r) << unreadFor) }

// unread is why the server could not read a request, NoReason if it could.
func (c *Conn) Unread() event.Reason { return event.Reason(c.ends.Load() >> unreadFor) }
