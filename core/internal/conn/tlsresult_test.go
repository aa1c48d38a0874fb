package conn

import (
	"crypto/tls"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/quietws/quietws/core/internal/conn/conntest"
)

// tlsResult reads the result of a handshake and never runs one: neither after a panic,
// with the next ClientHello in the buffer, nor before the first.
func TestTLSResultRunsNothing(t *testing.T) {
	if handshakeErr == nil {
		t.Error("tls.Conn has no field handshakeErr any more: the errors of TLS handshakes are unknown")
	}
	var calls atomic.Int32
	config := conntest.TLS(t)
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		calls.Add(1)
		panic("a bug of the application")
	}
	hellos := conntest.TwoHellos(t, "evil.example")

	server, client := conntest.TCPPair(t)
	if _, err := client.Write(hellos); err != nil {
		t.Fatal(err)
	}
	panicked := tls.Server(server, config)
	func() {
		defer func() { _ = recover() }()
		_ = panicked.Handshake()
	}()
	if _, err := tlsResult(panicked); err != errNoHandshake || calls.Load() != 1 {
		t.Errorf("after a panic: %v, and the function was called %d times", err, calls.Load())
	}

	server, client = conntest.TCPPair(t)
	if _, err := client.Write(hellos); err != nil {
		t.Fatal(err)
	}
	if _, err := tlsResult(tls.Server(server, config)); err != errNoHandshake || calls.Load() != 1 {
		t.Errorf("before a handshake: %v, and the function was called %d times", err, calls.Load()-1)
	}

	server, client = conntest.TCPPair(t)
	if _, err := client.Write([]byte("GET / HTTP/1.1\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	failed := tls.Server(server, conntest.TLS(t))
	want := failed.Handshake()
	if _, err := tlsResult(failed); want == nil || !errors.Is(err, want) {
		t.Errorf("after %v: %v", want, err)
	}
}
