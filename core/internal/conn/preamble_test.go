package conn

import (
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// A server holds its lock while it closes its connections. A hundred peers that sent the
// start of a PROXY line and stay may delay it only as much as one.
func TestCloseWaitsForOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRecorder(t)
		var conns []*Conn
		for range 100 {
			server, client := net.Pipe()
			defer func() { _ = client.Close() }()
			c := recorded(g, server)
			go func() { _, _ = io.WriteString(client, "PROXY ") }()
			if _, err := c.Read(make([]byte, 16)); err != nil {
				t.Fatal(err)
			}
			conns = append(conns, c)
		}
		start := time.Now()
		for _, c := range conns {
			_ = c.Close()
		}
		if took := time.Since(start); took > lastLooks {
			t.Errorf("closing took %v", took)
		}

		// Later a leaving peer is waited for again.
		<-time.After(2 * lookPause)
		server, client := net.Pipe()
		c := recorded(g, server)
		go func() { _, _ = io.WriteString(client, "PROXY ") }()
		_, _ = c.Read(make([]byte, 16))
		time.AfterFunc(lastLooks/2, func() { _ = client.Close() })
		_ = c.Close()
		if end := c.end(readEnd); end != endEOF {
			t.Errorf("the FIN of a leaving peer was not seen: %v", end)
		}
	})
}
