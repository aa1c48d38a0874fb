package event

import (
	"fmt"
	"slices"
)

// Class says what a connection was, or what one event on it was. The set is closed:
// every connection accepted through core.Guard.Listener ends in exactly one class, the
// first in this list that applies. The words of [Class.String] are public API: they are
// the log attribute "class" and a metric label.
//
// Logged means that the first of a kind gets a line at once, and its repeats within
// core.Config.Collapse get one line with their count. Quiet means that the first probe of
// each prober is logged at Info; the rest is counted, and logged at Debug only. From
// public addresses, events that are quiet or logged at Info are only counted.
type Class uint8

const (
	// Undecided is the zero Class; no connection ends in it.
	Undecided Class = iota

	// HandlerPanic: a handler panicked. Logged at Error with the stack, which never
	// reaches the peer. After a hijack the guard closes the connection.
	HandlerPanic

	// UpgradeFailed: a good WebSocket handshake was not completed, though the client
	// was still there: it was answered 5xx, the hijack failed, nothing was written
	// after it, or the outcome is unknown. Logged at Error.
	UpgradeFailed

	// SessionEnded: the connection left HTTP by a WebSocket handshake
	// (RFC 6455 §4.2.2) and ended; [SessionEnd] says how. Each is logged at Debug.
	SessionEnded

	// Hijacked: the connection left HTTP but is no WebSocket. Each is logged at
	// Debug.
	Hijacked

	// HandshakeRefused: a request that asked to upgrade, or that came to a
	// WebSocket route, was refused; the Reason says why. Logged at Warn, or at Debug
	// if the refusal is intended (draining, 401, 403, 429).
	HandshakeRefused

	// ProbeFailing: a known prober from a platform source got an answer other than
	// 2xx or 3xx while the server was ready. Logged at Warn.
	ProbeFailing

	// HTTP: at least one ordinary request. Never logged, and no event.
	HTTP

	// HTTPProbe: there were requests, and each was a probe: answered as a health
	// route, or from a known prober. Quiet.
	HTTPProbe

	// ProxyProbe: no request: only a PROXY v2 LOCAL preamble, or a preamble whose
	// sender left without another byte (HAProxy's doc/proxy-protocol.txt, section
	// 2.2). Quiet.
	ProxyProbe

	// WrongProtocol: no request: the first bytes belong to another protocol, which
	// the Reason names. Logged at Warn.
	WrongProtocol

	// TLSFailed: at least one byte came, and the TLS handshake failed; the Reason
	// says why. Logged at Warn if either side refused a certificate or no version is
	// in common, else at Info.
	TLSFailed

	// BadRequest: bytes that never became a request; the Reason says why. Logged at
	// Info.
	BadRequest

	// ServerClosed: closed by this server before a request. Counted, and logged at
	// Warn if a limit was reached.
	ServerClosed

	// IdleConnect: no request, and the peer left later than five seconds after
	// accept, or the server's timeout ended it: a browser's spare connection, an MTU
	// problem or a slow attack, but not a probe. Logged at Info.
	IdleConnect

	// TLSProbe: the TLS handshake was completed, no request came, and the peer
	// closed within five seconds. Quiet.
	TLSProbe

	// TCPProbe: no byte came, and the peer closed within five seconds. Quiet.
	TCPProbe

	classes // how many there are
)

var classWords = [classes]string{
	Undecided:        "undecided",
	HandlerPanic:     "handler_panic",
	UpgradeFailed:    "upgrade_failed",
	SessionEnded:     "session",
	Hijacked:         "hijacked",
	HandshakeRefused: "handshake_refused",
	ProbeFailing:     "probe_failing",
	HTTP:             "http",
	HTTPProbe:        "http_probe",
	ProxyProbe:       "proxy_probe",
	WrongProtocol:    "wrong_protocol",
	TLSFailed:        "tls_failed",
	BadRequest:       "bad_request",
	ServerClosed:     "server_closed",
	IdleConnect:      "idle_connect",
	TLSProbe:         "tls_probe",
	TCPProbe:         "tcp_probe",
}

// String returns the word for c that logs and metrics use: "tcp_probe" for
// TCPProbe, and "session" for SessionEnded.
func (c Class) String() string {
	if c < classes {
		return classWords[c]
	}
	return classWords[Undecided]
}

// MarshalText returns the word for c, so that JSON has the word as a value and as a key.
func (c Class) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText accepts a word of [Class.String].
func (c *Class) UnmarshalText(word []byte) error {
	i := slices.Index(classWords[:], string(word))
	if i < 0 {
		return fmt.Errorf("quietws: there is no class %q", word)
	}
	*c = Class(i)
	return nil
}

// Classes returns every class that a connection can end in, the most significant first:
// all but Undecided. The slice is the caller's.
func Classes() []Class {
	all := make([]Class, 0, classes-1)
	for c := HandlerPanic; c < classes; c++ {
		all = append(all, c)
	}
	return all
}

// Probe reports whether connections of class c are probes that got what they wanted.
// They are counted and kept out of the log.
func (c Class) Probe() bool {
	return c == HTTPProbe || c == ProxyProbe || c == TLSProbe || c == TCPProbe
}

// Reasons returns the reasons that an event of class c can have, none if the class says
// everything. The slice is the caller's.
func (c Class) Reasons() []Reason {
	switch c {
	case HandshakeRefused:
		return reasonsFrom(ReasonDraining, ReasonApplication)
	case UpgradeFailed:
		return reasonsFrom(ReasonServerError, ReasonStatusUnknown)
	case WrongProtocol:
		return reasonsFrom(ReasonTLSOnPlain, ReasonProxyPreamble)
	case TLSFailed:
		return []Reason{ReasonRefused, ReasonClientCertificate, ReasonVersion, ReasonTruncated, ReasonAborted, ReasonTimeout}
	case BadRequest:
		return []Reason{ReasonRefused, ReasonTruncated, ReasonTimeout, ReasonMalformed, ReasonTooLarge, ReasonUnknown}
	case ServerClosed:
		return reasonsFrom(ReasonDrain, ReasonShutdown)
	}
	return nil
}

func reasonsFrom(first, last Reason) (all []Reason) {
	for r := first; r <= last; r++ {
		all = append(all, r)
	}
	return all
}

// Reason says why, within a class. Like the classes it is a closed set whose words are
// public API: they are the log attribute and the metric label "reason".
//
// [Class.Reasons] returns the reasons of a class. Those of HandshakeRefused are in the
// order in which they are checked.
type Reason uint8

const (
	// NoReason is the zero Reason: the class says everything.
	NoReason Reason = iota

	// Why a handshake was refused.

	ReasonDraining        // the server is shutting down: 503
	ReasonSaturated       // Config.MaxSessions is reached: 503
	ReasonNoRoute         // no handler for this path: 404
	ReasonUpgradeStripped // a proxy removed Upgrade or Connection
	ReasonHTTP2           // over HTTP/2, where Upgrade does not exist (RFC 9113 §8.6)
	ReasonHTTP10          // over HTTP/1.0 (RFC 6455 §4.2.1 item 1)
	ReasonBadMethod       // not a GET (RFC 6455 §4.2.1 item 1)
	ReasonNotUpgrade      // a plain request on a WebSocket route
	ReasonBadVersion      // Sec-WebSocket-Version is not 13 (RFC 6455 §4.2.1 item 6)
	ReasonMissingKey      // no Sec-WebSocket-Key (RFC 6455 §4.2.1 item 5)
	ReasonDuplicateKey    // more than one Sec-WebSocket-Key (RFC 6455 §11.3.1)
	ReasonBadKey          // the key is not base64 of 16 bytes (RFC 6455 §4.2.1 item 5)
	ReasonOriginForbidden // a foreign Origin (RFC 6455 §4.2.2 item 4)
	ReasonApplication     // the application's own library or handler refused

	// Why an upgrade failed.

	ReasonServerError    // answered 5xx
	ReasonHijackFailed   // the server would not hand over the connection
	ReasonNothingWritten // hijacked, but the handshake was not answered
	ReasonStatusUnknown  // the handler ended, and the answer is not known

	// Which protocol came to the wrong port.

	ReasonTLSOnPlain    // a TLS ClientHello to a port without TLS
	ReasonHTTPOnTLS     // plain HTTP to a TLS port
	ReasonH2Preface     // HTTP/2 with prior knowledge to an HTTP/1 port
	ReasonProxyPreamble // a PROXY protocol preamble that nothing here expects

	// Why a TLS handshake failed, or bytes never became a request.

	ReasonRefused           // by the peer's alert (TLS), or by the server because of the head (HTTP)
	ReasonClientCertificate // this server refused the client's certificate, or got none
	ReasonVersion           // no TLS version in common
	ReasonTruncated         // the peer left in the middle
	ReasonAborted           // the TLS handshake broke in some other way
	ReasonTimeout           // the rest did not come in time
	ReasonMalformed         // not HTTP
	ReasonTooLarge          // a larger head than the server takes
	ReasonUnknown           // bytes inside TLS that the server refused without saying why

	// Why this server closed a connection before a request.

	ReasonDrain    // the guard's drain
	ReasonLimit    // a connection limit
	ReasonShutdown // the server's Close or Shutdown

	reasons // how many there are
)

var reasonWords = [reasons]string{
	NoReason:                "",
	ReasonDraining:          "draining",
	ReasonSaturated:         "saturated",
	ReasonNoRoute:           "no_route",
	ReasonUpgradeStripped:   "upgrade_stripped",
	ReasonHTTP2:             "http_2",
	ReasonHTTP10:            "http_1_0",
	ReasonBadMethod:         "bad_method",
	ReasonNotUpgrade:        "not_upgrade",
	ReasonBadVersion:        "bad_version",
	ReasonMissingKey:        "missing_key",
	ReasonDuplicateKey:      "duplicate_key",
	ReasonBadKey:            "bad_key",
	ReasonOriginForbidden:   "origin_forbidden",
	ReasonApplication:       "application",
	ReasonServerError:       "server_error",
	ReasonHijackFailed:      "hijack_failed",
	ReasonNothingWritten:    "nothing_written",
	ReasonStatusUnknown:     "status_unknown",
	ReasonTLSOnPlain:        "tls_on_plain",
	ReasonHTTPOnTLS:         "http_on_tls",
	ReasonH2Preface:         "h2_preface",
	ReasonProxyPreamble:     "proxy_preamble",
	ReasonRefused:           "refused",
	ReasonClientCertificate: "client_certificate",
	ReasonVersion:           "version",
	ReasonTruncated:         "truncated",
	ReasonAborted:           "aborted",
	ReasonTimeout:           "timeout",
	ReasonMalformed:         "malformed",
	ReasonTooLarge:          "too_large",
	ReasonUnknown:           "unknown",
	ReasonDrain:             "drain",
	ReasonLimit:             "limit",
	ReasonShutdown:          "shutdown",
}

// String returns the word for r that logs and metrics use, "" for NoReason.
func (r Reason) String() string {
	if r < reasons {
		return reasonWords[r]
	}
	return ""
}

// MarshalText returns the word for r, so that JSON has the word; "" for NoReason.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText accepts a word of [Reason.String].
func (r *Reason) UnmarshalText(word []byte) error {
	i := slices.Index(reasonWords[:], string(word))
	if i < 0 {
		return fmt.Errorf("quietws: there is no reason %q", word)
	}
	*r = Reason(i)
	return nil
}
