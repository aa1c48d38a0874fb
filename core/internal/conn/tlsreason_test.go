package conn

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/conn/conntest"
)

// The reasons of failed TLS handshakes, from the errors of real ones. The error that the
// server's tls.Conn stored decides, by its type and not by its text.
func TestTLSReasonOfRealHandshakes(t *testing.T) {
	hello := conntest.ClientHello(t)
	say := func(p []byte, more ...string) func(net.Conn) {
		return func(c net.Conn) {
			_, _ = c.Write(p)
			for _, m := range more {
				_, _ = io.WriteString(c, m)
			}
		}
	}
	client := func(config *tls.Config) func(net.Conn) {
		return func(c net.Conn) { _ = tls.Client(c, config).Handshake() }
	}
	own := conntest.TLS(t)
	for _, row := range []struct {
		rule   string
		server func(*tls.Config)
		client func(net.Conn)
		end    string // "fin", "rst", or "" to stay until the server's deadline
		want   event.Reason
	}{
		{"the client does not know the issuer of the certificate", nil, client(&tls.Config{ServerName: "example.com"}), "fin", event.ReasonRefused},
		{"the same over TLS 1.2", nil, client(&tls.Config{ServerName: "example.com", MaxVersion: tls.VersionTLS12}), "fin", event.ReasonRefused},
		{"the certificate is for another name", nil, client(&tls.Config{ServerName: "other.invalid"}), "fin", event.ReasonRefused},
		{"the client is too old", func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 },
			client(&tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}), "fin", event.ReasonVersion},
		{"the client is too new", func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 },
			client(&tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}), "fin", event.ReasonVersion},
		{"no cipher in common", func(c *tls.Config) {
			c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
		}, client(&tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384}}), "fin", event.ReasonAborted},
		{"no protocol in common", nil, client(&tls.Config{InsecureSkipVerify: true, NextProtos: []string{"mqtt"}}), "fin", event.ReasonAborted},
		{"the peer says protocol_version", func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 },
			say(hello, "\x15\x03\x03\x00\x02\x02\x46"), "", event.ReasonVersion},
		{"half a hello, then FIN", nil, say(hello[:50]), "fin", event.ReasonTruncated},
		{"half a hello, then RST", nil, say(hello[:50]), "rst", event.ReasonTruncated},
		{"a hello, then FIN", nil, say(hello), "fin", event.ReasonTruncated},
		{"a hello, then RST", nil, say(hello), "rst", event.ReasonTruncated},
		{"half a hello, then nothing", nil, say(hello[:50]), "", event.ReasonTimeout},
		{"a hello, then nothing", nil, say(hello), "", event.ReasonTimeout},
		{"not TLS", nil, say([]byte("\x80\x00 this is no TLS record")), "", event.ReasonAborted},
		{"a hello, and then something else", nil, say(hello, "this is no TLS record"), "", event.ReasonAborted},
		// Not a mismatch of versions: a scanner's hello must not log a warning that asks
		// the operator to change them.
		{"no client certificate", func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert },
			client(&tls.Config{InsecureSkipVerify: true}), "fin", event.ReasonClientCertificate},
		{"no client certificate over TLS 1.2", func(c *tls.Config) { c.ClientAuth = tls.RequireAndVerifyClientCert },
			client(&tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}), "fin", event.ReasonClientCertificate},
		{"a client certificate of an unknown issuer", func(c *tls.Config) { c.ClientAuth, c.ClientCAs = tls.VerifyClientCertIfGiven, x509.NewCertPool() },
			client(&tls.Config{InsecureSkipVerify: true, Certificates: own.Certificates}), "fin", event.ReasonClientCertificate},
		{"a client certificate that VerifyPeerCertificate refuses", func(c *tls.Config) {
			c.ClientAuth = tls.RequireAnyClientCert
			c.VerifyPeerCertificate = func([][]byte, [][]*x509.Certificate) error { return errors.New("revoked") }
		}, client(&tls.Config{InsecureSkipVerify: true, Certificates: own.Certificates}), "fin", event.ReasonClientCertificate},
		{"a client certificate that VerifyConnection refuses", func(c *tls.Config) {
			c.ClientAuth = tls.RequestClientCert
			c.VerifyConnection = func(tls.ConnectionState) error { return errors.New("revoked") }
		}, client(&tls.Config{InsecureSkipVerify: true, Certificates: own.Certificates}), "fin", event.ReasonClientCertificate},
		{"VerifyConnection refuses, without a client certificate", func(c *tls.Config) {
			c.VerifyConnection = func(tls.ConnectionState) error { return errors.New("not this name") }
		}, client(&tls.Config{InsecureSkipVerify: true}), "fin", event.ReasonAborted},
		{"GetConfigForClient refuses", func(c *tls.Config) {
			c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, errors.New("not this name") }
		}, client(&tls.Config{InsecureSkipVerify: true}), "fin", event.ReasonAborted},
		{"GetCertificate refuses", func(c *tls.Config) {
			c.Certificates, c.GetCertificate = nil, func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, errors.New("not this name") }
		}, client(&tls.Config{InsecureSkipVerify: true}), "fin", event.ReasonAborted},
		{"a record that is no hello", nil, say([]byte("\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00")), "", event.ReasonAborted},
		{"a hello that cannot be read", nil, say([]byte("\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00")), "", event.ReasonAborted},
	} {
		t.Run(row.rule, func(t *testing.T) {
			server, peer := conntest.TCPPair(t)
			config := conntest.ServerTLS(t, row.server)
			// A short deadline only where it is what ends the handshake.
			deadline := 10 * time.Second
			if row.want == event.ReasonTimeout {
				deadline = 50 * time.Millisecond
			}
			if err := server.SetDeadline(time.Now().Add(deadline)); err != nil {
				t.Fatal(err)
			}
			g := newRecorder(t)
			c := recorded(g, server)
			above := tls.Server(c, config)
			c.tls.Store(above)
			said := make(chan struct{})
			go func() {
				defer close(said)
				row.client(peer)
				switch row.end {
				case "fin":
					_ = peer.CloseWrite()
				case "rst":
					_, _ = peer.SetLinger(0), peer.Close()
				}
			}()
			err := above.Handshake()
			<-said
			if err == nil {
				_, err = above.Read(make([]byte, 1)) // TLS 1.3: the peer refuses after this side is finished
				t.Fatalf("the handshake was good; the first read returned %v", err)
			}
			f := c.evidence()
			if got := tlsReason(f.tlsErr, f.tlsVersion, f.tlsPeer); got != row.want {
				t.Errorf("tlsReason of %#v, version %x: %v, want %v", f.tlsErr, f.tlsVersion, got, row.want)
			}
			if class, reason := classify(f); class != event.TLSFailed && row.rule != "not TLS" || reason != row.want {
				t.Errorf("classified as %v/%v, want tls_failed/%v", class, reason, row.want)
			}
			_ = c.Close()
		})
	}
}

// OpenSSL clients send their alert in the clear over TLS 1.3, and crypto/tls reports it as
// a bad record of its own.
func TestClearAlert(t *testing.T) {
	broken := &net.OpError{Op: "local error", Err: tls.AlertError(alertBadRecordMAC)}
	for _, row := range []struct {
		rule string
		err  error
		tail string // the last bytes received
		want uint64 // the alert of the peer, 0: the error stays as it is
	}{
		{"no error", nil, "\x00\x15\x03\x03\x00\x02\x02\x30", 0},
		{"another error", io.EOF, "\x00\x15\x03\x03\x00\x02\x02\x30", 0},
		{"the peer's own alert", errRemoteAlert, "\x00\x15\x03\x03\x00\x02\x02\x30", 0},
		{"another alert of this side", &net.OpError{Op: "local error", Err: tls.AlertError(10)}, "\x00\x15\x03\x03\x00\x02\x02\x30", 0},
		{"a record that is broken", broken, "\x01\x02\x03\x04\x05\x06\x07\x08", 0},
		{"a warning", broken, "\x00\x15\x03\x03\x00\x02\x01\x00", 0},
		{"a longer record with the same end", broken, "\x15\x03\x03\x00\x13\x02\x02\x30", 0},
		{"unknown_ca in the clear", broken, "\x17\x15\x03\x03\x00\x02\x02\x30", 48},
		{"certificate_expired in the clear", broken, "\x00\x15\x03\x03\x00\x02\x02\x2d", 45},
	} {
		c := &Conn{}
		c.noteTail([]byte("something before it"))
		c.noteTail([]byte(row.tail[:3]))
		c.noteTail([]byte(row.tail[3:]))
		got := clearAlert(row.err, c.tail.Load())
		if row.want == 0 {
			if got != row.err {
				t.Errorf("%s: became %v", row.rule, got)
			}
			continue
		}
		var op *net.OpError
		if !errors.As(got, &op) || op.Op != "remote error" || alertNumber(op.Err) != row.want {
			t.Errorf("%s: %v, want the peer's alert %d", row.rule, got, row.want)
		}
		if reason := tlsReason(got, tls.VersionTLS13, false); reason != event.ReasonRefused {
			t.Errorf("%s: %v, want refused", row.rule, reason)
		}
	}
}
