package remedy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/prober"
)

// Every pair that is logged at Warn or Error has a remedy: a warning also says what to
// do.
func TestRemedyForEveryWarning(t *testing.T) {
	for c, rs := range map[event.Class][]event.Reason{
		event.UpgradeFailed: {event.NoReason, event.ReasonServerError, event.ReasonHijackFailed, event.ReasonNothingWritten, event.ReasonStatusUnknown},
		event.HandshakeRefused: {
			event.ReasonSaturated, event.ReasonNoRoute, event.ReasonUpgradeStripped, event.ReasonHTTP2, event.ReasonHTTP10, event.ReasonBadMethod, event.ReasonNotUpgrade,
			event.ReasonBadVersion, event.ReasonMissingKey, event.ReasonDuplicateKey, event.ReasonBadKey, event.ReasonOriginForbidden, event.ReasonApplication,
		},
		event.ProbeFailing:  {event.NoReason},
		event.WrongProtocol: {event.ReasonTLSOnPlain, event.ReasonHTTPOnTLS, event.ReasonH2Preface, event.ReasonProxyPreamble},
		event.TLSFailed:     {event.ReasonRefused, event.ReasonVersion},
		event.ServerClosed:  {event.ReasonLimit},
		// At Info, and still worth a remedy.
		event.BadRequest:  {event.ReasonTruncated, event.ReasonMalformed, event.ReasonTooLarge, event.ReasonRefused, event.ReasonTimeout, event.ReasonUnknown},
		event.IdleConnect: {event.NoReason, event.ReasonTimeout},
	} {
		for _, r := range rs {
			if For(c, r, "") == "" {
				t.Errorf("%s/%s has no remedy", c, r)
			}
		}
	}
	for _, r := range []event.Reason{event.ReasonTruncated, event.ReasonAborted, event.ReasonTimeout} {
		if For(event.TLSFailed, r, "") == "" {
			t.Errorf("%s/%s has no remedy", event.TLSFailed, r)
		}
	}
}

func TestNoRemedyIfThereIsNothingToFix(t *testing.T) {
	for _, p := range []struct {
		rule   string
		class  event.Class
		reason event.Reason
	}{
		{"a drain is intended", event.HandshakeRefused, event.ReasonDraining},
		{"a drain is intended", event.ServerClosed, event.ReasonDrain},
		{"a shutdown is intended", event.ServerClosed, event.ReasonShutdown},
		{"the stack says it", event.HandlerPanic, event.NoReason},
		{"an end is no failure", event.SessionEnded, event.NoReason},
		{"not ours", event.Hijacked, event.NoReason},
		{"a request is no failure", event.HTTP, event.NoReason},
		{"a probe is no failure", event.HTTPProbe, event.NoReason},
		{"a probe is no failure", event.ProxyProbe, event.NoReason},
		{"a probe is no failure", event.TLSProbe, event.NoReason},
		{"a probe is no failure", event.TCPProbe, event.NoReason},
		{"nothing has happened", event.Undecided, event.NoReason},
		{"a reason of another class", event.TLSFailed, event.ReasonSaturated},
		{"no class", event.Class(99), event.NoReason},
	} {
		if got := For(p.class, p.reason, "kubelet"); got != "" {
			t.Errorf("%s: %s/%s: %q", p.rule, p.class, p.reason, got)
		}
	}
}

// A remedy is one bounded line for any arguments, and never contains the prober's name as
// it was given.
func TestRemedyIsOneBoundedLine(t *testing.T) {
	names := append(prober.Names(), "", "configured", "unknown", "x\ny")
	for _, c := range append(event.Classes(), event.Undecided, 99) {
		for r := event.NoReason; r <= event.ReasonShutdown+1; r++ {
			for _, name := range names {
				got := For(c, r, name)
				if len(got) > 400 || strings.ContainsAny(got, "\n\r\t\x00") || strings.TrimSpace(got) != got {
					t.Errorf("%s/%s/%q: %d bytes: %q", c, r, name, len(got), got)
				}
				if c != event.ProbeFailing && got != For(c, r, "") {
					t.Errorf("%s/%s depends on the prober", c, r)
				}
			}
		}
	}
}

// The lines of configuration without which the remedy would not work.
func TestRemedyNamesTheLine(t *testing.T) {
	for _, p := range []struct {
		class  event.Class
		reason event.Reason
		lines  []string
	}{
		{event.HandshakeRefused, event.ReasonUpgradeStripped, []string{
			"proxy_http_version 1.1;", "proxy_set_header Upgrade $http_upgrade;", `proxy_set_header Connection "upgrade";`,
			"proxy_set_header Host $http_host;", "upgrade=websocket",
		}},
		{event.HandshakeRefused, event.ReasonHTTP10, []string{"proxy_http_version 1.1;", "proxy_set_header Host $http_host;"}},
		{event.HandshakeRefused, event.ReasonOriginForbidden, []string{"OriginPatterns", "proxy_set_header Host $http_host;"}},
		{event.HandshakeRefused, event.ReasonSaturated, []string{"Config.MaxSessions"}},
		{event.HandshakeRefused, event.ReasonNotUpgrade, []string{"/readyz", "Config.ProbePaths"}},
		{event.WrongProtocol, event.ReasonH2Preface, []string{"proto h2", "http2_protocol_options", "grpc_pass", "Cloud Run"}},
		{event.WrongProtocol, event.ReasonProxyPreamble, []string{"send-proxy", "tls(guard(proxyproto(ln)))"}},
		{event.TLSFailed, event.ReasonRefused, []string{"does not trust the certificate"}},
		{event.IdleConnect, event.NoReason, []string{"MTU", "spare connection", "slow"}},
		{event.ProbeFailing, event.NoReason, []string{"/readyz", "Config.ProbePaths"}},
	} {
		got := For(p.class, p.reason, "")
		for _, line := range p.lines {
			if !strings.Contains(got, line) {
				t.Errorf("%s/%s does not say %q: %q", p.class, p.reason, line, got)
			}
		}
	}
}

func TestRemedyForAProberSaysWhereItsPathIsSet(t *testing.T) {
	known := map[string]bool{}
	for _, name := range prober.Names() {
		known[name] = true
	}
	for name, where := range probePaths {
		if !known[name] {
			t.Errorf("%q is no prober", name)
		}
		if got := For(event.ProbeFailing, event.NoReason, name); !strings.HasSuffix(got, where) || !strings.HasPrefix(got, failing) {
			t.Errorf("%s: %q", name, got)
		}
		if !strings.Contains(where, "/readyz") {
			t.Errorf("%s: no path in %q", name, where)
		}
	}
	if got := For(event.ProbeFailing, event.NoReason, "configured"); got != failing {
		t.Errorf("an unnamed prober: %q", got)
	}
}

func TestProbeHint(t *testing.T) {
	for _, c := range append(event.Classes(), event.Undecided, 99) {
		got, want := ForProbe(c), c == event.TCPProbe || c == event.TLSProbe
		if (got != "") != want || want && !strings.Contains(got, "GET /readyz") {
			t.Errorf("%s: %q", c, got)
		}
	}
}

func Example_remedy() {
	fmt.Println(For(event.ProbeFailing, event.NoReason, "haproxy"))
	// Output: point the probe at /readyz, or add the path it asks to Config.ProbePaths; backend: option httpchk GET /readyz
}
