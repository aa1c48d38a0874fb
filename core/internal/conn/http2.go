package conn

import (
	"crypto/tls"
	"net"
)

// active notes that the server saw bytes above TLS. Over HTTP/2 that is said of
// the preface first, and then whenever a stream begins and there is no other.
func (c *Conn) SawActive() {
	switch {
	case c.ctx == nil: // fasthttp says so before the first byte
	case !c.Saw(Active):
		c.Note(Active)
	case !c.Saw(Again):
		c.Note(Again)
	}
}

// unserved reports whether a stream began of which no handler was told.
func (f evidence) unserved() bool {
	return f.saw(Again) && (f.h2 || !f.tls && f.h2c)
}

// hasLines reports whether the server's log may have lines about c, for which it
// has to be found by its address, and whether that can be asked without waiting.
func (c *Conn) HasLines(nc net.Conn) bool {
	if c.source.Watch.H2C.Load() {
		_, raw := nc.(*net.TCPConn)
		return raw
	}
	return isRaw(c.tls.Load())
}

// isRaw reports whether t stands on a connection of the net package, whose address
// can be asked for without waiting.
func isRaw(t *tls.Conn) bool {
	if t == nil {
		return false
	}
	switch t.NetConn().(type) {
	case *net.TCPConn, *net.UnixConn:
		return true
	}
	return false
}
