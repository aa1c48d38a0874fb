// Package event is what quietws says of a server: the closed sets of classes and
// reasons, and the event that has them, as core.Config.Observe gets it, the log
// prints it and the metrics count it. It has words and no behaviour; package core
// decides.
package event

import (
	"net/netip"
	"time"
)

// Event is one thing that happened, as core.Config.Observe gets it and as the log
// tells it. Forwarded, Method and Path came from the peer: they are cut above 200
// bytes and not yet quoted, so treat them as hostile, and Err and Panic, which
// may quote them, too.
//
// What a handler returned or panicked with is made text at once, at most 8 KiB of
// it, because what it points to may be another request's by the time it is seen. So
// its Err is an error of this package, for which errors.Is and errors.As answer as
// for the handler's own. On Fiber, whose strings are used again, errors.As finds
// nothing in it, and errors.Is only what holds no text: pointers, as errors.New
// makes them, and numbers.
type Event struct {
	// Time is when it happened, which is before it is told.
	Time time.Time
	// Class and Reason say what and why. The class is that of the event, not of
	// the connection: several requests on one may have several.
	Class  Class
	Reason Reason

	// Remote is the TCP peer: a client, or the last proxy before this server.
	// It is the zero AddrPort where the transport has no addresses, as on a
	// unix socket.
	Remote netip.AddrPort
	// Client is the client's address as told by a proxy in
	// core.Config.TrustedProxies, else the zero Addr.
	Client netip.Addr
	// Forwarded is what X-Forwarded-For says where nobody vouches for it, "" if
	// it is not there.
	Forwarded string
	// Platform is true if the source, Client or else Remote, is one that a
	// platform's prober may have; see core.Config.ProbeSources. It is false for what
	// was forwarded for somebody unknown.
	Platform bool

	// Prober is a name of core.Probers, "configured" for none of them at an address
	// of core.Config.ProbeSources, "" if none was recognised, or none that may be
	// believed.
	Prober string

	// Proxy is the proxy that left its traces in a handshake without Upgrade, a
	// name of core.Proxies, "" if none did or there was nothing to explain.
	Proxy string

	// Method and Path are the request's, "" where there was none.
	Method, Path string

	// Status is the HTTP status that the peer was told, 0 if nothing or not
	// known.
	Status int

	// Err is what went wrong, as far as there is an error: a
	// *[HandshakeError] for HandshakeRefused, the typed TLS or network error
	// for TLSFailed, the handler's error for UpgradeFailed and SessionEnded.
	Err error

	// Panic and Stack are set for HandlerPanic: the value, and the stack as
	// debug.Stack has it. The value is an error, with the limits of Err, if it was
	// one, a bool or a number of a built-in type, or else a string: its text, or its
	// type in parentheses where it has none.
	Panic any
	Stack []byte

	// Session is set for SessionEnded.
	Session SessionEnd

	// Remedy tells the operator what mends it, in constant English text of this
	// package, "" if there is nothing to mend.
	Remedy string
}

// SessionEnd describes how a WebSocket session ended.
type SessionEnd struct {
	// End is "closed" (a close frame was exchanged), "vanished" (the peer was
	// gone without one, what RFC 6455 §7.1.5 calls 1006), "server", "timeout",
	// "panic", or "ended" where nobody knows more. "server" is a close by the
	// drain's deadline, "timeout" a read deadline of the application's.
	End string
	// Code is the close code of RFC 6455 §7.4, 1006 for vanished, 0 if not known.
	Code int
	// Duration is the time since the handshake.
	Duration time.Duration
	// BytesIn and BytesOut are what the transport carried since accept, frames
	// and handshake, and under TLS its records too.
	BytesIn, BytesOut int64
}
