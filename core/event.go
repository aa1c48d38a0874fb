package core

import (
	"net/netip"
	"time"
)

// Event is one thing that happened, as [Config.Observe] gets it and as the log
// tells it. Strings that came from the peer are cut above 200
// bytes and not yet quoted: treat them as hostile.
type Event struct {
	Time   time.Time
	Class  Class
	Reason Reason

	// Remote is the TCP peer: a client, or the last proxy before this server.
	// It is the zero AddrPort where the transport has no addresses, as on a
	// unix socket.
	Remote netip.AddrPort
	// Client is the client's address as told by a proxy in
	// [Config.TrustedProxies], else the zero Addr.
	Client netip.Addr
	// Forwarded is what X-Forwarded-For says where nobody vouches for it.
	Forwarded string
	// Platform is true if the source, Client or else Remote, is one that a
	// platform's prober may have; see [Config.ProbeSources].
	Platform bool

	// Prober is a name of the prober table, "" if none was recognised.
	Prober string

	// Proxy is the proxy that left its traces in a handshake without Upgrade, a
	// name of [Proxies], "" if none did or there was nothing to explain.
	Proxy string

	Method, Path string

	// Status is what the peer was told, 0 if nothing or not known.
	Status int

	// Err is what went wrong, as far as there is an error: a
	// *[HandshakeError] for HandshakeRefused, the typed TLS or network error
	// for TLSFailed, the handler's error for UpgradeFailed.
	Err error

	// Panic and Stack are set for HandlerPanic.
	Panic any
	Stack []byte

	// Session is set for SessionEnded.
	Session SessionEnd

	// Remedy tells the operator what mends it, "" if there is nothing to mend.
	Remedy string

	// elsewhere: the server's own log tells it, so it is counted and observed
	// but not printed.
	elsewhere bool
}

// SessionEnd describes how a WebSocket session ended.
type SessionEnd struct {
	// End is "closed" (a close frame was exchanged), "vanished" (the peer was
	// gone without one, what RFC 6455 §7.1.5 calls 1006), "server", "timeout",
	// "panic", or "ended" where nobody knows more.
	End string
	// Code is the close code of RFC 6455 §7.4, 0 if not known.
	Code int
	// Duration is the time since the handshake.
	Duration time.Duration
	// BytesIn and BytesOut are what the transport carried since accept, frames
	// and handshake, and under TLS its records too.
	BytesIn, BytesOut int64
}
