// Package conntest has connections for tests, and the first bytes of several protocols.
package conntest

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"
)

// What clients and probers send first.
var (
	LineProxyV1  = []byte("PROXY TCP4 192.0.2.1 198.51.100.1 51423 443\r\n")
	ProxyV2Local = []byte("\r\n\r\n\x00\r\nQUIT\n" + "\x20\x00\x00\x00")
	ProxyV2Addrs = []byte("\r\n\r\n\x00\r\nQUIT\n" + "\x21\x11\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x01\xc8\xdf\x01\xbb")
	H2Start      = []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
	GetApp       = []byte("GET /app HTTP/1.1\r\nHost: example.com\r\n\r\n")
	GetHealth    = []byte("GET /readyz HTTP/1.1\r\nHost: 10.0.0.7:8080\r\nUser-Agent: kube-probe/1.30\r\nConnection: close\r\n\r\n")
)

// TCPPair returns both ends of a connection over loopback.
func TCPPair(t testing.TB) (server, client *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = s.Close(), c.Close() })
	return s.(*net.TCPConn), c.(*net.TCPConn)
}

// Script is a connection with scripted reads and writes.
type Script struct {
	net.Conn
	Addr     net.Addr
	Reads    []Step
	Writes   []Step
	CloseErr error
	Wrote    []byte
	Closed   chan struct{} // closed by Close, if not nil
}

// Step is the result of one read or write.
type Step struct {
	Data string
	Err  error
}

// Read implements net.Conn.
func (s *Script) Read(p []byte) (int, error) {
	if len(s.Reads) == 0 {
		return 0, errors.New("the script has no more reads")
	}
	step := s.Reads[0]
	s.Reads = s.Reads[1:]
	return copy(p, step.Data), step.Err
}

// Write implements net.Conn.
func (s *Script) Write(p []byte) (int, error) {
	n := len(p)
	var err error
	if len(s.Writes) > 0 {
		n, err = len(s.Writes[0].Data), s.Writes[0].Err
		s.Writes = s.Writes[1:]
	}
	s.Wrote = append(s.Wrote, p[:n]...)
	return n, err
}

// Close implements net.Conn.
func (s *Script) Close() error {
	if s.Closed != nil {
		close(s.Closed)
	}
	return s.CloseErr
}

// RemoteAddr implements net.Conn.
func (s *Script) RemoteAddr() net.Addr { return s.Addr }

// SetDeadline implements net.Conn.
func (s *Script) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.Conn.
func (s *Script) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.Conn.
func (s *Script) SetWriteDeadline(time.Time) error { return nil }

// AddrConn is a connection with only its peer's address.
type AddrConn struct {
	net.Conn
	Addr net.Addr
}

// RemoteAddr implements net.Conn.
func (c AddrConn) RemoteAddr() net.Addr { return c.Addr }

// Close implements net.Conn.
func (c AddrConn) Close() error { return nil }

// TCPAddr parses an address and port.
func TCPAddr(s string) *net.TCPAddr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(s)) }

// TwoHellos returns a ClientHello for a server name, followed by another one.
func TwoHellos(t testing.TB, name string) []byte {
	t.Helper()
	client, server := net.Pipe()
	defer func() { _ = client.Close() }()
	go func() {
		_ = tls.Client(client, &tls.Config{ServerName: name, MaxVersion: tls.VersionTLS12}).Handshake()
	}()
	p := make([]byte, 4096)
	n, err := server.Read(p)
	if err != nil {
		t.Fatal(err)
	}
	_ = server.Close()
	second := bytes.Clone(p[:n])
	second[2] = 3 // the version of a record that is not the first
	return append(p[:n], second...)
}

// TLS returns the configuration of a server with a test certificate.
func TLS(t testing.TB) *tls.Config {
	t.Helper()
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.StartTLS()
	s.Close()
	return &tls.Config{Certificates: s.TLS.Certificates}
}

// ClientHello returns the first record of a TLS client.
func ClientHello(t testing.TB) []byte {
	t.Helper()
	server, client := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = tls.Client(client, &tls.Config{ServerName: "example.com"}).Handshake()
	}()
	head := make([]byte, 5)
	if _, err := io.ReadFull(server, head); err != nil {
		t.Fatal(err)
	}
	rest := make([]byte, int(head[3])<<8|int(head[4]))
	if _, err := io.ReadFull(server, rest); err != nil {
		t.Fatal(err)
	}
	_ = server.Close()
	<-done
	return append(head, rest...)
}

// ServerTLS returns the configuration of a server with a test certificate, for HTTP/1.1
// only. change may change it; it may be nil.
func ServerTLS(t testing.TB, change func(*tls.Config)) *tls.Config {
	t.Helper()
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS()
	defer s.Close()
	c := s.TLS.Clone()
	c.NextProtos = []string{"http/1.1"}
	if change != nil {
		change(c)
	}
	return c
}
