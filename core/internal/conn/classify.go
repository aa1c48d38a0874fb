package conn

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"reflect"
	"strings"
	"time"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/usererror"
)

// evidence is what is known of a connection when it is over. classify needs nothing
// else.
type evidence struct {
	facts    Fact
	outcomes Outcome
	refused  event.Reason // the most telling of its refused handshakes
	unread   event.Reason // the server's own, for a request that it could not read

	head    []byte // the first bytes received, at most headSize
	tail    uint64 // the last, where they matter
	in, out int64
	seen    bool // bytes were seen: the guard accepted the connection
	untold  bool // nobody is there to tell of requests

	tls        bool  // TLS is above
	tlsUnknown bool  // and nobody showed its tls.Conn
	tlsErr     error // its handshake's error
	tlsVersion uint16
	tlsPeer    bool // the client's certificate was read
	h2         bool // it negotiated HTTP/2

	answer  uint32 // Conn.answer
	readEnd endKind
	age     time.Duration // from accept until the peer's end, or else the close
	timeout time.Duration // where bytes are not seen: what the server waits for a request, 0: for ever

	expectProxy bool // Config.ExpectProxy
	h2c         bool // the server speaks HTTP/2 without TLS
}

func (f evidence) saw(one Fact) bool { return f.facts&one != 0 }

func (f evidence) had(one Outcome) bool { return f.outcomes&one != 0 }

// classify decides what a connection was: the first class that applies, in the
// order of the classes.
func classify(f evidence) (event.Class, event.Reason) {
	switch {
	case f.had(Panicked):
		return event.HandlerPanic, event.NoReason
	case f.had(UpgradeFailed):
		return event.UpgradeFailed, event.NoReason
	case f.had(Session):
		return event.SessionEnded, event.NoReason
	case f.had(Hijacked):
		return event.Hijacked, event.NoReason
	case f.had(Refused):
		return event.HandshakeRefused, f.refused
	case f.had(ProbeFailing):
		return event.ProbeFailing, event.NoReason
	case f.had(Ordinary):
		return event.HTTP, event.NoReason
	case f.had(Probe):
		return event.HTTPProbe, event.NoReason
	case f.untold && !f.tls && IsHTTP(f.head) && !unaskedAnswer(f.status()):
		return event.HTTP, event.NoReason
	case !f.tls && f.status() == 101:
		return event.Hijacked, event.NoReason // by a server that told the guard nothing
	case !f.tls && f.status() >= 200 && f.status() < 400:
		return event.HTTP, event.NoReason // the server answered well without calling anyone
	}
	if f.saw(Preface) {
		return event.WrongProtocol, event.ReasonH2Preface
	}
	if f.saw(Drained) {
		return event.ServerClosed, event.ReasonDrain
	}
	if f.unserved() {
		return event.HandshakeRefused, event.ReasonHTTP2
	}
	if c, r := f.preamble(); c != event.Undecided {
		return c, r
	}
	if f.tls {
		return f.aboveTLS()
	}
	return f.plain()
}

// status is that of the first response on a plain port, 0 if there was none.
func (f evidence) status() int { return int(f.answer & answerStatus) }

// unaskedAnswer reports whether a server answers so without calling a handler, 0: not
// at all.
func unaskedAnswer(status int) bool {
	switch status {
	case 0, 400, 408, 413, 417, 431, 501, 505:
		return true
	}
	return false
}

// proxyV2 begins a PROXY v2 header, H2Preface an HTTP/2 connection (RFC 9113
// §3.4), proxyV1 a PROXY v1 line. A signature counts when all of it is there.
const (
	proxyV1   = "PROXY "
	proxyV2   = "\r\n\r\n\x00\r\nQUIT\n"
	H2Preface = "PRI * HTTP/2.0"
)

// preamble finds probes and protocols by the first bytes.
func (f evidence) preamble() (event.Class, event.Reason) {
	v2 := bytes.HasPrefix(f.head, []byte(proxyV2))
	if v2 || bytes.HasPrefix(f.head, []byte(proxyV1)) {
		local := v2 && len(f.head) == headSize && f.head[12] == 0x20 && f.in == proxyV2Length(f.head)
		switch {
		case local, f.saw(PeerFirst), preambleAlone(f.head, f.in, f.tail) && (f.readEnd == endEOF || f.readEnd == endReset):
			return event.ProxyProbe, event.NoReason
		case !f.expectProxy:
			return event.WrongProtocol, event.ReasonProxyPreamble
		}
		return event.Undecided, event.NoReason
	}
	switch {
	case f.tls && IsHTTP(f.head):
		return event.WrongProtocol, event.ReasonHTTPOnTLS
	case f.tls:
	case bytes.HasPrefix(f.head, []byte(H2Preface)) && f.h2c:
		return f.bare(event.TCPProbe) // understood, and nothing was asked
	case bytes.HasPrefix(f.head, []byte(H2Preface)):
		return event.WrongProtocol, event.ReasonH2Preface
	case isHello(f.head):
		return event.WrongProtocol, event.ReasonTLSOnPlain
	}
	return event.Undecided, event.NoReason
}

// proxyV1Max is the length of the longest PROXY v1 line (HAProxy's
// proxy-protocol.txt §2.1).
const proxyV1Max = 107

// mayBeProxyV1 reports whether p begins a PROXY v1 line, or is the beginning of
// one.
func mayBeProxyV1(p []byte) bool {
	n := min(len(p), len(proxyV1))
	return string(p[:n]) == proxyV1[:n]
}

// preambleAlone reports whether a connection that began with head brought a PROXY
// preamble, or the beginning of one, and not a byte after it. tail are its last
// bytes.
func preambleAlone(head []byte, in int64, tail uint64) bool {
	switch {
	case bytes.HasPrefix(head, []byte(proxyV1)):
		return in <= proxyV1Max && tail != tailMore
	case !bytes.HasPrefix(head, []byte(proxyV2)):
		return false
	}
	return len(head) < headSize || in <= proxyV2Length(head)
}

// isHello reports whether head begins a TLS handshake record (RFC 8446 §5.1) of
// SSL 3.0 to TLS 1.3.
func isHello(head []byte) bool {
	return len(head) >= 3 && head[0] == 0x16 && head[1] == 3 && head[2] <= 4
}

// IsHTTP reports whether head begins a request line: a method in capital
// letters and a space.
func IsHTTP(head []byte) bool {
	method, _, ok := bytes.Cut(head, []byte(" "))
	if !ok || len(method) < 3 {
		return false
	}
	for _, b := range method {
		if b < 'A' || b > 'Z' {
			return false
		}
	}
	return true
}

// aboveTLS decides for a connection without a request that TLS is above.
func (f evidence) aboveTLS() (event.Class, event.Reason) {
	closedHere := f.readEnd == endClosed || f.readEnd == endNone && usererror.Is(f.tlsErr, net.ErrClosed)
	switch {
	case f.tlsUnknown && f.answer&answerTLS == 0 && f.in > 0 && f.readEnd == endTimeout:
		return event.TLSFailed, event.ReasonTimeout
	case f.tlsUnknown && f.answer&answerTLS == 0 && f.in > 0:
		return event.TLSFailed, event.ReasonTruncated // the ClientHello was never answered
	case f.tlsErr == nil && f.unread != event.NoReason:
		return event.BadRequest, f.unread
	case f.tlsErr == nil && f.saw(Active) && !f.h2 && f.readEnd == endTimeout:
		return event.BadRequest, event.ReasonTimeout
	case f.tlsErr == nil && f.saw(Active) && !f.h2:
		return event.BadRequest, event.ReasonUnknown
	case f.tlsErr == nil && (f.in > 0 || !f.seen):
		return f.bare(event.TLSProbe)
	case f.seen && f.in == 0:
		return f.bare(event.TCPProbe)
	case !f.seen && usererror.IsTimeout(f.tlsErr):
		return event.IdleConnect, event.NoReason
	case !f.seen && (f.tlsErr == io.EOF || endOf(f.tlsErr) == endReset):
		return f.bare(event.TCPProbe)
	case closedHere:
		return event.ServerClosed, event.ReasonShutdown
	}
	return event.TLSFailed, tlsReason(f.tlsErr, f.tlsVersion, f.tlsPeer)
}

// The errors of crypto/tls that have no type. If Go changes their words they are
// aborted handshakes like any other.
const (
	textVersion       = "tls: client offered only unsupported versions"
	textNoCertificate = "tls: client didn't provide a certificate"
)

// tlsReason sorts the error of a TLS handshake by its type, where it has one. What
// breaks without one when the client's certificate was read is a refusal of that, by
// a function of tls.Config or for what the certificate is.
func tlsReason(err error, version uint16, certificate bool) event.Reason {
	op := usererror.OpError(err)
	_, record := usererror.As[tls.RecordHeaderError](err)
	_, unverified := usererror.As[*tls.CertificateVerificationError](err)
	switch text := usererror.Text(err); {
	case unverified, text == textNoCertificate:
		return event.ReasonClientCertificate
	case usererror.IsTimeout(err):
		return event.ReasonTimeout
	case err == io.EOF, usererror.Is(err, io.ErrUnexpectedEOF), endOf(err) == endReset:
		return event.ReasonTruncated
	case op != nil && op.Op == "remote error":
		if alertNumber(op.Err) == alertProtocolVersion {
			return event.ReasonVersion
		}
		return event.ReasonRefused
	case op != nil, record, panickedInTLS(err):
		return event.ReasonAborted
	case certificate:
		return event.ReasonClientCertificate
	case version == 0 && strings.HasPrefix(text, textVersion):
		return event.ReasonVersion
	}
	return event.ReasonAborted
}

// alertProtocolVersion is the alert protocol_version of RFC 8446 §6.
const alertProtocolVersion = 70

// alertNumber returns the number of an alert of crypto/tls, whose type is not
// exported, 0 for anything else.
func alertNumber(err error) uint64 {
	if v := reflect.ValueOf(err); v.Kind() == reflect.Uint8 {
		return v.Uint()
	}
	return 0
}

// plain decides for a connection without a request and without TLS.
func (f evidence) plain() (event.Class, event.Reason) {
	status := f.status()
	switch {
	case !f.seen && f.unread != event.NoReason:
		return event.BadRequest, f.unread
	case !f.seen && f.saw(Active):
		return event.BadRequest, event.ReasonUnknown
	case !f.seen:
		return f.bare(event.TCPProbe)
	case f.in == 0 && f.out > 0 && f.readEnd != endTimeout:
		return event.ServerClosed, event.ReasonLimit // answered before it was asked
	case f.in == 0 && f.readEnd == endOther:
		return event.BadRequest, event.ReasonRefused // by a listener below, such as go-proxyproto
	case f.in == 0:
		return f.bare(event.TCPProbe)
	case status == 431, status == 413:
		return event.BadRequest, event.ReasonTooLarge
	case f.readEnd == endTimeout:
		return event.BadRequest, event.ReasonTimeout
	case f.saw(PeerFirst) && (f.readEnd == endEOF || f.readEnd == endReset):
		return event.BadRequest, event.ReasonTruncated
	case status == 400 && f.answer&answerExplained == 0:
		return event.BadRequest, event.ReasonMalformed
	case status >= 400:
		return event.BadRequest, event.ReasonRefused
	case f.out == 0:
		return event.ServerClosed, event.ReasonShutdown
	}
	return event.BadRequest, event.ReasonMalformed
}

// bare tells a probe, which is gone at once, from a connection that idled and
// from one that this server closed.
func (f evidence) bare(probe event.Class) (event.Class, event.Reason) {
	switch {
	case f.readEnd == endTimeout, f.timeout > 0 && f.age >= f.timeout:
		return event.IdleConnect, event.NoReason
	case f.readEnd == endClosed, f.seen && f.in == 0 && f.readEnd == endNone:
		return event.ServerClosed, event.ReasonShutdown
	case f.age > ProbeAge:
		return event.IdleConnect, event.NoReason
	}
	return probe, event.NoReason
}
