package conn

import (
	"crypto/tls"
	"net"
	"reflect"
	"sync"
)

// maxLayers is how many wrapped connections Of looks through.
const maxLayers = 8

// Of returns the watched connection that nc is or wraps, nil if there is none. It looks
// through up to eight layers: *tls.Conn and other types with a NetConn method,
// go-proxyproto's Raw, fasthttp's UnsafeConn, and structs that embed a net.Conn, as those
// of cmux and netutil.LimitListener do.
func Of(nc net.Conn) *Conn {
	for range maxLayers {
		switch v := nc.(type) {
		case *Conn:
			return v
		case *net.TCPConn, *net.UnixConn:
			return nil
		case interface{ NetConn() net.Conn }:
			nc = v.NetConn()
		case interface{ UnsafeConn() net.Conn }: // a hijacked connection of fasthttp
			nc = v.UnsafeConn()
		case interface{ Raw() net.Conn }:
			nc = v.Raw()
		default:
			nc = embedded(nc)
		}
	}
	return nil
}

// embeds remembers which field of a type is an embedded connection, -1 for none.
var embeds sync.Map // reflect.Type -> int

// embedded returns the net.Conn or *tls.Conn that a struct embeds, nil if there is none.
func embedded(nc net.Conn) net.Conn {
	if nc == nil {
		return nil
	}
	t := reflect.TypeOf(nc)
	field, known := embeds.Load(t)
	if !known {
		field = embeddedIn(t)
		embeds.Store(t, field)
	}
	if field == -1 {
		return nil
	}
	v := reflect.Indirect(reflect.ValueOf(nc))
	if !v.IsValid() { // a nil pointer
		return nil
	}
	below, _ := v.Field(field.(int)).Interface().(net.Conn)
	if t, ok := below.(*tls.Conn); ok && t == nil {
		return nil
	}
	return below
}

func embeddedIn(t reflect.Type) int {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() == reflect.Struct {
		for i := range t.NumField() {
			if f := t.Field(i); f.Anonymous && (f.Type == reflect.TypeFor[net.Conn]() || f.Type == reflect.TypeFor[*tls.Conn]()) {
				return i
			}
		}
	}
	return -1
}

// IsTLS reports whether nc has a ConnectionState method, as net/http asks since Go 1.26.
func IsTLS(nc net.Conn) bool {
	_, ok := nc.(interface{ ConnectionState() tls.ConnectionState })
	return ok
}

// tlsOf returns the tls.Conn that nc is or embeds, nil if it has none.
func tlsOf(nc net.Conn) *tls.Conn {
	for range maxLayers {
		if t, ok := nc.(*tls.Conn); ok || nc == nil {
			return t
		}
		nc = embedded(nc)
	}
	return nil
}

// LookAbove notes the TLS connection above c; nc is the connection that the server sees.
func (c *Conn) LookAbove(nc net.Conn) {
	if _, itself := nc.(*Conn); itself {
		return
	}
	t := tlsOf(nc)
	if t != nil {
		c.tls.Store(t)
	}
	if (t != nil || IsTLS(nc)) && c.Provenance() != Reported && !c.source.TLS.Load() {
		c.source.TLS.Store(true)
	}
}

// Above is the TLS connection above c, nil if there is none or it is not known.
func (c *Conn) Above() *tls.Conn { return c.tls.Load() }

// IsUnderTLS reports whether TLS is above c, known or not.
func (c *Conn) IsUnderTLS() bool { return c.tls.Load() != nil || c.source.TLS.Load() }

// Secured reports whether the TLS handshake above c is done. It is true without TLS.
func (c *Conn) Secured() bool {
	above := c.tls.Load()
	return above == nil || above.ConnectionState().HandshakeComplete
}
