// Package kit has what adapters for servers of fasthttp's family have in common. It is
// for authors of adapters; it knows no framework and decides nothing.
package kit

import (
	"bytes"
	"crypto/tls"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/internal/head"
)

// JoinLines joins the lines of a field as core.Head.Field does, for authors of
// adapters. One line alone is text of it, which need not copy; none is "".
func JoinLines(lines [][]byte, text func(line []byte) string) string {
	switch len(lines) {
	case 0:
		return ""
	case 1:
		return text(lines[0])
	}
	return string(bytes.Join(lines, []byte(", ")))
}

// JoinField is JoinLines for the field of that name, in any letter case, among
// those that visit visits. It copies, and so is for rare fields.
func JoinField(name string, visit func(f func(name, value []byte))) string {
	var lines [][]byte
	visit(func(n, value []byte) {
		if strings.EqualFold(string(n), name) {
			lines = append(lines, bytes.Clone(value))
		}
	})
	return JoinLines(lines, func(line []byte) string { return string(line) })
}

// OnlyUpgrade returns what a request's Connection, all its lines joined, may be
// rewritten to for a server that reads "close" in it and nothing else:
// "Upgrade" where it lists that, else connection as it is.
func OnlyUpgrade(connection string) string {
	if head.ListsToken(connection, "upgrade") {
		return "Upgrade"
	}
	return connection
}

// notAsked are the fields of a request that are none of its question's.
var notAsked = []string{
	"Connection", "Content-Encoding", "Content-Length", "Content-Type", "Cookie", "Expect", "If-Match", "If-Modified-Since",
	"If-None-Match", "If-Range", "If-Unmodified-Since", "Range", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// AskWith reports whether a field of the request goes into its question.
func AskWith(field string) bool {
	return !slices.ContainsFunc(notAsked, func(f string) bool { return strings.EqualFold(f, field) })
}

// AskOn returns the connection of a question: it is closed, and has these addresses
// and, unless it is nil, this state of TLS.
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

// Printer is the logger of servers that have one in place of a *log.Logger, such
// as fasthttp's. It is for authors of adapters.
type Printer interface {
	Printf(format string, args ...any)
}

// QuietPrinter returns next without the lines that begin with about, by which
// the server tells of a connection what the guard tells of it; next itself if
// that is nil. The beginning is that of the format, before its arguments.
func QuietPrinter(next Printer, about string) Printer {
	if next == nil {
		return next
	}
	return quietPrinter{next, about}
}

type quietPrinter struct {
	next  Printer
	about string
}

func (p quietPrinter) Printf(format string, args ...any) {
	if !strings.HasPrefix(format, p.about) {
		p.next.Printf(format, args...)
	}
}

// Chain returns a hook that calls each of hooks, in their order, which may be
// nil: those that a user has set run before those of the guard.
func Chain[A, B any](hooks ...func(A, B)) func(A, B) {
	hooks = slices.DeleteFunc(slices.Clone(hooks), func(hook func(A, B)) bool { return hook == nil })
	if len(hooks) == 1 {
		return hooks[0]
	}
	return func(a A, b B) {
		for _, hook := range hooks {
			hook(a, b)
		}
	}
}

// AddrPort returns the address of a TCP peer as core.Head.Remote has it, an IPv4 address
// as such, the zero AddrPort where a is no *net.TCPAddr.
func AddrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok || t == nil {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// OnlyOrigins returns the Origins of a list that is the whole of what is allowed, as for
// fasthttp's libraries. "*" as its first item allows all; an empty list allows the same
// host's pages alone.
func OnlyOrigins(list []string) *core.Origins {
	return &core.Origins{Patterns: list, Only: len(list) > 0, Any: len(list) > 0 && list[0] == "*"}
}

// Unserved closes the listeners that a server cannot serve on, and returns why.
func Unserved(why error, listeners ...net.Listener) error {
	for _, ln := range listeners {
		_ = ln.Close()
	}
	return why
}
