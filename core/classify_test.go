package core

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
)

// The first bytes of what comes to a port.
var (
	lineProxyV1  = []byte("PROXY TCP4 192.0.2.1 198.51.100.1 51423 443\r\n")
	proxyV2Local = []byte(proxyV2 + "\x20\x00\x00\x00")
	proxyV2Addrs = []byte(proxyV2 + "\x21\x11\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x01\xc8\xdf\x01\xbb")
	h2Start      = []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
	getApp       = []byte("GET /app HTTP/1.1\r\nHost: example.com\r\n\r\n")
	getHealth    = []byte("GET /readyz HTTP/1.1\r\nHost: 10.0.0.7:8080\r\nUser-Agent: kube-probe/1.30\r\nConnection: close\r\n\r\n")
)

// clientHello returns the first record of a TLS client.
func clientHello(t testing.TB) []byte {
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

// arrived is what is known of a watched connection on which b came.
func arrived(b []byte, change ...func(*facts)) facts {
	f := facts{seen: true, head: b[:min(len(b), headSize)], in: int64(len(b)), age: time.Second}
	for _, c := range change {
		c(&f)
	}
	return f
}

// The ends of a connection, as far as they are the peer's: before the first
// byte was written to it.
func byFIN(f *facts)     { f.readEnd, f.flags = endEOF, f.flags|flagPeerFirst }
func byRST(f *facts)     { f.readEnd, f.flags = endReset, f.flags|flagPeerFirst }
func byTimeout(f *facts) { f.readEnd = endTimeout }
func byServer(f *facts)  { f.readEnd = endClosed }
func late(f *facts)      { f.age = probeAge + time.Millisecond }
func active(f *facts)    { f.flags |= flagActive }
func aboveIsTLS(f *facts) {
	f.tls, f.tlsVersion = true, tls.VersionTLS13
}
func unseen(f *facts) { f.seen, f.head, f.in, f.out = false, nil, 0, 0 }

func answered(status int) func(*facts) {
	return func(f *facts) { f.answer, f.out = uint32(status), 100 }
}

func explained(f *facts) { f.answer |= answerExplained }

// leftAfter is the end of a peer that was answered, after these last bytes.
func leftAfter(tail uint64) func(*facts) {
	return func(f *facts) { f.tail, f.readEnd = tail, endEOF }
}

// failedTLS is a handshake that was never completed.
func failedTLS(err error) func(*facts) {
	return func(f *facts) { f.tls, f.tlsErr, f.tlsVersion = true, err, 0 }
}

func flagged(flags uint32) func(*facts) { return func(f *facts) { f.flags |= flags } }

var errRemoteAlert = &net.OpError{Op: "remote error", Err: tls.AlertError(42)}

func TestClassify(t *testing.T) {
	none := []byte(nil)
	hello := clientHello(t)
	junk := []byte("\x80\x00junk\r\n\r\n")
	for _, row := range []struct {
		rule   string
		f      facts
		class  Class
		reason Reason
	}{
		// proxy_probe
		{"PROXY v2 LOCAL and nothing after it, whoever closes", arrived(proxyV2Local, byServer), ProxyProbe, NoReason},
		{"PROXY v2 LOCAL, answered 400 before the peer left", arrived(proxyV2Local, answered(400), func(f *facts) { f.readEnd = endEOF }), ProxyProbe, NoReason},
		{"PROXY v2 LOCAL with addresses after it, as its length says", arrived(append([]byte(proxyV2+"\x20\x11\x00\x0c"), make([]byte, 12)...), byTimeout), ProxyProbe, NoReason},
		{"a v1 line whose sender is gone before our answer", arrived(lineProxyV1, byFIN), ProxyProbe, NoReason},
		{"a v1 line whose sender reset before our answer", arrived(lineProxyV1, byRST), ProxyProbe, NoReason},
		{"HAProxy's reset is seen on the write alone", arrived(lineProxyV1, flagged(flagPeerFirst)), ProxyProbe, NoReason},
		{"a v2 header with addresses whose sender is gone before our answer", arrived(proxyV2Addrs, byRST), ProxyProbe, NoReason},
		{"the same where a listener above expects it", arrived(proxyV2Addrs, byFIN, func(f *facts) { f.expectProxy = true }), ProxyProbe, NoReason},
		{"PROXY v2 LOCAL to a TLS port", arrived(proxyV2Local, failedTLS(tls.RecordHeaderError{})), ProxyProbe, NoReason},

		// wrong_protocol
		{"a v1 line that was answered, and its sender left without more", arrived(lineProxyV1, answered(400), leftAfter('\r'<<8|'\n')), ProxyProbe, NoReason},
		{"half a v1 line that was answered, on a TLS port, and its sender left", arrived(lineProxyV1[:20], failedTLS(tls.RecordHeaderError{}), leftAfter('2'<<8|'.')), ProxyProbe, NoReason},
		{"half a v2 header that was answered, and its sender left", arrived(proxyV2Addrs[:14], answered(400), leftAfter(0)), ProxyProbe, NoReason},
		{"a v2 header with half its addresses that was answered, and its sender left", arrived(proxyV2Addrs[:20], answered(400), leftAfter(0)), ProxyProbe, NoReason},
		{"more than the longest v1 line and no end of it", arrived(append(bytes.Clone(lineProxyV1[:20]), make([]byte, proxyV1Max)...), answered(400), leftAfter(0)), WrongProtocol, ReasonProxyPreamble},
		{"the same after more than the line", arrived(lineProxyV1, answered(400), leftAfter(tailMore)), WrongProtocol, ReasonProxyPreamble},
		{"v2 addresses that were answered, and their sender left without more", arrived(proxyV2Addrs, answered(400), leftAfter(0)), ProxyProbe, NoReason},
		{"the same after more than those", arrived(append(bytes.Clone(proxyV2Addrs), "GET"...), answered(400), leftAfter(0)), WrongProtocol, ReasonProxyPreamble},
		{"a v1 line that was answered", arrived(lineProxyV1, answered(400)), WrongProtocol, ReasonProxyPreamble},
		{"a v2 header with addresses that was answered", arrived(proxyV2Addrs, answered(400)), WrongProtocol, ReasonProxyPreamble},
		{"PROXY v2 LOCAL and a byte after it", arrived(append(bytes.Clone(proxyV2Local), 'G'), answered(400)), WrongProtocol, ReasonProxyPreamble},
		{"a v1 line to a TLS port", arrived(lineProxyV1, failedTLS(tls.RecordHeaderError{})), WrongProtocol, ReasonProxyPreamble},
		{"HTTP/2 with prior knowledge", arrived(h2Start, answered(505)), WrongProtocol, ReasonH2Preface},
		{"HTTP/2 with prior knowledge that net/http took for a request", arrived(h2Start, byFIN), WrongProtocol, ReasonH2Preface},
		{"a ClientHello to a plain port", arrived(hello, answered(400)), WrongProtocol, ReasonTLSOnPlain},
		{"a ClientHello to a plain port, its sender gone first", arrived(hello, byRST), WrongProtocol, ReasonTLSOnPlain},
		{"a ClientHello to a plain port, never answered", arrived(hello, byTimeout), WrongProtocol, ReasonTLSOnPlain},
		{"plain HTTP to a TLS port", arrived(getApp, failedTLS(tls.RecordHeaderError{})), WrongProtocol, ReasonHTTPOnTLS},
		{"plain HTTP to a TLS port of which nobody told us", arrived(getApp, byFIN, func(f *facts) { f.tls, f.tlsUnknown = true, true }), WrongProtocol, ReasonHTTPOnTLS},
		{"an h2 preface in the clear to a TLS port", arrived(h2Start, failedTLS(tls.RecordHeaderError{})), WrongProtocol, ReasonHTTPOnTLS},

		// tls_failed
		{"the peer's alert: it refused the certificate", arrived(hello, failedTLS(errRemoteAlert)), TLSFailed, ReasonRefused},
		{"the peer's alert: protocol_version", arrived(hello, failedTLS(&net.OpError{Op: "remote error", Err: tls.AlertError(70)})), TLSFailed, ReasonVersion},
		{"a handshake cut by FIN", arrived(hello[:40], byFIN, failedTLS(io.ErrUnexpectedEOF)), TLSFailed, ReasonTruncated},
		{"a handshake cut between records", arrived(hello, failedTLS(io.EOF), byFIN), TLSFailed, ReasonTruncated},
		{"a handshake cut by RST", arrived(hello[:40], byRST, failedTLS(syscall.ECONNRESET)), TLSFailed, ReasonTruncated},
		{"a handshake that never went on", arrived(hello[:40], byTimeout, failedTLS(os.ErrDeadlineExceeded)), TLSFailed, ReasonTimeout},
		{"junk to a TLS port", arrived(junk, failedTLS(tls.RecordHeaderError{})), TLSFailed, ReasonAborted},
		{"a ClientHello that was never answered, with a TLS layer of which nobody told us", arrived(hello, byFIN, func(f *facts) { f.tls, f.tlsUnknown = true, true }), TLSFailed, ReasonTruncated},
		{"the same, ended by the server's timeout", arrived(hello[:40], byTimeout, func(f *facts) { f.tls, f.tlsUnknown = true, true }), TLSFailed, ReasonTimeout},
		{"a handshake that failed on a connection that is not watched", arrived(none, unseen, failedTLS(io.ErrUnexpectedEOF)), TLSFailed, ReasonTruncated},

		// bad_request
		{"half a head, then FIN", arrived(getApp[:20], byFIN), BadRequest, ReasonTruncated},
		{"half a head, then FIN, and net/http answers 400 all the same", arrived(getApp[:20], byFIN, answered(400)), BadRequest, ReasonTruncated},
		{"half a head, then RST", arrived(getApp[:20], byRST), BadRequest, ReasonTruncated},
		{"half a head until the timeout", arrived(getApp[:20], byTimeout), BadRequest, ReasonTimeout},
		{"half a head until the timeout, answered", arrived(getApp[:20], byTimeout, answered(408)), BadRequest, ReasonTimeout},
		{"not HTTP", arrived(junk, answered(400)), BadRequest, ReasonMalformed},
		{"not HTTP, and the peer left after the answer", arrived(junk, answered(400), func(f *facts) { f.readEnd = endEOF }), BadRequest, ReasonMalformed},
		{"no Host: refused for what the head says", arrived(getApp, answered(400), explained), BadRequest, ReasonRefused},
		{"417, 501, 505: refused for what the head says", arrived(getApp, answered(501)), BadRequest, ReasonRefused},
		{"a head that is too large", arrived(getApp, answered(431)), BadRequest, ReasonTooLarge},
		{"a body that is too large for a server that reads it before the head is judged", arrived(getApp, answered(413)), BadRequest, ReasonTooLarge},
		{"bytes inside TLS that were refused without telling anyone", arrived(hello, aboveIsTLS, active), BadRequest, ReasonUnknown},
		{"half a head inside TLS until the timeout", arrived(hello, aboveIsTLS, active, byTimeout), BadRequest, ReasonTimeout},
		{"bytes on a connection that is not watched", arrived(none, unseen, active), BadRequest, ReasonUnknown},
		{"refused by a listener below, which took the bytes", arrived(none, func(f *facts) { f.readEnd = endOther }), BadRequest, ReasonRefused},

		// server_closed
		{"silent, closed by the guard's drain", arrived(none, byServer, flagged(flagDrained)), ServerClosed, ReasonDrain},
		{"half a head, closed by the guard's drain", arrived(getApp[:20], byServer, flagged(flagDrained)), ServerClosed, ReasonDrain},
		{"handshaken, closed by the guard's drain", arrived(hello, aboveIsTLS, byServer, flagged(flagDrained)), ServerClosed, ReasonDrain},
		{"in the middle of a handshake, closed by the guard's drain", arrived(hello, failedTLS(net.ErrClosed), byServer, flagged(flagDrained)), ServerClosed, ReasonDrain},
		{"answered before it was asked: over a limit", arrived(none, answered(503), byServer), ServerClosed, ReasonLimit},
		{"silent, closed by the server", arrived(none, byServer), ServerClosed, ReasonShutdown},
		{"silent, closed by the server before it read", arrived(none), ServerClosed, ReasonShutdown},
		{"half a head, closed by the server without an answer", arrived(getApp[:20], byServer), ServerClosed, ReasonShutdown},
		{"silent on a TLS port, closed by the server", arrived(none, failedTLS(net.ErrClosed), byServer), ServerClosed, ReasonShutdown},
		{"handshaken, closed by the server", arrived(hello, aboveIsTLS, byServer), ServerClosed, ReasonShutdown},

		// idle_connect
		{"silent, the peer left after more than five seconds", arrived(none, byFIN, late), IdleConnect, NoReason},
		{"silent, reset after more than five seconds", arrived(none, byRST, late), IdleConnect, NoReason},
		{"silent until the server's timeout", arrived(none, byTimeout), IdleConnect, NoReason},
		{"handshaken, the peer left after more than five seconds", arrived(hello, aboveIsTLS, byFIN, late), IdleConnect, NoReason},
		{"handshaken until the server's timeout", arrived(hello, aboveIsTLS, byTimeout), IdleConnect, NoReason},
		{"silent on a TLS port until the server's timeout", arrived(none, failedTLS(os.ErrDeadlineExceeded), byTimeout), IdleConnect, NoReason},
		{"silent on a TLS port, the peer left after more than five seconds", arrived(none, failedTLS(io.EOF), byFIN, late), IdleConnect, NoReason},
		{"not watched, and as old as the server's timeout", arrived(none, unseen, func(f *facts) { f.timeout, f.age = time.Second, time.Second }), IdleConnect, NoReason},
		{"not watched, on a TLS port, until the server's timeout", arrived(none, unseen, failedTLS(os.ErrDeadlineExceeded)), IdleConnect, NoReason},

		// tls_probe
		{"handshaken and closed", arrived(hello, aboveIsTLS, byFIN), TLSProbe, NoReason},
		{"handshaken and reset", arrived(hello, aboveIsTLS, byRST), TLSProbe, NoReason},
		{"handshaken and closed after five seconds to the millisecond", arrived(hello, aboveIsTLS, byFIN, func(f *facts) { f.age = probeAge }), TLSProbe, NoReason},
		{"HTTP/2 negotiated, its preface sent, and closed", arrived(hello, aboveIsTLS, active, byFIN, func(f *facts) { f.h2 = true }), TLSProbe, NoReason},
		{"handshaken and closed on a connection that is not watched", arrived(none, unseen, aboveIsTLS), TLSProbe, NoReason},

		// tcp_probe
		{"FIN", arrived(none, byFIN), TCPProbe, NoReason},
		{"RST", arrived(none, byRST), TCPProbe, NoReason},
		{"FIN after five seconds to the millisecond", arrived(none, byFIN, func(f *facts) { f.age = probeAge }), TCPProbe, NoReason},
		{"FIN on a TLS port", arrived(none, failedTLS(io.EOF), byFIN), TCPProbe, NoReason},
		{"RST on a TLS port", arrived(none, failedTLS(&net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}), byRST), TCPProbe, NoReason},
		{"not watched", arrived(none, unseen), TCPProbe, NoReason},
		{"not watched, FIN on a TLS port", arrived(none, unseen, failedTLS(io.EOF)), TCPProbe, NoReason},
		{"not watched, RST on a TLS port", arrived(none, unseen, failedTLS(syscall.ECONNRESET)), TCPProbe, NoReason},

		// http, by what the server answered without calling anyone
		{"OPTIONS * that the server answered itself", arrived([]byte("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"), answered(200)), HTTP, NoReason},
	} {
		if class, reason := classify(row.f); class != row.class || reason != row.reason {
			t.Errorf("%s: %v/%v, want %v/%v", row.rule, class, reason, row.class, row.reason)
		}
	}
}

// Each class beats all that come after it in the table, whatever else is known.
func TestClassifyPrecedence(t *testing.T) {
	rows := []struct {
		flag  uint32
		class Class
	}{
		{flagPanic, HandlerPanic},
		{flagUpgradeFailed, UpgradeFailed},
		{flagSession, SessionEnded},
		{flagHijacked, Hijacked},
		{flagRefused, HandshakeRefused},
		{flagProbeFailing, ProbeFailing},
		{flagOrdinary, HTTP},
		{flagProbe, HTTPProbe},
	}
	hello := clientHello(t)
	transport := []facts{
		arrived(proxyV2Local, byFIN),
		arrived(lineProxyV1, answered(400)),
		arrived(hello, failedTLS(errRemoteAlert)),
		arrived(getApp[:9], byFIN, answered(400)),
		arrived(nil, byServer, flagged(flagDrained)),
		arrived(nil, byFIN, late),
		arrived(hello, aboveIsTLS, byFIN),
		arrived(nil, byFIN),
	}
	for i, row := range rows {
		for _, f := range transport {
			f.refused = ReasonBadKey
			for _, below := range rows[i:] {
				f.flags |= below.flag
			}
			if class, _ := classify(f); class != row.class {
				t.Errorf("%v and everything below it: %v (%+v)", row.class, class, f)
			}
		}
	}

	for _, row := range []struct {
		rule string
		f    facts
		want Class
	}{
		{"proxy_probe beats wrong_protocol: a preamble on a TLS port whose sender is gone",
			arrived(lineProxyV1, failedTLS(tls.RecordHeaderError{}), byFIN), ProxyProbe},
		{"wrong_protocol beats tls_failed: HTTP on a TLS port cut by FIN",
			arrived(getApp[:4], failedTLS(io.ErrUnexpectedEOF), byFIN), WrongProtocol},
		{"wrong_protocol beats bad_request: a ClientHello that was answered 400",
			arrived(hello, answered(400)), WrongProtocol},
		{"wrong_protocol beats idle_connect: a preface that waits for the timeout",
			arrived(h2Start, byTimeout, late), WrongProtocol},
		{"tls_failed beats idle_connect: half a hello, and the peer leaves late",
			arrived(hello[:40], failedTLS(io.ErrUnexpectedEOF), byFIN, late), TLSFailed},
		{"bad_request beats server_closed: answered, then closed by the server",
			arrived(getApp[:9], answered(400), byServer), BadRequest},
		{"bad_request beats idle_connect: half a head, and the peer leaves late",
			arrived(getApp[:9], byFIN, late), BadRequest},
		{"bad_request beats tls_probe: bytes inside TLS",
			arrived(hello, aboveIsTLS, active, byFIN), BadRequest},
		{"server_closed beats idle_connect: silent for long, closed by the server",
			arrived(nil, byServer, late), ServerClosed},
		{"idle_connect beats tls_probe", arrived(hello, aboveIsTLS, byFIN, late), IdleConnect},
		{"idle_connect beats tcp_probe", arrived(nil, byFIN, late), IdleConnect},
		{"tls_probe beats tcp_probe: handshaken, the peer left before anything else",
			arrived(hello, aboveIsTLS, byFIN), TLSProbe},
		// The drain closes what stands about, in whatever state it is; that
		// it did so is then what the connection was.
		{"the drain's own close beats what else the bytes were", arrived(getApp[:9], byServer, flagged(flagDrained)), ServerClosed},
	} {
		if class, _ := classify(row.f); class != row.want {
			t.Errorf("%s: %v, want %v", row.rule, class, row.want)
		}
	}
}

// Whatever the offset at which a sender is cut off on a plain port: with its
// signature whole it is known, before that it is a truncated request.
func TestClassifyEveryPrefix(t *testing.T) {
	ends := []struct {
		name   string
		end    func(*facts)
		peer   bool
		reason Reason
		none   Class
	}{
		{"FIN", byFIN, true, ReasonTruncated, TCPProbe},
		{"RST", byRST, true, ReasonTruncated, TCPProbe},
		{"timeout", byTimeout, false, ReasonTimeout, IdleConnect},
	}
	for _, row := range []struct {
		name  string
		bytes []byte
		whole int // bytes of the signature
		class Class
		why   Reason
	}{
		{"PROXY v1", lineProxyV1, 6, ProxyProbe, NoReason},
		{"PROXY v2 with addresses", proxyV2Addrs, 12, ProxyProbe, NoReason},
		{"PROXY v2 LOCAL", proxyV2Local, 12, ProxyProbe, NoReason},
		{"ClientHello", clientHello(t), 3, WrongProtocol, ReasonTLSOnPlain},
		{"h2 preface", h2Start, 14, WrongProtocol, ReasonH2Preface},
		{"GET", getApp, len(getApp), HTTP, NoReason},
		{"a health request", getHealth, len(getHealth), HTTPProbe, NoReason},
	} {
		request := row.class == HTTP || row.class == HTTPProbe
		for n := range len(row.bytes) + 1 {
			if request && n == row.whole {
				break // then it is a request
			}
			for _, end := range ends {
				class, reason := BadRequest, end.reason
				switch {
				case n == 0:
					class, reason = end.none, NoReason
				case n < row.whole:
				case row.class != ProxyProbe, end.peer, bytes.Equal(row.bytes[:n], proxyV2Local):
					class, reason = row.class, row.why
				default: // the sender is still there
					class, reason = WrongProtocol, ReasonProxyPreamble
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

// What nearly looks like another protocol is a malformed request.
func TestClassifyNearMisses(t *testing.T) {
	for _, head := range []string{
		"PROXY", "PROXY\tTCP4 ", "proxy TCP4 1.2.", "PROXYTCP4 1.2.3.",
		"\r\n\r\n\x00\r\nQUIT\r", "\r\n\r\n\x00\r\nquit\n\x20\x00\x00\x00",
		"PRI * HTTP/1.1\r\n", "PRI / HTTP/2.0\r\n", "pri * HTTP/2.0\r\n", "PRI * HTTP/2",
		"\x16", "\x16\x03", "\x16\x02\x01\x00\x20", "\x16\x03\x05\x00\x20", "\x15\x03\x01\x00\x02", "\x17\x03\x03\x00\x20",
		"\x80\x2e\x01\x03\x01", // SSL 2.0
	} {
		class, reason := classify(arrived([]byte(head), answered(400)))
		if class != BadRequest || reason != ReasonMalformed {
			t.Errorf("%q, answered 400: %v/%v, want bad_request/malformed", head, class, reason)
		}
	}
	for _, head := range []string{"GET", "GE /", "get / HTTP/1.1", "G3T / HTTP/1.1", " GET / HTTP/1.1", "M-SEARCH * HTTP/1.1", "\x16\x03\x01 / HTTP/1"} {
		class, reason := classify(arrived([]byte(head), failedTLS(tls.RecordHeaderError{})))
		if class != TLSFailed || reason != ReasonAborted {
			t.Errorf("%q to a TLS port: %v/%v, want tls_failed/aborted", head, class, reason)
		}
	}
	for _, head := range []string{"GET / HTTP/1.1\r\n", "OPTIONS * HTTP/1", "PROPFIND /a HTTP", "CONNECT a:443 HT"} {
		if class, reason := classify(arrived([]byte(head), failedTLS(tls.RecordHeaderError{}))); class != WrongProtocol || reason != ReasonHTTPOnTLS {
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

// belongs reports whether r is a reason that a connection of class c can have: those
// of an upgrade that failed are its request's.
func belongs(c Class, r Reason) bool {
	if all := c.Reasons(); c != UpgradeFailed && all != nil {
		return slices.Contains(all, r)
	}
	return r == NoReason
}

// FuzzClassify: whatever is known of a connection, it ends in exactly one class
// with a reason that the class can have, and a request is never forgotten.
func FuzzClassify(f *testing.F) {
	for _, head := range [][]byte{nil, lineProxyV1, proxyV2Local, proxyV2Addrs, h2Start, getApp, getHealth, []byte("\x16\x03\x01")} {
		for end := range byte(endOther + 1) {
			f.Add(head, uint32(0), uint32(0), end, byte(1), byte(0), uint16(0), uint16(1000))
			f.Add(head, flagPeerFirst, uint32(400), end, byte(1), byte(0), uint16(40), uint16(1000))
			f.Add(head, flagActive, uint32(answerTLS), end, byte(3), end, uint16(40), uint16(7000))
		}
	}
	refusals := HandshakeRefused.Reasons()
	f.Fuzz(func(t *testing.T, head []byte, flags, answer uint32, end, bits, tlsErr byte, out, age uint16) {
		x := facts{
			flags: flags, refused: refusals[int(tlsErr)%len(refusals)],
			head: head[:min(len(head), headSize)], in: int64(len(head)), out: int64(out),
			seen: bits&1 != 0, tls: bits&2 != 0, tlsUnknown: bits&6 == 6, h2: bits&8 != 0, expectProxy: bits&16 != 0,
			answer: answer, readEnd: endKind(end) % (endOther + 1), age: time.Duration(age) * time.Millisecond,
		}
		if !x.seen { // then no byte is, and the server's timeout is known
			x.head, x.in, x.out, x.timeout = nil, 0, 0, time.Duration(bits>>5)*time.Second
		}
		if x.tls && !x.tlsUnknown {
			x.tlsErr = tlsErrors[int(tlsErr)%len(tlsErrors)]
			x.tlsVersion = out % 2 * tls.VersionTLS13
		}
		class, reason := classify(x)
		if !slices.Contains(Classes(), class) || !belongs(class, reason) {
			t.Fatalf("%v with reason %q: %+v", class, reason, x)
		}
		if x.flags&flagsRequest != 0 && class > HTTPProbe || x.flags&flagsRequest == 0 && class <= HTTPProbe && class != HTTP && (class != Hijacked || x.tls || x.status() != 101) {
			t.Fatalf("%v for a connection with request flags %b", class, x.flags&flagsRequest)
		}
		if class == TCPProbe && (x.in > 0 || x.age > probeAge) {
			t.Fatalf("a connection with %d bytes, gone after %v, is a tcp_probe", x.in, x.age)
		}
		if class.Probe() && class > HTTPProbe && x.is(flagDrained) {
			t.Fatalf("what the drain closed is a %v", class)
		}
	})
}

func TestIsHTTPWantsARequestLine(t *testing.T) {
	for head, want := range map[string]bool{
		"GET /": true, "HEAD ": true, "ABCDEFGHIJKLMNOP": false, "GET": false, "": false, " ": false, "AB ": false, "ABC ": true, "ABc ": false,
	} {
		if isHTTP([]byte(head)) != want {
			t.Errorf("isHTTP(%q) = %v", head, !want)
		}
	}
	if isHTTP([]byte(strings.Repeat("A", headSize))) {
		t.Error("sixteen letters without a space are no request line yet")
	}
}
