package conn

import (
	"crypto/tls"
	"net"
	"time"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/usererror"
)

// End is what a connection was, and what of it is worth telling.
type End struct {
	Class     event.Class
	Reason    event.Reason
	Status    int   // of the server's own answer on a plain port, 0 if there was none
	TLSErr    error // of a handshake that failed
	Panicked  bool  // in that handshake, in a function of the application's
	Bytes     bool  // some were received, of a request or of TLS, and nobody tells of requests
	In        int64 // how many, where they are seen
	Seen      bool  // they are
	Uncounted bool  // the guard did not count it when it came
	Unserved  bool  // refused over HTTP/2 before any handler was called
}

// decide runs once for each connection, when it is closed and no request on it is
// unfinished.
func (c *Conn) decide() {
	if !c.Note(Decided) {
		return
	}
	if s := c.current.Load(); s != nil {
		s.Occupant.Leave()
	}
	c.source.Watch.Conns.remove(c)
	c.count()
}

// count is a function of its own so that its locals are not on the stack while the
// occupant leaves.
func (c *Conn) count() {
	f := c.evidence()
	class, reason := classify(f)
	c.source.Watch.Host.Over(c, End{
		Class: class, Reason: reason, Status: f.status(), TLSErr: f.tlsErr, Panicked: panickedInTLS(f.tlsErr),
		Bytes: f.untold && f.in > 0 && (f.tls || IsHTTP(f.head)), In: f.in, Seen: f.seen,
		Uncounted: c.Came() == Adopted, Unserved: class == event.HandshakeRefused && f.outcomes&Refused == 0,
	})
}

// evidence gathers what is known of a connection that is over.
func (c *Conn) evidence() evidence {
	w := c.source.Watch
	f := evidence{
		facts:       Fact(c.facts.Load()),
		outcomes:    Outcome(c.outcomes.Load()),
		refused:     event.Reason(c.ends.Load() >> refusedFor & 0xff),
		unread:      c.Unread(),
		head:        c.head[:c.headLen.Load()],
		tail:        c.tail.Load(),
		in:          c.In.Load(),
		out:         c.Out.Load(),
		seen:        c.Came() == Accepted,
		untold:      !w.Joined.Load(),
		answer:      c.answer.Load(),
		readEnd:     c.end(readEnd),
		timeout:     c.source.Timeout,
		expectProxy: w.expectProxy,
		h2:          c.Saw(HTTP2),
		h2c:         w.H2C.Load(),
	}
	if ms := c.endAge.Load(); ms != 0 {
		f.age = time.Duration(ms-1) * time.Millisecond
	} else {
		f.age = w.Now() - c.Accepted
	}
	above := c.tls.Load()
	f.tlsUnknown = above == nil && c.source.TLS.Load()
	f.tls = above != nil || f.tlsUnknown
	if above != nil && f.outcomes == 0 && (f.in > 0 || !f.seen) { // no byte, no handshake
		state, err := tlsResult(above)
		if err == errNoHandshake && !f.seen && c.ctx == nil {
			err = net.ErrClosed // closed before its handshake, as fasthttp does at its limit
		}
		f.tlsErr = clearAlert(err, c.tail.Load())
		f.tlsVersion, f.tlsPeer = state.Version, len(state.PeerCertificates) > 0
		f.h2 = state.NegotiatedProtocol == "h2"
	}
	return f
}

// panickedInTLS reports whether err is that of a handshake in which a function of
// the application's panicked: that has a line in a log already.
func panickedInTLS(err error) bool { return err == errNoHandshake || err == ErrTLSPanicked }

// alertBadRecordMAC is the alert bad_record_mac of RFC 8446 §6.
const alertBadRecordMAC = 20

// clearAlert returns the error of a TLS handshake, given the last bytes that
// were received. OpenSSL clients that refuse a certificate over TLS 1.3 send
// their alert in the clear (seen with 3.0), which crypto/tls cannot decrypt and
// reports as a bad record of its own: what was really said is that alert.
func clearAlert(err error, tail uint64) error {
	op := usererror.OpError(err)
	if op == nil || op.Op != "local error" || alertNumber(op.Err) != alertBadRecordMAC {
		return err
	}
	const fatalAlert = 0x15_03_03_00_02_02_00 // a record of type 21, length 2, level fatal (RFC 8446 §5.1, §6)
	if tail<<8>>8&^0xff != fatalAlert {
		return err
	}
	return &net.OpError{Op: "remote error", Err: tls.AlertError(tail)}
}

// peerGone reports whether the peer was seen to be gone.
func (c *Conn) PeerGone() bool {
	end := c.end(readEnd)
	return end == endEOF || end == endReset || c.end(writeEnd) == endReset
}
