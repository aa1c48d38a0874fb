package core

import (
	"fmt"
	"strings"
	"testing"
)

// Every pair that is told at Warn or Error has a remedy: an operator who is
// alarmed is also told what to do.
func TestRemedyForEveryWarning(t *testing.T) {
	for c, rs := range map[Class][]Reason{
		UpgradeFailed: {NoReason, ReasonServerError, ReasonHijackFailed, ReasonNothingWritten, ReasonStatusUnknown},
		HandshakeRefused: {
			ReasonSaturated, ReasonNoRoute, ReasonUpgradeStripped, ReasonHTTP2, ReasonHTTP10, ReasonBadMethod, ReasonNotUpgrade,
			ReasonBadVersion, ReasonMissingKey, ReasonDuplicateKey, ReasonBadKey, ReasonOriginForbidden, ReasonApplication,
		},
		ProbeFailing:  {NoReason},
		WrongProtocol: {ReasonTLSOnPlain, ReasonHTTPOnTLS, ReasonH2Preface, ReasonProxyPreamble},
		TLSFailed:     {ReasonRefused, ReasonVersion},
		ServerClosed:  {ReasonLimit},
		// At Info, and still worth a word.
		BadRequest:  {ReasonTruncated, ReasonMalformed, ReasonTooLarge, ReasonRefused, ReasonTimeout, ReasonUnknown},
		IdleConnect: {NoReason, ReasonTimeout},
	} {
		for _, r := range rs {
			if remedy(c, r, "") == "" {
				t.Errorf("%s/%s has no remedy", c, r)
			}
		}
	}
	for _, r := range []Reason{ReasonTruncated, ReasonAborted, ReasonTimeout} {
		if remedy(TLSFailed, r, "") == "" {
			t.Errorf("%s/%s has no remedy", TLSFailed, r)
		}
	}
}

func TestNoRemedyWhereNothingIsToBeMended(t *testing.T) {
	for _, p := range []struct {
		rule   string
		class  Class
		reason Reason
	}{
		{"a drain is meant", HandshakeRefused, ReasonDraining},
		{"a drain is meant", ServerClosed, ReasonDrain},
		{"a shutdown is meant", ServerClosed, ReasonShutdown},
		{"the stack says it", HandlerPanic, NoReason},
		{"an end is no failure", SessionEnded, NoReason},
		{"not ours", Hijacked, NoReason},
		{"a request is no failure", HTTP, NoReason},
		{"a probe is no failure", HTTPProbe, NoReason},
		{"a probe is no failure", ProxyProbe, NoReason},
		{"a probe is no failure", TLSProbe, NoReason},
		{"a probe is no failure", TCPProbe, NoReason},
		{"nothing has happened", Undecided, NoReason},
		{"a reason of another class", TLSFailed, ReasonSaturated},
		{"no class", Class(classCount), NoReason},
	} {
		if got := remedy(p.class, p.reason, "kubelet"); got != "" {
			t.Errorf("%s: %s/%s: %q", p.rule, p.class, p.reason, got)
		}
	}
}

// A remedy is one bounded line, whatever is asked for, and the prober's name
// never gets into it.
func TestRemedyIsOneBoundedLine(t *testing.T) {
	names := append(Probers(), "", "configured", "unknown", "x\ny")
	for c := Undecided; int(c) <= classCount; c++ {
		for r := NoReason; int(r) <= reasonCount; r++ {
			for _, name := range names {
				got := remedy(c, r, name)
				if len(got) > 400 || strings.ContainsAny(got, "\n\r\t\x00") || strings.TrimSpace(got) != got {
					t.Errorf("%s/%s/%q: %d bytes: %q", c, r, name, len(got), got)
				}
				if c != ProbeFailing && got != remedy(c, r, "") {
					t.Errorf("%s/%s depends on the prober", c, r)
				}
			}
		}
	}
}

// The lines without which the remedy would not mend it.
func TestRemedyNamesTheLine(t *testing.T) {
	for _, p := range []struct {
		class  Class
		reason Reason
		lines  []string
	}{
		{HandshakeRefused, ReasonUpgradeStripped, []string{
			"proxy_http_version 1.1;", "proxy_set_header Upgrade $http_upgrade;", `proxy_set_header Connection "upgrade";`,
			"proxy_set_header Host $http_host;", "upgrade=websocket",
		}},
		{HandshakeRefused, ReasonHTTP10, []string{"proxy_http_version 1.1;", "proxy_set_header Host $http_host;"}},
		{HandshakeRefused, ReasonOriginForbidden, []string{"OriginPatterns", "proxy_set_header Host $http_host;"}},
		{HandshakeRefused, ReasonSaturated, []string{"Config.MaxSessions"}},
		{HandshakeRefused, ReasonNotUpgrade, []string{"/readyz", "Config.ProbePaths"}},
		{WrongProtocol, ReasonH2Preface, []string{"proto h2", "http2_protocol_options", "grpc_pass", "Cloud Run"}},
		{WrongProtocol, ReasonProxyPreamble, []string{"send-proxy", "tls(guard(proxyproto(ln)))"}},
		{TLSFailed, ReasonRefused, []string{"does not trust the certificate"}},
		{IdleConnect, NoReason, []string{"MTU", "spare connection", "slow"}},
		{ProbeFailing, NoReason, []string{"/readyz", "Config.ProbePaths"}},
	} {
		got := remedy(p.class, p.reason, "")
		for _, line := range p.lines {
			if !strings.Contains(got, line) {
				t.Errorf("%s/%s does not say %q: %q", p.class, p.reason, line, got)
			}
		}
	}
}

func TestRemedyForAProberSaysWhereItsPathIsSet(t *testing.T) {
	known := map[string]bool{}
	for _, name := range Probers() {
		known[name] = true
	}
	for name, where := range probePaths {
		if !known[name] {
			t.Errorf("%q is no prober", name)
		}
		if got := remedy(ProbeFailing, NoReason, name); !strings.HasSuffix(got, where) || !strings.HasPrefix(got, failingRemedy) {
			t.Errorf("%s: %q", name, got)
		}
		if !strings.Contains(where, "/readyz") {
			t.Errorf("%s: no path in %q", name, where)
		}
	}
	if got := remedy(ProbeFailing, NoReason, "configured"); got != failingRemedy {
		t.Errorf("an unnamed prober: %q", got)
	}
}

func TestProbeHint(t *testing.T) {
	for c := Undecided; int(c) <= classCount; c++ {
		got, want := probeHint(c), c == TCPProbe || c == TLSProbe
		if (got != "") != want || want && !strings.Contains(got, "GET /readyz") {
			t.Errorf("%s: %q", c, got)
		}
	}
}

func Example_remedy() {
	fmt.Println(remedy(ProbeFailing, NoReason, "haproxy"))
	// Output: point the probe at /readyz, or add the path it asks to Config.ProbePaths; backend: option httpchk GET /readyz
}
