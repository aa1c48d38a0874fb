package core

import (
	"crypto/tls"
	"net"
	"time"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/journal"
	"github.com/quietws/quietws/core/internal/prober"
	"github.com/quietws/quietws/core/internal/remedy"
	"github.com/quietws/quietws/core/internal/usererror"
)

// decide runs once for each connection, when it is closed and no request on it
// is unfinished: the class is counted, and told where no request told it.
func (c *Conn) decide() {
	if !c.set(flagDecided) {
		return
	}
	x := c.current.Load()
	if x != nil && x.opened() {
		x.settleSession(c)
	}
	c.ln.g.conns.remove(c)
	c.count()
}

// count is decide without what a session takes, of which the stack is deep
// enough.
func (c *Conn) count() {
	g := c.ln.g
	f := c.facts()
	class, reason := classify(f)
	if c.is(flagUncounted) {
		return
	}
	if f.untold && f.in > 0 && (f.tls || isHTTP(f.head)) {
		g.listensAlone()
	}
	g.stats.countClosed(c, class)
	if class == event.HandshakeRefused && !f.is(flagRefused) {
		c.refusedOverHTTP2("")
	}
	if toldByRequest(class) {
		return
	}
	var e event.Event
	as := journal.Ordinary
	e.Class, e.Reason, e.Status, e.Time = class, reason, f.status(), time.Now()
	c.fill(&e)
	if class == event.TLSFailed {
		if e.Err = f.tlsErr; panickedInTLS(f.tlsErr) {
			as = journal.Elsewhere
		}
	}
	if limit := g.headLimit.Load(); reason == event.ReasonTooLarge && f.seen && f.in < limit {
		e.Remedy = remedy.ManyFields
	}
	if class.Probe() {
		p := prober.Prober(0)
		if e.Platform {
			p = g.proberAt(e.Remote.Addr())
		}
		g.stats.countProbe(class, p, false)
		if e.Platform {
			g.sawProber(p, e.Time)
		}
	}
	g.tellAs(&e, as)
}

// toldByRequest reports whether connections of this class were told when it
// happened, by a request on them.
func toldByRequest(c event.Class) bool {
	switch c {
	case event.HandlerPanic, event.UpgradeFailed, event.SessionEnded, event.HandshakeRefused, event.ProbeFailing, event.HTTP, event.HTTPProbe:
		return true
	}
	return false
}

// facts gathers what is known of a connection that is over.
func (c *Conn) facts() facts {
	f := facts{
		flags:       c.flags.Load(),
		refused:     event.Reason(c.ends.Load() >> refusedFor & 0xff),
		unread:      event.Reason(c.ends.Load() >> unreadFor),
		head:        c.head[:c.headLen.Load()],
		tail:        c.tail.Load(),
		in:          c.in.Load(),
		out:         c.out.Load(),
		seen:        !c.is(flagShadow | flagSeenLate | flagUncounted),
		untold:      !c.ln.g.joined.Load(),
		answer:      c.answer.Load(),
		readEnd:     c.end(readEnd),
		timeout:     c.ln.timeout,
		expectProxy: c.ln.g.config.ExpectProxy,
		h2:          c.is(flagH2),
		h2c:         c.ln.g.h2c.Load(),
	}
	if ms := c.endAge.Load(); ms != 0 {
		f.age = time.Duration(ms-1) * time.Millisecond
	} else {
		f.age = c.ln.g.now() - c.accepted
	}
	above := c.tls.Load()
	f.tlsUnknown = above == nil && c.ln.tls.Load()
	f.tls = above != nil || f.tlsUnknown
	if above != nil && f.flags&flagsRequest == 0 && (f.in > 0 || !f.seen) { // no byte, no handshake
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
func panickedInTLS(err error) bool { return err == errNoHandshake || err == errTLSPanicked }

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

// flagsRequest are the flags of a connection that had a request: its TLS
// handshake was good.
const flagsRequest = flagPanic | flagUpgradeFailed | flagSession | flagHijacked | flagRefused | flagProbeFailing | flagOrdinary | flagProbe

// peerGone reports whether the peer was seen to be gone.
func (c *Conn) peerGone() bool {
	end := c.end(readEnd)
	return end == endEOF || end == endReset || c.end(writeEnd) == endReset
}

// fill adds to e what the transport says of the peer.
func (c *Conn) fill(e *event.Event) {
	e.Remote = c.remote()
	e.Platform = c.ln.g.platform(e.Remote.Addr()) || !e.Remote.IsValid() && isUnix(c.Conn.RemoteAddr())
	if e.Prober == "" && e.Platform && e.Class.Probe() {
		e.Prober = c.ln.g.proberAt(e.Remote.Addr()).String()
	}
}
