package kit

import (
	"crypto/tls"
	"net"
	"slices"
	"strings"
)

// notAsked are the fields of a request that are left out of its question.
var notAsked = []string{
	"Connection", "Content-Encoding", "Content-Length", "Content-Type", "Cookie", "Expect", "If-Match", "If-Modified-Since",
	"If-None-Match", "If-Range", "If-Unmodified-Since", "Range", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// AskWith calls add with the fields of a request that belong into its question to the
// application, see core.Application: all except those about the body, the connection, and
// conditions, and cookies.
func AskWith(h Header, add func(name, value []byte)) {
	h.VisitAll(func(name, value []byte) {
		if !slices.ContainsFunc(notAsked, func(f string) bool { return strings.EqualFold(f, string(name)) }) {
			add(name, value)
		}
	})
}

// AskOn returns the connection of a question. It is closed, and has these addresses
// and, unless state is nil, this state of TLS.
func AskOn(local, remote net.Addr, state *tls.ConnectionState) net.Conn {
	near, far := net.Pipe()
	_, _ = near.Close(), far.Close()
	c := askConn{near, local, remote}
	if state == nil {
		return c
	}
	return askTLS{c, *state}
}

type askConn struct {
	net.Conn
	local, remote net.Addr
}

func (c askConn) LocalAddr() net.Addr  { return c.local }
func (c askConn) RemoteAddr() net.Addr { return c.remote }

// askTLS looks like a *tls.Conn whose handshake is done.
type askTLS struct {
	askConn
	state tls.ConnectionState
}

func (askTLS) Handshake() error                       { return nil }
func (c askTLS) ConnectionState() tls.ConnectionState { return c.state }
