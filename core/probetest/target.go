package probetest

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
)

// Target is the server that a stimulus goes to.
type Target struct {
	// Addr is its TCP address, "host:port".
	Addr string

	// TLS is how to speak TLS to it; nil: it is a plain port. ServerName is
	// taken from Addr where it is empty. NextProtos is not used: no protocol is
	// offered, as most probers do, and what is spoken inside is HTTP/1.
	TLS *tls.Config

	// Path is the path of the WebSocket endpoint. "": "/ws".
	Path string

	// Health is the path that the rows of [Stimuli] which are HTTP health
	// checks ask for. "": "/healthz".
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

// config is the client's side of TLS to t: the caller's settings, but a fresh
// session each time, because a session cache would make the server send
// tickets that a prober does not wait for.
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

// End is how a stimulus leaves its connection once it has sent its bytes.
type End uint8

const (
	// FIN closes it, as a program does that calls close: what the server
	// answers after that is lost. Under TLS a close_notify goes first.
	FIN End = iota
	// RST resets it, without close_notify, as with SO_LINGER 0.
	RST
	// HalfClose sends a FIN, under TLS after a close_notify, and reads on until
	// the server closes.
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
	// ByClient: the stimulus closed it, before the server did.
	ByClient Ending = iota
	// ByFIN: the server closed it.
	ByFIN
	// ByRST: the server reset it, or had closed it when bytes arrived.
	ByRST
	// StillOpen: neither had closed it when the context ended.
	StillOpen
)

// String returns "client", "fin", "rst" or "open".
func (e Ending) String() string {
	return [...]string{"client", "fin", "rst", "open"}[e&3]
}

// Result is what a stimulus saw.
type Result struct {
	// Local is the client's address: what the server knows as the remote one.
	Local netip.AddrPort

	// Proto, Status and Header are those of the HTTP/1 answer; "", 0 and nil
	// where none came.
	Proto  string
	Status int
	Header http.Header
	// Body is the answer's body, or, where the server's bytes are no HTTP/1,
	// those bytes. At most 1 MiB.
	Body string

	// CloseCode is the code of the server's close frame (RFC 6455 §7.4), 1005
	// if the frame has none, 0 if no close frame came.
	CloseCode int

	// Ending is how the connection ended.
	Ending Ending

	// Err is what the exchange met with: the TLS handshake's typed error where
	// it failed, io.EOF or a network error where the server left without an
	// answer. Nil after a whole answer, and where none was waited for.
	Err error
}
