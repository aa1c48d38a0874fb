package probetest

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
)

// Target is the server that a scenario is run against.
type Target struct {
	// Addr is its TCP address, "host:port".
	Addr string

	// TLS is the client's TLS configuration; nil means a plain port. An empty
	// ServerName is taken from Addr. NextProtos is ignored: like most probers the
	// client offers no protocol and speaks HTTP/1 inside.
	TLS *tls.Config

	// Path is the path of the WebSocket endpoint. "": "/ws".
	Path string

	// Health is the path that the HTTP health checks of [Scenarios] request. "":
	// "/healthz".
	Health string
}

func (t Target) path() string {
	if t.Path == "" {
		return "/ws"
	}
	return t.Path
}

func (t Target) health() string {
	if t.Health == "" {
		return "/healthz"
	}
	return t.Health
}

// config is the client's side of TLS to t: the caller's settings without a session cache,
// which would make the server send tickets that a prober does not wait for.
func (t Target) config() *tls.Config {
	cfg := &tls.Config{}
	if t.TLS != nil {
		cfg = t.TLS.Clone()
	}
	if cfg.ServerName == "" {
		cfg.ServerName, _, _ = net.SplitHostPort(t.Addr)
	}
	cfg.NextProtos = nil
	cfg.ClientSessionCache = nil
	return cfg
}

// End is how a scenario ends its connection after it has sent its bytes.
type End uint8

const (
	// FIN closes it, like a program that calls close: later answers are lost. Under TLS
	// it sends close_notify first.
	FIN End = iota
	// RST resets it, without close_notify, as with SO_LINGER 0.
	RST
	// HalfClose sends a FIN, under TLS after close_notify, and reads until the server
	// closes.
	HalfClose
	// Silence sends nothing more and reads until the server closes or the
	// context ends.
	Silence
)

// String returns "fin", "rst", "half-close" or "silence".
func (e End) String() string {
	return [...]string{"fin", "rst", "half-close", "silence"}[e&3]
}

// Ending is how a connection ended, seen from the client.
type Ending uint8

const (
	// ByClient: the scenario closed it, before the server did.
	ByClient Ending = iota
	// ByFIN: the server closed it.
	ByFIN
	// ByRST: the server reset it, or bytes arrived after the server had closed it.
	ByRST
	// StillOpen: neither side had closed it when the context ended.
	StillOpen
)

// String returns "client", "fin", "rst" or "open".
func (e Ending) String() string {
	return [...]string{"client", "fin", "rst", "open"}[e&3]
}

// Result is what a scenario got from the server.
type Result struct {
	// Local is the client's address, which the server sees as the remote one.
	Local netip.AddrPort

	// Proto, Status and Header are those of the HTTP/1 answer; "", 0 and nil
	// if none came.
	Proto  string
	Status int
	Header http.Header
	// Body is the body of the answer. If the server's bytes are not HTTP/1, it is those
	// bytes. At most 1 MiB.
	Body string

	// CloseCode is the code of the server's close frame (RFC 6455 §7.4), 1005
	// if the frame has none, 0 if no close frame came.
	CloseCode int

	// Ending is how the connection ended.
	Ending Ending

	// Err is the error of the exchange: the typed error of a failed TLS handshake, or
	// io.EOF or a network error if the server left without an answer. It is nil after a
	// full answer, and if the scenario waits for none.
	Err error
}
