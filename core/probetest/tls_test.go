package probetest

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
)

// taken is what a TLS server received on one connection.
type taken struct {
	handshake error
	after     error // of the read after the handshake
	in        []byte
}

// closeNotify reports whether the client's last record is an encrypted alert. In TLS 1.3
// that is 2 bytes, their type and a tag of 16 bytes.
func (s taken) closeNotify() bool {
	const size = 2 + 1 + 16
	at := len(s.in) - size - 5
	return at >= 0 && bytes.Equal(s.in[at:at+5], []byte{23, 3, 3, 0, size})
}

// tee keeps the bytes read.
type tee struct {
	net.Conn
	in []byte
}

func (c *tee) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.in = append(c.in, b[:n]...)
	return n, err
}

// handshake serves one TLS connection and returns what the server received.
func handshake(t *testing.T) (Target, <-chan taken) {
	t.Helper()
	cert, pool, err := Certificate()
	if err != nil {
		t.Fatal(err)
	}
	out := make(chan taken, 1)
	target := once(t, func(c net.Conn) {
		raw := &tee{Conn: c}
		s := tls.Server(raw, &tls.Config{Certificates: []tls.Certificate{cert}})
		var saw taken
		if saw.handshake = s.Handshake(); saw.handshake == nil {
			_, saw.after = s.Read(make([]byte, 1))
		}
		saw.in = raw.in
		out <- saw
	})
	target.TLS = &tls.Config{RootCAs: pool}
	return target, out
}

func TestWhatATLSServerSees(t *testing.T) {
	for _, row := range []struct {
		scenario, rule string
		failed         string // part of the handshake's error, "": it succeeds
		after          error
	}{
		{"tcp-connect-fin", "no byte", "EOF", nil},
		{"tcp-connect-rst", "no byte", "connection reset", nil},
		{"tls-hello-cut-fin", "a record that ends in the middle", "unexpected EOF", nil},
		{"tls-hello-cut-rst", "a record that ends in the middle", "connection reset", nil},
		{"tls-certificate-refused", "the client's alert", "remote error: tls: bad certificate", nil},
		{"tls-no-common-version", "the server's own refusal", "unsupported versions", nil},
		{"tls-no-common-cipher", "the server's own refusal", "no cipher suite", nil},
		{"http-on-tls", "no record", "first record does not look like a TLS handshake", nil},
		{"proxy-v1-fin", "no record", "first record does not look like a TLS handshake", nil},
		{"proxy-v2-request", "no record", "first record does not look like a TLS handshake", nil},
		{"tls-handshake-fin", "close_notify", "", io.EOF},
		{"tls-handshake-rst", "no close_notify", "", syscall.ECONNRESET},
	} {
		t.Run(row.scenario, func(t *testing.T) {
			target, got := handshake(t)
			s, ok := Find(row.scenario)
			if !ok {
				t.Fatal("no such scenario")
			}
			if _, err := s.Run(patient(t), target); err != nil {
				t.Fatal(err)
			}
			saw := <-got
			switch {
			case row.failed == "" && (saw.handshake != nil || !errors.Is(saw.after, row.after)):
				t.Errorf("%s: the server saw %v, %v; want %v after the handshake", row.rule, saw.handshake, saw.after, row.after)
			case row.failed == "" && saw.closeNotify() != (row.after == io.EOF):
				t.Errorf("%s: the last records are % x", row.rule, saw.in[max(0, len(saw.in)-80):])
			case row.failed != "" && (saw.handshake == nil || !strings.Contains(saw.handshake.Error(), row.failed)):
				t.Errorf("%s: the server saw %v; want %q", row.rule, saw.handshake, row.failed)
			}
		})
	}
}

func TestTypedTLSErrors(t *testing.T) {
	target := serve(t, TLSPort)
	res, err := RefuseCertificate(patient(t), target)
	var refused *tls.CertificateVerificationError
	if err != nil || !errors.As(res.Err, &refused) {
		t.Errorf("certificate refused: %T %v, %v", res.Err, res.Err, err)
	}
	target.TLS.InsecureSkipVerify = true
	if res, err = RefuseCertificate(patient(t), target); err != nil || !errors.As(res.Err, &refused) {
		t.Errorf("certificate refused by a target that skips verification: %v, %v", res.Err, err)
	}
	res, err = TLSOnPlain(patient(t), serve(t, PlainPort))
	var record tls.RecordHeaderError
	if err != nil || !errors.As(res.Err, &record) {
		t.Errorf("TLS on a plain port: %T %v, %v", res.Err, res.Err, err)
	}
}

func TestTLSScenariosSayWhatTheyNeed(t *testing.T) {
	plain := serve(t, PlainPort)
	for _, name := range []string{"tls-handshake-fin", "tls-certificate-refused", "tls-no-common-version", "handshake-http-2"} {
		s, _ := Find(name)
		if _, err := s.Run(patient(t), plain); !errors.Is(err, errNeedsTLS) {
			t.Errorf("%s without TLS: %v", name, err)
		}
	}
	if _, err := TLSOnPlain(patient(t), Target{Addr: serve(t, TLSPort).Addr}); err != nil {
		t.Errorf("a TLS port whose certificate is not trusted: %v", err) // the handshake fails, as it must
	}
	_, pool, err := Certificate()
	if err != nil {
		t.Fatal(err)
	}
	stranger := serve(t, TLSPort)
	stranger.TLS = &tls.Config{RootCAs: pool}
	if _, err := HandshakeTLS(patient(t), stranger, FIN); err == nil {
		t.Error("a handshake that should have succeeded failed without an error")
	}
	lax := once(t, func(c net.Conn) {
		cert, _, _ := Certificate()
		_ = tls.Server(c, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS10}).Handshake()
		_, _ = io.Copy(io.Discard, c)
	})
	lax.TLS = &tls.Config{InsecureSkipVerify: true}
	if _, err := NoCommonVersion(patient(t), lax); err == nil || !strings.Contains(err.Error(), "less strict") {
		t.Errorf("a server that accepts TLS 1.1: %v", err)
	}
}

func TestASilentTLSServerIsAnError(t *testing.T) {
	ctx, end := enough(t)
	target := once(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1))
		end()
		_, _ = io.Copy(io.Discard, c)
	})
	target.TLS = &tls.Config{}
	if _, err := RefuseCertificate(ctx, target); !errors.Is(err, errEnough) {
		t.Errorf("no answer to the ClientHello: error is %v", err)
	}
}

func TestAServerThatWaitsAfterItsAlertIsNotWaitedFor(t *testing.T) {
	target := once(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 4096))
		_, _ = io.WriteString(c, "\x15\x03\x01\x00\x02\x02\x46") // fatal, protocol_version
		_, _ = io.Copy(io.Discard, c)
	})
	target.TLS = &tls.Config{}
	if res, err := NoCommonVersion(patient(t), target); err != nil || res.Ending != ByFIN || res.Err == nil {
		t.Errorf("ending %v, Err %v, error %v", res.Ending, res.Err, err)
	}
}

func TestClientHello(t *testing.T) {
	for _, target := range []Target{{Addr: "a.example:443"}, {}} {
		hello := ClientHello(target)
		if len(hello) < 100 || hello[0] != 22 || hello[5] != 1 {
			t.Errorf("%q: % x is not a ClientHello", target.Addr, hello)
		}
		if n := int(hello[3])<<8 | int(hello[4]); n != len(hello)-5 {
			t.Errorf("%q: the record says %d bytes, %d follow", target.Addr, n, len(hello)-5)
		}
	}
}
