package probetest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

var errNeedsTLS = errors.New("probetest: this needs Target.TLS")

// HandshakeTLS completes a TLS handshake, sends nothing inside, and ends the connection as
// end says. FIN sends close_notify first, RST does not.
//
// FIN is the SSL health check of Google Cloud, RST is HAProxy's check-ssl,
// Silence is a browser's spare connection.
func HandshakeTLS(ctx context.Context, t Target, end End) (Result, error) {
	if t.TLS == nil {
		return Result{}, errNeedsTLS
	}
	return Send(ctx, t, nil, end)
}

// CutHello sends the first half of a ClientHello and ends the connection as end says.
func CutHello(ctx context.Context, t Target, end End) (Result, error) {
	hello := ClientHello(t)
	return SendTCP(ctx, t, hello[:len(hello)/2], end)
}

// ClientHello returns the first record of a TLS handshake with t. Its random bytes differ
// from call to call.
func ClientHello(t Target) []byte {
	var rec recorder
	cfg := t.config()
	cfg.InsecureSkipVerify = cfg.ServerName == "" // there is no answer to verify; without a name or this there would be no hello
	_ = tls.Client(&rec, cfg).Handshake()
	return rec.sent
}

// RefuseCertificate begins a handshake as a client that trusts no issuer. It ends with the
// client's alert, bad_certificate or unknown_ca. [Result.Err] is the
// *tls.CertificateVerificationError.
func RefuseCertificate(ctx context.Context, t Target) (Result, error) {
	return failTLS(ctx, t, func(cfg *tls.Config) {
		cfg.RootCAs = x509.NewCertPool()
		cfg.InsecureSkipVerify = false
	})
}

// NoCommonVersion begins a handshake as a client that supports at most TLS 1.1
// (deprecated by RFC 8996). [Result.Err] has the server's alert.
func NoCommonVersion(ctx context.Context, t Target) (Result, error) {
	return failTLS(ctx, t, func(cfg *tls.Config) {
		cfg.MinVersion, cfg.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	})
}

// NoCommonCipher begins a TLS 1.2 handshake that offers only RC4 (forbidden by
// RFC 7465). [Result.Err] has the server's alert.
func NoCommonCipher(ctx context.Context, t Target) (Result, error) {
	return failTLS(ctx, t, func(cfg *tls.Config) {
		cfg.MinVersion, cfg.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
		cfg.CipherSuites = []uint16{tls.TLS_RSA_WITH_RC4_128_SHA}
	})
}

// TLSOnPlain sends a full ClientHello to a plain port and reads the answer, like a client
// whose URL says https or wss by mistake. [Result.Err] is the client's error, a
// tls.RecordHeaderError if the server answered in plain text.
func TLSOnPlain(ctx context.Context, t Target) (Result, error) {
	t.TLS = &tls.Config{}
	return failTLS(ctx, t, func(cfg *tls.Config) { cfg.InsecureSkipVerify = cfg.ServerName == "" })
}

// HTTPOnTLS sends a plain GET to a TLS port, like a client whose URL says http or ws by
// mistake.
func HTTPOnTLS(ctx context.Context, t Target) (Result, error) {
	w, err := dial(ctx, t)
	if err != nil {
		return Result{}, err
	}
	defer w.close()
	return w.exchange(Request{Path: t.path()}.Bytes(t), "GET", FIN)
}

// failTLS runs a handshake that must fail. It waits for the server to close, so that the
// server reads the alert first.
func failTLS(ctx context.Context, t Target, set func(*tls.Config)) (Result, error) {
	if t.TLS == nil {
		return Result{}, errNeedsTLS
	}
	w, err := dial(ctx, t)
	if err != nil {
		return Result{}, err
	}
	defer w.close()
	cfg := t.config()
	set(cfg)
	fault := w.secure(cfg)
	switch {
	case fault == nil:
		return w.res, errors.New("probetest: the TLS handshake succeeded, the server is less strict than this scenario expects")
	case w.ctx.Err() != nil:
		return w.res, fmt.Errorf("probetest: no answer to the ClientHello: %w", fault)
	}
	w.closeWrite()
	_, _ = io.Copy(io.Discard, w)
	w.ended(w.gone)
	w.res.Err = fault
	_ = w.tcp.Close()
	return w.res, nil
}

// recorder is a connection that never answers.
type recorder struct {
	net.Conn
	sent []byte
}

func (r *recorder) Write(b []byte) (int, error)      { r.sent = append(r.sent, b...); return len(b), nil }
func (r *recorder) Read([]byte) (int, error)         { return 0, io.EOF }
func (r *recorder) SetWriteDeadline(time.Time) error { return nil }
func (r *recorder) Close() error                     { return nil }
