package conn

import (
	"crypto/tls"
	"net"
)

// NoteActive notes that the server reported the connection as active: it saw bytes above
// TLS. Over HTTP/2 it reports that for the preface, and then for each stream that begins
// while there is no other.
func (c *Conn) NoteActive() {
	switch {
	case c.ctx == nil: // fasthttp reports it before the first byte
	case !c.Saw(Active):
		c.Note(Active)
	case !c.Saw(ActiveAgain):
		c.Note(ActiveAgain)
	}
}

// unserved reports whether an HTTP/2 stream began for which no handler was called.
func (e evidence) unserved() bool {
	return e.saw(ActiveAgain) && (e.h2 || !e.tls && e.h2c)
}

// HasLines reports whether the server's own log may have lines about c, so that c must
// be found by its address, and whether nc returns its address without waiting.
func (c *Conn) HasLines(nc net.Conn) bool {
	if c.source.Watch.H2C.Load() {
		_, raw := nc.(*net.TCPConn)
		return raw
	}
	return isRaw(c.tls.Load())
}

// isRaw reports whether t stands on a connection of the net package, which returns its
// address without waiting.
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
