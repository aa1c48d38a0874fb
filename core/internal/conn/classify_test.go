package conn

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/conn/conntest"
)

// arrived is what is known of a watched connection that received b.
func arrived(b []byte, change ...func(*evidence)) evidence {
	f := evidence{seen: true, head: b[:min(len(b), headSize)], in: int64(len(b)), age: time.Second}
	for _, c := range change {
		c(&f)
	}
	return f
}

// The ends of a connection. The peer's come before the first byte was written to it.
func byFIN(f *evidence)     { f.readEnd, f.facts = endEOF, f.facts|PeerFirst }
func byRST(f *evidence)     { f.readEnd, f.facts = endReset, f.facts|PeerFirst }
func byTimeout(f *evidence) { f.readEnd = endTimeout }
func byServer(f *evidence)  { f.readEnd = endClosed }
func late(f *evidence)      { f.age = ProbeAge + time.Millisecond }
func active(f *evidence)    { f.facts |= Active }
func aboveIsTLS(f *evidence) {
	f.tls, f.tlsVersion = true, tls.VersionTLS13
}
func unseen(f *evidence) { f.seen, f.head, f.in, f.out = false, nil, 0, 0 }

func answered(status int) func(*evidence) {
	return func(f *evidence) { f.answer, f.out = uint32(status), 100 }
}

func explained(f *evidence) { f.answer |= answerExplained }

// leftAfter ends a connection by the peer, after it was answered. tail holds its last bytes.
func leftAfter(tail uint64) func(*evidence) {
	return func(f *evidence) { f.tail, f.readEnd = tail, endEOF }
}

// failedTLS is a TLS handshake that failed with err.
func failedTLS(err error) func(*evidence) {
	return func(f *evidence) { f.tls, f.tlsErr, f.tlsVersion = true, err, 0 }
}

func flagged(facts Fact) func(*evidence) { return func(f *evidence) { f.facts |= facts } }

var errRemoteAlert = &net.OpError{Op: "remote error", Err: tls.AlertError(42)}

func TestClassify(t *testing.T) {
	none := []byte(nil)
	hello := conntest.ClientHello(t)
	junk := []byte("\x80\x00junk\r\n\r\n")
	for _, row := range []struct {
		rule   string
		f      evidence
		class  event.Class
		reason event.Reason
	}{
		// proxy_probe
		{"PROXY v2 LOCAL and nothing after it, whoever closes", arrived(conntest.ProxyV2Local, byServer), event.ProxyProbe, event.NoReason},
		{"PROXY v2 LOCAL, answered 400 before the peer left", arrived(conntest.ProxyV2Local, answered(400), func(f *evidence) { f.readEnd = endEOF }), event.ProxyProbe, event.NoReason},
		{"PROXY v2 LOCAL with addresses after it, as its length says", arrived(append([]byte(proxyV2+"\x20\x11\x00\x0c"), make([]byte, 12)...), byTimeout), event.ProxyProbe, event.NoReason},
		{"a v1 line whose sender is gone before our answer", arrived(conntest.LineProxyV1, byFIN), event.ProxyProbe, event.NoReason},
		{"a v1 line whose sender reset before our answer", arrived(conntest.LineProxyV1, byRST), event.ProxyProbe, event.NoReason},
		{"HAProxy's reset is seen on the write alone", arrived(conntest.LineProxyV1, flagged(PeerFirst)), event.ProxyProbe, event.NoReason},
		{"a v2 header with addresses whose sender is gone before our answer", arrived(conntest.ProxyV2Addrs, byRST), event.ProxyProbe, event.NoReason},
		{"the same where a listener above expects it", arrived(conntest.ProxyV2Addrs, byFIN, func(f *evidence) { f.expectProxy = true }), event.ProxyProbe, event.NoReason},
		{"PROXY v2 LOCAL to a TLS port", arrived(conntest.ProxyV2Local, failedTLS(tls.RecordHeaderError{})), event.ProxyProbe, event.NoReason},

		// wrong_protocol
		{"a v1 line that was answered, and its sender left without more", arrived(conntest.LineProxyV1, answered(400), leftAfter('\r'<<8|'\n')), event.ProxyProbe, event.NoReason},
		{"half a v1 line that was answered, on a TLS port, and its sender left", arrived(conntest.LineProxyV1[:20], failedTLS(tls.RecordHeaderError{}), leftAfter('2'<<8|'.')), event.ProxyProbe, event.NoReason},
		{"half a v2 header that was answered, and its sender left", arrived(conntest.ProxyV2Addrs[:14], answered(400), leftAfter(0)), event.ProxyProbe, event.NoReason},
		{"a v2 header with half its addresses that was answered, and its sender left", arrived(conntest.ProxyV2Addrs[:20], answered(400), leftAfter(0)), event.ProxyProbe, event.NoReason},
		{"more than the longest v1 line and no end of it", arrived(append(bytes.Clone(conntest.LineProxyV1[:20]), make([]byte, proxyV1Max)...), answered(400), leftAfter(0)), event.WrongProtocol, event.ReasonProxyPreamble},
		{"the same after more than the line", arrived(conntest.LineProxyV1, answered(400), leftAfter(tailMore)), event.WrongProtocol, event.ReasonProxyPreamble},
		{"v2 addresses that were answered, and their sender left without more", arrived(conntest.ProxyV2Addrs, answered(400), leftAfter(0)), event.ProxyProbe, event.NoReason},
		{"the same after more than those", arrived(append(bytes.Clone(conntest.ProxyV2Addrs), "GET"...), answered(400), leftAfter(0)), event.WrongProtocol, event.ReasonProxyPreamble},
		{"a v1 line that was answered", arrived(conntest.LineProxyV1, answered(400)), event.WrongProtocol, event.ReasonProxyPreamble},
		{"a v2 header with addresses that was answered", arrived(conntest.ProxyV2Addrs, answered(400)), event.WrongProtocol, event.ReasonProxyPreamble},
		{"PROXY v2 LOCAL and a byte after it", arrived(append(bytes.Clone(conntest.ProxyV2Local), 'G'), answered(400)), event.WrongProtocol, event.ReasonProxyPreamble},
		{"a v1 line to a TLS port", arrived(conntest.LineProxyV1, failedTLS(tls.RecordHeaderError{})), event.WrongProtocol, event.ReasonProxyPreamble},
		{"HTTP/2 with prior knowledge", arrived(conntest.H2Start, answered(505)), event.WrongProtocol, event.ReasonH2Preface},
		{"HTTP/2 with prior knowledge that net/http took for a request", arrived(conntest.H2Start, byFIN), event.WrongProtocol, event.ReasonH2Preface},
		{"a ClientHello to a plain port", arrived(hello, answered(400)), event.WrongProtocol, event.ReasonTLSOnPlain},
		{"a ClientHello to a plain port, its sender gone first", arrived(hello, byRST), event.WrongProtocol, event.ReasonTLSOnPlain},
		{"a ClientHello to a plain port, never answered", arrived(hello, byTimeout), event.WrongProtocol, event.ReasonTLSOnPlain},
		{"plain HTTP to a TLS port", arrived(conntest.GetApp, failedTLS(tls.RecordHeaderError{})), event.WrongProtocol, event.ReasonHTTPOnTLS},
		{"plain HTTP to a TLS layer that is not known", arrived(conntest.GetApp, byFIN, func(f *evidence) { f.tls, f.tlsUnknown = true, true }), event.WrongProtocol, event.ReasonHTTPOnTLS},
		{"an h2 preface in the clear to a TLS port", arrived(conntest.H2Start, failedTLS(tls.RecordHeaderError{})), event.WrongProtocol, event.ReasonHTTPOnTLS},

		// tls_failed
		{"the peer's alert: it refused the certificate", arrived(hello, failedTLS(errRemoteAlert)), event.TLSFailed, event.ReasonRefused},
		{"the peer's alert: protocol_version", arrived(hello, failedTLS(&net.OpError{Op: "remote error", Err: tls.AlertError(70)})), event.TLSFailed, event.ReasonVersion},
		{"a handshake cut by FIN", arrived(hello[:40], byFIN, failedTLS(io.ErrUnexpectedEOF)), event.TLSFailed, event.ReasonTruncated},
		{"a handshake cut between records", arrived(hello, failedTLS(io.EOF), byFIN), event.TLSFailed, event.ReasonTruncated},
		{"a handshake cut by RST", arrived(hello[:40], byRST, failedTLS(syscall.ECONNRESET)), event.TLSFailed, event.ReasonTruncated},
		{"a handshake that never went on", arrived(hello[:40], byTimeout, failedTLS(os.ErrDeadlineExceeded)), event.TLSFailed, event.ReasonTimeout},
		{"junk to a TLS port", arrived(junk, failedTLS(tls.RecordHeaderError{})), event.TLSFailed, event.ReasonAborted},
		{"a ClientHello that was never answered, by a TLS layer that is not known", arrived(hello, byFIN, func(f *evidence) { f.tls, f.tlsUnknown = true, true }), event.TLSFailed, event.ReasonTruncated},
		{"the same, ended by the server's timeout", arrived(hello[:40], byTimeout, func(f *evidence) { f.tls, f.tlsUnknown = true, true }), event.TLSFailed, event.ReasonTimeout},
		{"a handshake that failed on a connection that is not watched", arrived(none, unseen, failedTLS(io.ErrUnexpectedEOF)), event.TLSFailed, event.ReasonTruncated},

		// bad_request
		{"half a head, then FIN", arrived(conntest.GetApp[:20], byFIN), event.BadRequest, event.ReasonTruncated},
		{"half a head, then FIN, and net/http still answers 400", arrived(conntest.GetApp[:20], byFIN, answered(400)), event.BadRequest, event.ReasonTruncated},
		{"half a head, then RST", arrived(conntest.GetApp[:20], byRST), event.BadRequest, event.ReasonTruncated},
		{"half a head until the timeout", arrived(conntest.GetApp[:20], byTimeout), event.BadRequest, event.ReasonTimeout},
		{"half a head until the timeout, answered", arrived(conntest.GetApp[:20], byTimeout, answered(408)), event.BadRequest, event.ReasonTimeout},
		{"not HTTP", arrived(junk, answered(400)), event.BadRequest, event.ReasonMalformed},
		{"not HTTP, and the peer left after the answer", arrived(junk, answered(400), func(f *evidence) { f.readEnd = endEOF }), event.BadRequest, event.ReasonMalformed},
		{"no Host: refused for what the head says", arrived(conntest.GetApp, answered(400), explained), event.BadRequest, event.ReasonRefused},
		{"417, 501, 505: refused for what the head says", arrived(conntest.GetApp, answered(501)), event.BadRequest, event.ReasonRefused},
		{"a head that is too large", arrived(conntest.GetApp, answered(431)), event.BadRequest, event.ReasonTooLarge},
		{"a body that is too large for a server that reads it before it calls a handler", arrived(conntest.GetApp, answered(413)), event.BadRequest, event.ReasonTooLarge},
		{"bytes inside TLS that the server refused without a handler", arrived(hello, aboveIsTLS, active), event.BadRequest, event.ReasonUnknown},
		{"half a head inside TLS until the timeout", arrived(hello, aboveIsTLS, active, byTimeout), event.BadRequest, event.ReasonTimeout},
		{"bytes on a connection that is not watched", arrived(none, unseen, active), event.BadRequest, event.ReasonUnknown},
		{"refused by a listener below, which took the bytes", arrived(none, func(f *evidence) { f.readEnd = endOther }), event.BadRequest, event.ReasonRefused},

		// server_closed
		{"silent, closed by the guard's drain", arrived(none, byServer, flagged(Drained)), event.ServerClosed, event.ReasonDrain},
		{"half a head, closed by the guard's drain", arrived(conntest.GetApp[:20], byServer, flagged(Drained)), event.ServerClosed, event.ReasonDrain},
		{"handshaken, closed by the guard's drain", arrived(hello, aboveIsTLS, byServer, flagged(Drained)), event.ServerClosed, event.ReasonDrain},
		{"in the middle of a handshake, closed by the guard's drain", arrived(hello, failedTLS(net.ErrClosed), byServer, flagged(Drained)), event.ServerClosed, event.ReasonDrain},
		{"answered before a request: over a limit", arrived(none, answered(503), byServer), event.ServerClosed, event.ReasonLimit},
		{"silent, closed by the server", arrived(none, byServer), event.ServerClosed, event.ReasonShutdown},
		{"silent, closed by the server before it read", arrived(none), event.ServerClosed, event.ReasonShutdown},
		{"half a head, closed by the server without an answer", arrived(conntest.GetApp[:20], byServer), event.ServerClosed, event.ReasonShutdown},
		{"silent on a TLS port, closed by the server", arrived(none, failedTLS(net.ErrClosed), byServer), event.ServerClosed, event.ReasonShutdown},
		{"handshaken, closed by the server", arrived(hello, aboveIsTLS, byServer), event.ServerClosed, event.ReasonShutdown},

		// idle_connect
		{"silent, the peer left after more than five seconds", arrived(none, byFIN, late), event.IdleConnect, event.NoReason},
		{"silent, reset after more than five seconds", arrived(none, byRST, late), event.IdleConnect, event.NoReason},
		{"silent until the server's timeout", arrived(none, byTimeout), event.IdleConnect, event.NoReason},
		{"handshaken, the peer left after more than five seconds", arrived(hello, aboveIsTLS, byFIN, late), event.IdleConnect, event.NoReason},
		{"handshaken until the server's timeout", arrived(hello, aboveIsTLS, byTimeout), event.IdleConnect, event.NoReason},
		{"silent on a TLS port until the server's timeout", arrived(none, failedTLS(os.ErrDeadlineExceeded), byTimeout), event.IdleConnect, event.NoReason},
		{"silent on a TLS port, the peer left after more than five seconds", arrived(none, failedTLS(io.EOF), byFIN, late), event.IdleConnect, event.NoReason},
		{"not watched, and as old as the server's timeout", arrived(none, unseen, func(f *evidence) { f.timeout, f.age = time.Second, time.Second }), event.IdleConnect, event.NoReason},
		{"not watched, on a TLS port, until the server's timeout", arrived(none, unseen, failedTLS(os.ErrDeadlineExceeded)), event.IdleConnect, event.NoReason},

		// tls_probe
		{"handshaken and closed", arrived(hello, aboveIsTLS, byFIN), event.TLSProbe, event.NoReason},
		{"handshaken and reset", arrived(hello, aboveIsTLS, byRST), event.TLSProbe, event.NoReason},
		{"handshaken and closed after five seconds to the millisecond", arrived(hello, aboveIsTLS, byFIN, func(f *evidence) { f.age = ProbeAge }), event.TLSProbe, event.NoReason},
		{"HTTP/2 negotiated, its preface sent, and closed", arrived(hello, aboveIsTLS, active, byFIN, func(f *evidence) { f.h2 = true }), event.TLSProbe, event.NoReason},
		{"handshaken and closed on a connection that is not watched", arrived(none, unseen, aboveIsTLS), event.TLSProbe, event.NoReason},

		// tcp_probe
		{"FIN", arrived(none, byFIN), event.TCPProbe, event.NoReason},
		{"RST", arrived(none, byRST), event.TCPProbe, event.NoReason},
		{"FIN after five seconds to the millisecond", arrived(none, byFIN, func(f *evidence) { f.age = ProbeAge }), event.TCPProbe, event.NoReason},
		{"FIN on a TLS port", arrived(none, failedTLS(io.EOF), byFIN), event.TCPProbe, event.NoReason},
		{"RST on a TLS port", arrived(none, failedTLS(&net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}), byRST), event.TCPProbe, event.NoReason},
		{"not watched", arrived(none, unseen), event.TCPProbe, event.NoReason},
		{"not watched, FIN on a TLS port", arrived(none, unseen, failedTLS(io.EOF)), event.TCPProbe, event.NoReason},
		{"not watched, RST on a TLS port", arrived(none, unseen, failedTLS(syscall.ECONNRESET)), event.TCPProbe, event.NoReason},

		// http, answered by the server without a handler
		{"OPTIONS * that the server answered itself", arrived([]byte("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"), answered(200)), event.HTTP, event.NoReason},
	} {
		if class, reason := classify(row.f); class != row.class || reason != row.reason {
			t.Errorf("%s: %v/%v, want %v/%v", row.rule, class, reason, row.class, row.reason)
		}
	}
}

// Each class beats all that come after it, whatever else is known.
func TestClassifyPrecedence(t *testing.T) {
	rows := []struct {
		outcome Outcome
		class   event.Class
	}{
		{Panicked, event.HandlerPanic},
		{UpgradeFailed, event.UpgradeFailed},
		{Session, event.SessionEnded},
		{Hijacked, event.Hijacked},
		{Refused, event.HandshakeRefused},
		{ProbeFailing, event.ProbeFailing},
		{Ordinary, event.HTTP},
		{Probe, event.HTTPProbe},
	}
	hello := conntest.ClientHello(t)
	transport := []evidence{
		arrived(conntest.ProxyV2Local, byFIN),
		arrived(conntest.LineProxyV1, answered(400)),
		arrived(hello, failedTLS(errRemoteAlert)),
		arrived(conntest.GetApp[:9], byFIN, answered(400)),
		arrived(nil, byServer, flagged(Drained)),
		arrived(nil, byFIN, late),
		arrived(hello, aboveIsTLS, byFIN),
		arrived(nil, byFIN),
	}
	for i, row := range rows {
		for _, f := range transport {
			f.refused = event.ReasonBadKey
			for _, below := range rows[i:] {
				f.outcomes |= below.outcome
			}
			if class, _ := classify(f); class != row.class {
				t.Errorf("%v and everything below it: %v (%+v)", row.class, class, f)
			}
		}
	}

	for _, row := range []struct {
		rule string
		f    evidence
		want event.Class
	}{
		{"proxy_probe beats wrong_protocol: a preamble on a TLS port whose sender is gone",
			arrived(conntest.LineProxyV1, failedTLS(tls.RecordHeaderError{}), byFIN), event.ProxyProbe},
		{"wrong_protocol beats tls_failed: HTTP on a TLS port cut by FIN",
			arrived(conntest.GetApp[:4], failedTLS(io.ErrUnexpectedEOF), byFIN), event.WrongProtocol},
		{"wrong_protocol beats bad_request: a ClientHello that was answered 400",
			arrived(hello, answered(400)), event.WrongProtocol},
		{"wrong_protocol beats idle_connect: a preface that waits for the timeout",
			arrived(conntest.H2Start, byTimeout, late), event.WrongProtocol},
		{"tls_failed beats idle_connect: half a hello, and the peer leaves late",
			arrived(hello[:40], failedTLS(io.ErrUnexpectedEOF), byFIN, late), event.TLSFailed},
		{"bad_request beats server_closed: answered, then closed by the server",
			arrived(conntest.GetApp[:9], answered(400), byServer), event.BadRequest},
		{"bad_request beats idle_connect: half a head, and the peer leaves late",
			arrived(conntest.GetApp[:9], byFIN, late), event.BadRequest},
		{"bad_request beats tls_probe: bytes inside TLS",
			arrived(hello, aboveIsTLS, active, byFIN), event.BadRequest},
		{"server_closed beats idle_connect: silent for long, closed by the server",
			arrived(nil, byServer, late), event.ServerClosed},
		{"idle_connect beats tls_probe", arrived(hello, aboveIsTLS, byFIN, late), event.IdleConnect},
		{"idle_connect beats tcp_probe", arrived(nil, byFIN, late), event.IdleConnect},
		{"tls_probe beats tcp_probe: handshaken, the peer left before anything else",
			arrived(hello, aboveIsTLS, byFIN), event.TLSProbe},
		// The drain closes idle connections in any state; its close then decides.
		{"the drain's close beats what the bytes were", arrived(conntest.GetApp[:9], byServer, flagged(Drained)), event.ServerClosed},
	} {
		if class, _ := classify(row.f); class != row.want {
			t.Errorf("%s: %v, want %v", row.rule, class, row.want)
		}
	}
}

// A sender on a plain port may be cut off after any byte: with its full signature the
// protocol is known, before that it is a truncated request.
func TestClassifyEveryPrefix(t *testing.T) {
	ends := []struct {
		name   string
		end    func(*evidence)
		peer   bool
		reason event.Reason
		none   event.Class
	}{
		{"FIN", byFIN, true, event.ReasonTruncated, event.TCPProbe},
		{"RST", byRST, true, event.ReasonTruncated, event.TCPProbe},
		{"timeout", byTimeout, false, event.ReasonTimeout, event.IdleConnect},
	}
	for _, row := range []struct {
		name  string
		bytes []byte
		full  int // bytes of the signature
		class event.Class
		why   event.Reason
	}{
		{"PROXY v1", conntest.LineProxyV1, 6, event.ProxyProbe, event.NoReason},
		{"PROXY v2 with addresses", conntest.ProxyV2Addrs, 12, event.ProxyProbe, event.NoReason},
		{"PROXY v2 LOCAL", conntest.ProxyV2Local, 12, event.ProxyProbe, event.NoReason},
		{"ClientHello", conntest.ClientHello(t), 3, event.WrongProtocol, event.ReasonTLSOnPlain},
		{"h2 preface", conntest.H2Start, 14, event.WrongProtocol, event.ReasonH2Preface},
		{"GET", conntest.GetApp, len(conntest.GetApp), event.HTTP, event.NoReason},
		{"a health request", conntest.GetHealth, len(conntest.GetHealth), event.HTTPProbe, event.NoReason},
	} {
		request := row.class == event.HTTP || row.class == event.HTTPProbe
		for n := range len(row.bytes) + 1 {
			if request && n == row.full {
				break // then it is a request
			}
			for _, end := range ends {
				class, reason := event.BadRequest, end.reason
				switch {
				case n == 0:
					class, reason = end.none, event.NoReason
				case n < row.full:
				case row.class != event.ProxyProbe, end.peer, bytes.Equal(row.bytes[:n], conntest.ProxyV2Local):
					class, reason = row.class, row.why
				default: // the sender is still there
					class, reason = event.WrongProtocol, event.ReasonProxyPreamble
				}
				answers := []uint32{0}
				if n > 0 && end.peer {
					answers = append(answers, 400) // net/http answers half a head that ended
				}
				for _, a := range answers {
					f := arrived(row.bytes[:n], end.end)
					if f.answer = a; a != 0 {
						f.out = 90
					}
					if c, r := classify(f); c != class || r != reason {
						t.Errorf("%d bytes of %s ended by %s, answer %d: %v/%v, want %v/%v", n, row.name, end.name, a, c, r, class, reason)
					}
				}
			}
		}
	}
}

// Bytes that only resemble another protocol are a malformed request.
func TestClassifyNearMisses(t *testing.T) {
	for _, head := range []string{
		"PROXY", "PROXY\tTCP4 ", "proxy TCP4 1.2.", "PROXYTCP4 1.2.3.",
		"\r\n\r\n\x00\r\nQUIT\r", "\r\n\r\n\x00\r\nquit\n\x20\x00\x00\x00",
		"PRI * HTTP/1.1\r\n", "PRI / HTTP/2.0\r\n", "pri * HTTP/2.0\r\n", "PRI * HTTP/2",
		"\x16", "\x16\x03", "\x16\x02\x01\x00\x20", "\x16\x03\x05\x00\x20", "\x15\x03\x01\x00\x02", "\x17\x03\x03\x00\x20",
		"\x80\x2e\x01\x03\x01", // SSL 2.0
	} {
		class, reason := classify(arrived([]byte(head), answered(400)))
		if class != event.BadRequest || reason != event.ReasonMalformed {
			t.Errorf("%q, answered 400: %v/%v, want bad_request/malformed", head, class, reason)
		}
	}
	for _, head := range []string{"GET", "GE /", "get / HTTP/1.1", "G3T / HTTP/1.1", " GET / HTTP/1.1", "M-SEARCH * HTTP/1.1", "\x16\x03\x01 / HTTP/1"} {
		class, reason := classify(arrived([]byte(head), failedTLS(tls.RecordHeaderError{})))
		if class != event.TLSFailed || reason != event.ReasonAborted {
			t.Errorf("%q to a TLS port: %v/%v, want tls_failed/aborted", head, class, reason)
		}
	}
	for _, head := range []string{"GET / HTTP/1.1\r\n", "OPTIONS * HTTP/1", "PROPFIND /a HTTP", "CONNECT a:443 HT"} {
		if class, reason := classify(arrived([]byte(head), failedTLS(tls.RecordHeaderError{}))); class != event.WrongProtocol || reason != event.ReasonHTTPOnTLS {
			t.Errorf("%q to a TLS port: %v/%v, want wrong_protocol/http_on_tls", head, class, reason)
		}
	}
}

// tlsErrors are the errors that a handshake can end with.
var tlsErrors = []error{
	nil, io.EOF, io.ErrUnexpectedEOF, os.ErrDeadlineExceeded, net.ErrClosed, syscall.ECONNRESET, errRemoteAlert,
	&net.OpError{Op: "remote error", Err: tls.AlertError(70)}, &net.OpError{Op: "local error", Err: tls.AlertError(10)},
	&net.OpError{Op: "read", Err: syscall.ECONNRESET}, tls.RecordHeaderError{Msg: "m"}, errors.New("tls: untyped"), errors.Join(),
}

// belongs reports whether a connection of class c can have the reason r. The reasons of a
// failed upgrade are on the event of its request, not on the connection.
func belongs(c event.Class, r event.Reason) bool {
	if all := c.Reasons(); c != event.UpgradeFailed && all != nil {
		return slices.Contains(all, r)
	}
	return r == event.NoReason
}

func TestIsHTTPWantsARequestLine(t *testing.T) {
	for head, want := range map[string]bool{
		"GET /": true, "HEAD ": true, "ABCDEFGHIJKLMNOP": false, "GET": false, "": false, " ": false, "AB ": false, "ABC ": true, "ABc ": false,
	} {
		if IsHTTP([]byte(head)) != want {
			t.Errorf("IsHTTP(%q) = %v", head, !want)
		}
	}
	if IsHTTP([]byte(strings.Repeat("A", headSize))) {
		t.Error("sixteen letters without a space count as a request line")
	}
}
