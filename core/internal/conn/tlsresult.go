package conn

import (
	"crypto/tls"
	"errors"
	"reflect"
)

// errNoHandshake stands for the error of a TLS handshake without a result: it never ran,
// or a function of the application's tls.Config panicked in it.
var errNoHandshake = errors.New("quietws: the TLS handshake was not finished")

// ErrTLSPanicked is the error of a handshake in which a function of tls.Config panicked.
// The panic has its own line in the log.
var ErrTLSPanicked = errors.New("quietws: a function of tls.Config panicked")

// panickedInTLS reports whether err is that of a handshake in which a function of the
// application panicked. That panic has its own line in a log already.
func panickedInTLS(err error) bool { return err == errNoHandshake || err == ErrTLSPanicked }

// handshakeErr is the field in which a tls.Conn stores the error of its handshake, nil
// if this version of crypto/tls has another name for it.
var handshakeErr = func() []int {
	f, ok := reflect.TypeFor[tls.Conn]().FieldByName("handshakeErr")
	if !ok || f.Type != reflect.TypeFor[error]() {
		return nil
	}
	return f.Index
}()

// tlsResult returns the state of t and the stored error of its handshake. It waits for a
// running handshake but never runs one. crypto/tls has no function that only returns the
// result: Handshake runs one if no result is stored. After a panic that would read a
// second ClientHello from the buffers, call the application's functions again outside
// every recover, and end the process. So tlsResult first looks whether an error is
// stored.
//
// The caller must know that no handshake of t will begin after this call: the server is
// finished with t, or t has read bytes.
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
