package conn

import (
	"crypto/tls"
	"io"
	"net"
	"reflect"
	"strings"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/usererror"
)

// The errors of crypto/tls that have no type. If Go changes these texts, the handshakes
// count as aborted like others.
const (
	textVersion       = "tls: client offered only unsupported versions"
	textNoCertificate = "tls: client didn't provide a certificate"
)

// tlsReason sorts the error of a TLS handshake by its type, if it has one. An error
// without a type after the client's certificate was read means that the certificate was
// refused, by a function of tls.Config or for its contents.
func tlsReason(err error, version uint16, certificate bool) event.Reason {
	op := usererror.OpError(err)
	_, record := usererror.As[tls.RecordHeaderError](err)
	_, unverified := usererror.As[*tls.CertificateVerificationError](err)
	switch text := usererror.Text(err); {
	case unverified, text == textNoCertificate:
		return event.ReasonClientCertificate
	case usererror.IsTimeout(err):
		return event.ReasonTimeout
	case err == io.EOF, usererror.Is(err, io.ErrUnexpectedEOF), endOf(err) == endReset:
		return event.ReasonTruncated
	case op != nil && op.Op == "remote error":
		if alertNumber(op.Err) == alertProtocolVersion {
			return event.ReasonVersion
		}
		return event.ReasonRefused
	case op != nil, record, panickedInTLS(err):
		return event.ReasonAborted
	case certificate:
		return event.ReasonClientCertificate
	case version == 0 && strings.HasPrefix(text, textVersion):
		return event.ReasonVersion
	}
	return event.ReasonAborted
}

// The alerts of RFC 8446 §6 that are looked for.
const (
	alertBadRecordMAC    = 20
	alertProtocolVersion = 70
)

// alertNumber returns the number of an alert of crypto/tls, whose type is not exported.
// It is 0 for any other error.
func alertNumber(err error) uint64 {
	if v := reflect.ValueOf(err); v.Kind() == reflect.Uint8 {
		return v.Uint()
	}
	return 0
}

// clearAlert returns the error of a TLS handshake, corrected by the last bytes received.
// OpenSSL clients that refuse a certificate over TLS 1.3 send their alert in the clear
// (seen with 3.0). crypto/tls cannot decrypt it and reports a bad record of its own, but
// the peer's alert is the real error.
func clearAlert(err error, tail uint64) error {
	op := usererror.OpError(err)
	if op == nil || op.Op != "local error" || alertNumber(op.Err) != alertBadRecordMAC {
		return err
	}
	const fatalAlert = 0x15_03_03_00_02_02_00 // a record of type 21, length 2, level fatal (RFC 8446 §5.1, §6)
	if tail<<8>>8&^0xff != fatalAlert {
		return err
	}
	return &net.OpError{Op: "remote error", Err: tls.AlertError(tail)}
}
