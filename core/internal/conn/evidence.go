package conn

import (
	"net"
	"time"

	"github.com/quietws/quietws/core/event"
)

// evidence is what is known of a connection that is over. classify needs nothing else.
type evidence struct {
	facts      Fact
	outcomes   Outcome
	refused    event.Reason // the most significant of its refused handshakes
	badRequest event.Reason // why the server could not read a request

	head         []byte // the first bytes received, at most headSize
	tail         uint64 // Conn.tail
	in, out      int64  // bytes
	seen         bool   // bytes were seen: the guard accepted the connection
	noMiddleware bool   // no middleware reports requests

	tls        bool  // TLS is above
	tlsUnknown bool  // and its tls.Conn is not known
	tlsErr     error // of its handshake
	tlsVersion uint16
	tlsPeer    bool // the client's certificate was read
	h2         bool // it negotiated HTTP/2

	answer  uint32 // Conn.answer
	readEnd endKind
	age     time.Duration // from accept to the peer's end, or else to the close
	timeout time.Duration // Source.Timeout

	expectProxy bool // Config.ExpectProxy
	h2c         bool // the server speaks HTTP/2 without TLS
}

// evidence gathers what is known of a connection that is over.
func (c *Conn) evidence() evidence {
	w := c.source.Watch
	e := evidence{
		facts:        Fact(c.facts.Load()),
		outcomes:     Outcome(c.outcomes.Load()),
		refused:      event.Reason(c.ends.Load() >> refusedFor & 0xff),
		badRequest:   c.BadRequest(),
		head:         c.head[:c.headLen.Load()],
		tail:         c.tail.Load(),
		in:           c.In.Load(),
		out:          c.Out.Load(),
		seen:         c.Provenance() == Accepted,
		noMiddleware: !w.RequestsReported.Load(),
		answer:       c.answer.Load(),
		readEnd:      c.end(readEnd),
		timeout:      c.source.Timeout,
		expectProxy:  w.expectProxy,
		h2:           c.Saw(HTTP2),
		h2c:          w.H2C.Load(),
	}
	if ms := c.endAge.Load(); ms != 0 {
		e.age = time.Duration(ms-1) * time.Millisecond
	} else {
		e.age = w.Now() - c.Accepted
	}
	above := c.tls.Load()
	e.tlsUnknown = above == nil && c.source.TLS.Load()
	e.tls = above != nil || e.tlsUnknown
	if above != nil && e.outcomes == 0 && (e.in > 0 || !e.seen) { // without a byte there was no handshake
		state, err := tlsResult(above)
		if err == errNoHandshake && !e.seen && c.ctx == nil {
			err = net.ErrClosed // closed before its handshake, as fasthttp does at its limit
		}
		e.tlsErr = clearAlert(err, c.tail.Load())
		e.tlsVersion, e.tlsPeer = state.Version, len(state.PeerCertificates) > 0
		e.h2 = state.NegotiatedProtocol == "h2"
	}
	return e
}

func (e evidence) saw(one Fact) bool { return e.facts&one != 0 }

func (e evidence) had(one Outcome) bool { return e.outcomes&one != 0 }

// status is that of the first response on a plain port, 0 if there was none.
func (e evidence) status() int { return int(e.answer & answerStatus) }

// End is what a connection was, and the details of it that are logged or counted.
type End struct {
	Class     event.Class
	Reason    event.Reason
	Status    int   // of the server's own answer on a plain port, 0 if there was none
	TLSErr    error // of a TLS handshake that failed
	Panicked  bool  // a function of the application panicked in that handshake
	Bytes     bool  // bytes of a request or of TLS came, but no middleware reports requests
	In        int64 // bytes received, if Seen
	Seen      bool  // the guard accepted the connection and saw its bytes
	Uncounted bool  // it was not counted as accepted
	Unserved  bool  // the server refused a stream of HTTP/2 before it called a handler
}

// report is a function of its own so that its locals are not on the stack while the
// occupant leaves.
func (c *Conn) report() {
	e := c.evidence()
	class, reason := classify(e)
	c.source.Watch.Host.Over(c, End{
		Class: class, Reason: reason, Status: e.status(), TLSErr: e.tlsErr, Panicked: panickedInTLS(e.tlsErr),
		Bytes: e.noMiddleware && e.in > 0 && (e.tls || IsHTTP(e.head)), In: e.in, Seen: e.seen,
		Uncounted: c.Provenance() == Unaccepted, Unserved: class == event.HandshakeRefused && e.outcomes&Refused == 0,
	})
}
