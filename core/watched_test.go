package core

import (
	"net"
	"testing"

	"github.com/quietws/quietws/core/internal/conn"
	"github.com/quietws/quietws/core/internal/conn/conntest"
)

// watched returns nc like g's listener.
func watched(g *Guard, nc net.Conn) *conn.Conn {
	g.stats.accepted.Add(1)
	return conn.New(nc, &conn.Source{Watch: g.watch}, conn.Accepted)
}

// registered returns a conn.Conn of g that is in the registry.
func registered(g *Guard, peer net.Addr) *conn.Conn { return watched(g, conntest.AddrConn{Addr: peer}) }

// emptyRegistry checks that no connection is left.
func emptyRegistry(t *testing.T, r *conn.Registry) {
	t.Helper()
	if n := len(r.All()); n != 0 {
		t.Errorf("%d connections are left", n)
	}
}

func readFrom(c *conn.Conn) { _, _ = c.Read(make([]byte, 10)) }
func writeTo(c *conn.Conn)  { _, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) }
