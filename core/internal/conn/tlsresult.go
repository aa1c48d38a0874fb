package conn

import (
	"crypto/tls"
	"errors"
	"reflect"
)

// errNoHandshake stands for the error of a TLS handshake that has no result: it
// never ran, or a function of the application's tls.Config panicked in it.
var errNoHandshake = errors.New("quietws: the TLS handshake was not finished")

// ErrTLSPanicked is the error of a handshake in which a function of tls.Config
// panicked. The panic has its own line in the log.
var ErrTLSPanicked = errors.New("quietws: a function of tls.Config panicked")

// handshakeErr is where a tls.Conn stores the error of its handshake, nil where
// this version of crypto/tls has another name for it.
var handshakeErr = func() []int {
	f, ok := reflect.TypeFor[tls.Conn]().FieldByName("handshakeErr")
	if !ok || f.Type != reflect.TypeFor[error]() {
		return nil
	}
	return f.Index
}()

// tlsResult returns the state of t and the stored error of its handshake. It
// waits for a handshake that is running and never runs one: Handshake does where
// no result is stored, with what is left in the buffers and outside every recover,
// so that a second ClientHello after a panic would run the application's functions
// again and end the process. crypto/tls has no function that only tells; hence the
// look at whether there is a stored error.
//
// A handshake that has not begun when tlsResult is called must not begin later:
// the caller knows that the server is through with t, or that t has read bytes.
func tlsResult(t *tls.Conn) (tls.ConnectionState, error) {
	state := t.ConnectionState()
	switch {
	case state.HandshakeComplete:
		return state, nil
	case handshakeErr == nil || reflect.ValueOf(t).Elem().FieldByIndex(handshakeErr).IsNil():
		return state, errNoHandshake
	}
	return state, t.Handshake() // returns the stored error at once
}
