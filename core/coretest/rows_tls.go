package coretest

import (
	"context"
	stdtls "crypto/tls"
	"crypto/x509"
	"log/slog"
	"time"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/probetest"
)

// attached are the layers on which the guard sees connections from start to end.
var attached = []Layer{Serve, AttachListener, Attach}

// exactly are the layers on which the guard sees every byte.
var exactly = []Layer{Serve, AttachListener}

// The time limits for a head, in rows that never send it.
const (
	silence = 300 * time.Millisecond
	// patientSilence is for rows with a TLS handshake, which takes long on a busy
	// machine.
	patientSilence = time.Second
)

// tlsRows: failures of TLS. Typed errors decide them, so Attach alone knows them too.
func tlsRows() []row {
	failed := func(r event.Reason, level slog.Level) Want {
		return Want{Class: event.TLSFailed, Reason: r, Logged: LogFull, Level: level}
	}
	tls := func(name, rule, does string, w Want) fact {
		return fact{row: row{name: "tls/" + name, rule: rule, ports: secure, layers: attached}, does: does, want: w}
	}
	wrong := Want{Class: event.WrongProtocol, Reason: event.ReasonHTTPOnTLS, Logged: LogFull, Level: slog.LevelWarn, Status: 400} // in plain text
	cutSilent := tls("hello cut, silence", "a handshake whose rest never comes timed out", "tls-hello-cut-silent", failed(event.ReasonTimeout, slog.LevelInfo))
	cutSilent.headTimeout, cutSilent.atOnce = silence, 2
	idle := tls("handshake, silence", "a handshake and silence until the server's limit is not a probe: idle_connect, once", "tls-handshake-silent",
		Want{Class: event.IdleConnect, Logged: LogFull, Level: slog.LevelInfo})
	idle.headTimeout, idle.atOnce = patientSilence, 2
	onTLS := tls("http on tls", "plain HTTP to the TLS port is named", "http-on-tls", wrong)
	cutRST := tls("hello cut, rst", "a handshake cut short by RST is truncated", "tls-hello-cut-rst", failed(event.ReasonTruncated, slog.LevelInfo))
	withCA := func(_ *env, c *stdtls.Config) {
		c.ClientAuth, c.ClientCAs = stdtls.RequireAndVerifyClientCert, x509.NewCertPool()
	}
	certificate := func(name, rule string, version uint16, present bool) fact {
		f := tls(name, rule, "", failed(event.ReasonClientCertificate, slog.LevelWarn))
		f.tls = nil
		f.row.tls = withCA
		f.do = func(ctx context.Context, t probetest.Target) (probetest.Result, error) {
			t.TLS = t.TLS.Clone()
			t.TLS.MaxVersion = version
			if present {
				own, _, err := probetest.Certificate()
				if err != nil {
					return probetest.Result{}, err
				}
				t.TLS.GetClientCertificate = func(*stdtls.CertificateRequestInfo) (*stdtls.Certificate, error) { return &own, nil }
			}
			_, _ = probetest.Do(ctx, t, probetest.PlainGet("/app")) // in TLS 1.3 the server refuses after the handshake
			return probetest.Result{}, nil
		}
		return f
	}
	aborted := tls("random bytes", "bytes that are not TLS are aborted, not a certificate problem", "", failed(event.ReasonAborted, slog.LevelInfo))
	aborted.do = func(ctx context.Context, t probetest.Target) (probetest.Result, error) {
		return probetest.SendTCP(ctx, t, []byte("\xff\xfe\xfd\xfc and so on, and so on"), probetest.HalfClose)
	}
	return asRows([]fact{
		tls("certificate refused", "a client that does not trust the certificate is an operator's problem: Warn", "tls-certificate-refused", failed(event.ReasonRefused, slog.LevelWarn)),
		tls("no common version", "no TLS version in common: Warn", "tls-no-common-version", failed(event.ReasonVersion, slog.LevelWarn)),
		tls("no common cipher", "every other broken handshake is aborted: crypto/tls has only a text for its cause", "tls-no-common-cipher", failed(event.ReasonAborted, slog.LevelInfo)),
		tls("hello cut, fin", "a handshake cut short by FIN is truncated", "tls-hello-cut-fin", failed(event.ReasonTruncated, slog.LevelInfo)),
		certificate("no client certificate", "a client without the certificate that the server asks for is an operator's problem, from any address: Warn, as in the opposite case", stdtls.VersionTLS13, false),
		certificate("no client certificate, TLS 1.2", "the same over TLS 1.2", stdtls.VersionTLS12, false),
		certificate("client certificate refused", "the same for a certificate that the server does not trust", stdtls.VersionTLS13, true),
		aborted, cutRST, cutSilent, idle, onTLS,
	})
}

// junkRows: bytes that are not a request, or one that the server refuses itself. The guard
// cannot see bytes inside TLS.
func junkRows() []row {
	bad := func(r event.Reason, status int) Want {
		return Want{Class: event.BadRequest, Reason: r, Logged: LogFull, Level: slog.LevelInfo, Status: status}
	}
	junk := func(name, rule, does string, w Want) fact {
		f := fact{row: row{name: "junk/" + name, rule: rule, layers: attached}, does: does, want: w}
		if w.Class == event.BadRequest {
			f.needs = WhyUnread
		}
		return f
	}
	timeout := junk("request cut, silence", "a request whose rest never comes timed out", "request-cut-silent", bad(event.ReasonTimeout, 0))
	timeout.headTimeout, timeout.atOnce, timeout.needs = patientSilence, 2, 0 // the server's timeout is seen
	preface := junk("h2 preface", "HTTP/2 with prior knowledge to an HTTP/1 port is logged at Warn, because the proxy gets no answer",
		"h2-preface", Want{Class: event.WrongProtocol, Reason: event.ReasonH2Preface, Logged: LogFull, Level: slog.LevelWarn, Status: unsaid})
	onPlain := junk("tls on plain", "a ClientHello to a plain port is named", "tls-on-plain",
		Want{Class: event.WrongProtocol, Reason: event.ReasonTLSOnPlain, Logged: LogFull, Level: slog.LevelWarn, Status: 400, Answer: unsaid})
	onPlain.ports, onPlain.layers = plain, exactly
	http := func(name, rule, does string) fact { return junk(name, rule, does, Want{Class: event.HTTP}) }
	rows := []fact{
		junk("random bytes", "bytes that are not HTTP are malformed", "junk-random", bad(event.ReasonMalformed, 400)),
		junk("request cut, fin", "half a request is not the same as none", "request-cut-fin", bad(event.ReasonTruncated, unsaid)),
		junk("request cut, half-close", "the same if the peer still reads", "request-cut-half-close", bad(event.ReasonTruncated, 400)),
		junk("request cut, rst", "the same if the peer resets", "request-cut-rst", bad(event.ReasonTruncated, unsaid)),
		timeout,
		junk("huge header", "a head that is too large is named", "junk-huge-header", bad(event.ReasonTooLarge, 431)),
		junk("nul", "a NUL in a field is malformed", "junk-nul", bad(event.ReasonMalformed, 400)),
		junk("bad host", "an invalid Host is refused", "junk-bad-host", bad(event.ReasonRefused, 400)),
		junk("two hosts", "two Hosts are refused; for net/http they are malformed", "junk-two-hosts", bad(event.ReasonMalformed, 400)),
		junk("no host", "HTTP/1.1 without Host is refused", "junk-no-host", bad(event.ReasonRefused, 400)),
		junk("transfer encoding", "an unknown transfer coding is refused", "junk-transfer-encoding", bad(event.ReasonRefused, 501)),
		junk("expect", "an unknown expectation is refused", "junk-expect", bad(event.ReasonRefused, 417)),
		junk("http 3", "a version that HTTP/1 does not have is refused", "junk-http-3-0", bad(event.ReasonRefused, 505)),
		junk("http 0.9", "a request line without a version is malformed", "junk-http-0-9", bad(event.ReasonMalformed, 400)),
		preface, onPlain,
		http("many fields", "10,000 fields within the server's limit are an ordinary request", "junk-many-fields"),
		http("method", "the application answers an unknown method", "junk-method"),
		junk("options star", "OPTIONS *, one of HAProxy's checks, gets a good answer and is a probe", "options-star",
			Want{Class: event.HTTPProbe, Logged: LogOnce, Status: 200}),
	}
	for _, p := range []struct{ name, does string }{{"proxy v1, request", "proxy-v1-request"}, {"proxy v2, request", "proxy-v2-request"}} {
		f := junk(p.name, "an unexpected PROXY preamble before a request is logged with its remedy", p.does,
			Want{Class: event.WrongProtocol, Reason: event.ReasonProxyPreamble, Logged: LogFull, Level: slog.LevelWarn, Status: 400})
		f.layers = exactly
		underTLS := f.want
		underTLS.Status = 0
		f.tls = &underTLS
		rows = append(rows, f)
	}
	return asRows(rows)
}
