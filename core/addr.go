package core

import (
	"net"
	"net/netip"

	"github.com/quietws/quietws/core/internal/conn"
)

// AddrPort returns the address of a TCP peer as [Head.Remote] has it, an IPv4
// address as such, the zero AddrPort where a is no *net.TCPAddr.
func AddrPort(a net.Addr) netip.AddrPort { return conn.AddrPort(a) }
