// Package kit has what the adapters for servers based on fasthttp share. It is for authors
// of adapters. It depends on no framework and has no rules of its own.
package kit

import (
	"net"
	"net/netip"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/internal/conn"
)

// AddrPort returns the address of a TCP peer in the form of core.Head.Remote: an IPv4
// address as IPv4, and the zero AddrPort if a is not a *net.TCPAddr.
func AddrPort(a net.Addr) netip.AddrPort { return conn.AddrPort(a) }

// OnlyOrigins returns the Origins that list allows, as fasthttp's libraries do. "*" as its
// first item allows all; an empty list allows only pages of the same host.
func OnlyOrigins(list []string) *core.Origins {
	return &core.Origins{Patterns: list, Only: len(list) > 0, Any: len(list) > 0 && list[0] == "*"}
}

// Unserved closes listeners that a server cannot serve, and returns why.
func Unserved(why error, listeners ...net.Listener) error {
	return conn.Unserved(why, listeners...)
}
