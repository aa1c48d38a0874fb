// Package event is the vocabulary of quietws: what happened on a connection ([Class]),
// why ([Reason]), and the [Event] with both, which core.Config.Observe gets, the log
// prints and the metrics count.
//
// The package has words and no behaviour. Package core decides which class an event has,
// core/internal/journal how it is logged, and core/internal/remedy which remedy it gets.
// For a new class or reason, add the constant, its word and its comment here (class.go).
// The table in README.md is made from these comments.
package event

import (
	"net/netip"
	"time"
)

// Event is one thing that happened. Forwarded, Method and Path came from the peer: they
// are cut above 200 bytes and not quoted, so treat them as hostile. Err and Panic may
// contain them, so treat these as hostile too.
//
// An error that a handler returned, or a value that it panicked with, is converted to
// text at once, at most 8 KiB of it. Later, the memory that it points to may belong to
// another request. Err is then an error of this module, for which errors.Is and errors.As
// answer as for the handler's own. Fiber reuses its strings, so there errors.As finds
// nothing in it, and errors.Is finds only errors that hold no text: pointers, such as
// errors.New makes, and numbers.
type Event struct {
	// Time is when it happened, which is before it is logged.
	Time time.Time
	// Class and Reason say what happened and why. The class is that of the event,
	// not of the connection: the requests on a connection may have several.
	Class  Class
	Reason Reason

	// Remote is the TCP peer: a client, or the last proxy before this server.
	// It is the zero AddrPort if the transport has no addresses, as on a unix
	// socket.
	Remote netip.AddrPort
	// Client is the client's address as a proxy in core.Config.TrustedProxies
	// reports it, else the zero Addr.
	Client netip.Addr
	// Forwarded is X-Forwarded-For if no trusted proxy vouches for it, "" if there
	// is none.
	Forwarded string
	// Platform is true if the source, Client or else Remote, may be a platform's
	// prober; see core.Config.ProbeSources. It is false if the request was forwarded
	// for an unknown client.
	Platform bool

	// Prober is a name of core.Probers, "configured" for an unknown prober at an
	// address of core.Config.ProbeSources, "" if no prober was recognized or its
	// claim cannot be believed.
	Prober string

	// Proxy is the proxy that left its traces in a handshake without Upgrade, a
	// name of core.Proxies, "" if there are none or the handshake has its Upgrade.
	Proxy string

	// Method and Path are the request's, "" if there was none.
	Method, Path string

	// Status is the HTTP status that the peer got, 0 if it got none or the status
	// is not known.
	Status int

	// Err is what went wrong, nil if there is no error: a *[HandshakeError] for
	// HandshakeRefused, the typed TLS or network error for TLSFailed, the handler's
	// error for UpgradeFailed and SessionEnded.
	Err error

	// Panic and Stack are set for HandlerPanic: the value, and the stack as
	// debug.Stack returns it. A value that was an error is one here, with the limits
	// of Err; a bool or a number of a built-in type stays as it is. Any other value
	// is a string: its text, or its type in parentheses if it has no text.
	Panic any
	Stack []byte

	// Session is set for SessionEnded.
	Session SessionEnd

	// Remedy says what fixes it, in constant English text, "" if there is nothing
	// to fix.
	Remedy string
}

// SessionEnd describes how a WebSocket session ended.
type SessionEnd struct {
	// End is one of these words:
	//   - "closed": a close frame was exchanged
	//   - "vanished": the peer left without one (1006, RFC 6455 §7.1.5)
	//   - "server": the deadline of a drain closed it
	//   - "timeout": a read deadline of the application ended it
	//   - "panic": its handler panicked
	//   - "ended": nothing more is known
	End string
	// Code is the close code of RFC 6455 §7.4, 1006 for vanished, 0 if not known.
	Code int
	// Duration is the time since the handshake.
	Duration time.Duration
	// BytesIn and BytesOut count what the transport carried since accept: the
	// handshake, the frames and, under TLS, its records.
	BytesIn, BytesOut int64
}
