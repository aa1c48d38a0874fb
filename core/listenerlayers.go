package core

import (
	"crypto/tls"
	"net"
	"reflect"
)

// isTLSListener reports whether ln makes TLS connections out of those of a
// listener that nobody watches. It is false where that cannot be seen.
func isTLSListener(ln net.Listener) bool {
	isTLS := false
	for range maxListeners {
		switch ln.(type) {
		case *listener, *tlsListener:
			return false
		case *net.TCPListener, *net.UnixListener:
			return isTLS
		case nil:
			return false
		}
		isTLS = isTLS || reflect.TypeOf(ln) == tlsListeners
		ln = listenerIn(ln)
	}
	return false
}

// tlsListeners is the type that tls.NewListener returns.
var tlsListeners = reflect.TypeOf(tls.NewListener(nil, nil))

// listenerIn returns the listener in the field Listener of ln, nil if there is
// none: where it is embedded, and in go-proxyproto's.
func listenerIn(ln net.Listener) net.Listener {
	v := reflect.Indirect(reflect.ValueOf(ln))
	if v.Kind() != reflect.Struct {
		return nil
	}
	f, ok := v.Type().FieldByName("Listener")
	if !ok || len(f.Index) != 1 || f.Type != reflect.TypeFor[net.Listener]() {
		return nil
	}
	inner, _ := v.FieldByIndex(f.Index).Interface().(net.Listener)
	return inner
}

// maxListeners is how many layers of listeners are looked through.
const maxListeners = 8
