package conn

import (
	"bytes"
	"io"
	"net"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/usererror"
)

// classify decides what a connection was: the first class that applies, in the order of
// the classes.
func classify(e evidence) (event.Class, event.Reason) {
	switch {
	case e.had(Panicked):
		return event.HandlerPanic, event.NoReason
	case e.had(UpgradeFailed):
		return event.UpgradeFailed, event.NoReason
	case e.had(Session):
		return event.SessionEnded, event.NoReason
	case e.had(Hijacked):
		return event.Hijacked, event.NoReason
	case e.had(Refused):
		return event.HandshakeRefused, e.refused
	case e.had(ProbeFailing):
		return event.ProbeFailing, event.NoReason
	case e.had(Ordinary):
		return event.HTTP, event.NoReason
	case e.had(Probe):
		return event.HTTPProbe, event.NoReason
	case e.noMiddleware && !e.tls && IsHTTP(e.head) && !unaskedAnswer(e.status()):
		return event.HTTP, event.NoReason
	case !e.tls && e.status() == 101:
		return event.Hijacked, event.NoReason // by a server that reports no requests
	case !e.tls && e.status() >= 200 && e.status() < 400:
		return event.HTTP, event.NoReason // the server gave a good answer without a handler
	}
	if e.saw(Preface) {
		return event.WrongProtocol, event.ReasonH2Preface
	}
	if e.saw(Drained) {
		return event.ServerClosed, event.ReasonDrain
	}
	if e.unserved() {
		return event.HandshakeRefused, event.ReasonHTTP2
	}
	if c, r := e.preamble(); c != event.Undecided {
		return c, r
	}
	if e.tls {
		return e.aboveTLS()
	}
	return e.plain()
}

// unaskedAnswer reports whether a server gives an answer with this status itself,
// without calling a handler. Status 0 is no answer.
func unaskedAnswer(status int) bool {
	switch status {
	case 0, 400, 408, 413, 417, 431, 501, 505:
		return true
	}
	return false
}

// preamble finds PROXY probes and other protocols by the first bytes.
func (e evidence) preamble() (event.Class, event.Reason) {
	if c, r, known := e.proxied(); known {
		return c, r
	}
	switch {
	case e.tls && IsHTTP(e.head):
		return event.WrongProtocol, event.ReasonHTTPOnTLS
	case e.tls:
	case bytes.HasPrefix(e.head, []byte(H2Preface)) && e.h2c:
		return e.bare(event.TCPProbe) // the server speaks it, and no request came
	case bytes.HasPrefix(e.head, []byte(H2Preface)):
		return event.WrongProtocol, event.ReasonH2Preface
	case isHello(e.head):
		return event.WrongProtocol, event.ReasonTLSOnPlain
	}
	return event.Undecided, event.NoReason
}

// isHello reports whether head begins a TLS handshake record (RFC 8446 §5.1) of
// SSL 3.0 to TLS 1.3.
func isHello(head []byte) bool {
	return len(head) >= 3 && head[0] == 0x16 && head[1] == 3 && head[2] <= 4
}

// IsHTTP reports whether head begins a request line: a method in capital letters and a
// space.
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

// aboveTLS decides for a connection under TLS without a request.
func (e evidence) aboveTLS() (event.Class, event.Reason) {
	closedHere := e.readEnd == endClosed || e.readEnd == endNone && usererror.Is(e.tlsErr, net.ErrClosed)
	switch {
	case e.tlsUnknown && e.answer&answerTLS == 0 && e.in > 0 && e.readEnd == endTimeout:
		return event.TLSFailed, event.ReasonTimeout
	case e.tlsUnknown && e.answer&answerTLS == 0 && e.in > 0:
		return event.TLSFailed, event.ReasonTruncated // the ClientHello was never answered
	case e.tlsErr == nil && e.badRequest != event.NoReason:
		return event.BadRequest, e.badRequest
	case e.tlsErr == nil && e.saw(Active) && !e.h2 && e.readEnd == endTimeout:
		return event.BadRequest, event.ReasonTimeout
	case e.tlsErr == nil && e.saw(Active) && !e.h2:
		return event.BadRequest, event.ReasonUnknown
	case e.tlsErr == nil && (e.in > 0 || !e.seen):
		return e.bare(event.TLSProbe)
	case e.seen && e.in == 0:
		return e.bare(event.TCPProbe)
	case !e.seen && usererror.IsTimeout(e.tlsErr):
		return event.IdleConnect, event.NoReason
	case !e.seen && (e.tlsErr == io.EOF || endOf(e.tlsErr) == endReset):
		return e.bare(event.TCPProbe)
	case closedHere:
		return event.ServerClosed, event.ReasonShutdown
	}
	return event.TLSFailed, tlsReason(e.tlsErr, e.tlsVersion, e.tlsPeer)
}

// plain decides for a connection without a request and without TLS.
func (e evidence) plain() (event.Class, event.Reason) {
	status := e.status()
	switch {
	case !e.seen && e.badRequest != event.NoReason:
		return event.BadRequest, e.badRequest
	case !e.seen && e.saw(Active):
		return event.BadRequest, event.ReasonUnknown
	case !e.seen:
		return e.bare(event.TCPProbe)
	case e.in == 0 && e.out > 0 && e.readEnd != endTimeout:
		return event.ServerClosed, event.ReasonLimit // answered before a request came
	case e.in == 0 && e.readEnd == endOther:
		return event.BadRequest, event.ReasonRefused // by a listener below, such as go-proxyproto
	case e.in == 0:
		return e.bare(event.TCPProbe)
	case status == 431, status == 413:
		return event.BadRequest, event.ReasonTooLarge
	case e.readEnd == endTimeout:
		return event.BadRequest, event.ReasonTimeout
	case e.saw(PeerFirst) && (e.readEnd == endEOF || e.readEnd == endReset):
		return event.BadRequest, event.ReasonTruncated
	case status == 400 && e.answer&answerExplained == 0:
		return event.BadRequest, event.ReasonMalformed
	case status >= 400:
		return event.BadRequest, event.ReasonRefused
	case e.out == 0:
		return event.ServerClosed, event.ReasonShutdown
	}
	return event.BadRequest, event.ReasonMalformed
}
