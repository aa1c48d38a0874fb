package core

import (
	"net"
	"testing"

	"github.com/quietws/quietws/core/internal/conn/conntest"
)

// watched returns nc as g's listener would return it.
func watched(g *Guard, nc net.Conn) *Conn {
	g.stats.accepted.Add(1)
	return newConn(nc, &source{watch: g.watch}, cameAccepted)
}

// registered returns a Conn of g that is in the registry.
func registered(g *Guard, peer net.Addr) *Conn { return watched(g, conntest.AddrConn{Addr: peer}) }

// emptyRegistry checks that no connection is left.
func emptyRegistry(t *testing.T, r *registry) {
	t.Helper()
	if n := len(r.all()); n != 0 {
		t.Errorf("%d connections are left", n)
	}
}

func readFrom(c *Conn) { _, _ = c.Read(make([]byte, 10)) }
func writeTo(c *Conn)  { _, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) }
