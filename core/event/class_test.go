package event

import (
	"encoding/json"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// classTable has the words of the closed set, in the order of the decision. They are
// public API: log attribute and metric label.
var classTable = []struct {
	class   Class
	word    string
	probe   bool
	reasons []Reason
}{
	{HandlerPanic, "handler_panic", false, nil},
	{UpgradeFailed, "upgrade_failed", false, []Reason{ReasonServerError, ReasonHijackFailed, ReasonNothingWritten, ReasonStatusUnknown}},
	{SessionEnded, "session", false, nil},
	{Hijacked, "hijacked", false, nil},
	{HandshakeRefused, "handshake_refused", false, refusalReasons},
	{ProbeFailing, "probe_failing", false, nil},
	{HTTP, "http", false, nil},
	{HTTPProbe, "http_probe", true, nil},
	{ProxyProbe, "proxy_probe", true, nil},
	{WrongProtocol, "wrong_protocol", false, []Reason{ReasonTLSOnPlain, ReasonHTTPOnTLS, ReasonH2Preface, ReasonProxyPreamble}},
	{TLSFailed, "tls_failed", false, []Reason{ReasonRefused, ReasonClientCertificate, ReasonVersion, ReasonTruncated, ReasonAborted, ReasonTimeout}},
	{BadRequest, "bad_request", false, []Reason{ReasonRefused, ReasonTruncated, ReasonTimeout, ReasonMalformed, ReasonTooLarge, ReasonUnknown}},
	{ServerClosed, "server_closed", false, []Reason{ReasonDrain, ReasonLimit, ReasonShutdown}},
	{IdleConnect, "idle_connect", false, nil},
	{TLSProbe, "tls_probe", true, nil},
	{TCPProbe, "tcp_probe", true, nil},
}

// refusalReasons are the reasons of a refused handshake, in the order in which they are
// checked.
var refusalReasons = []Reason{
	ReasonDraining, ReasonSaturated, ReasonNoRoute, ReasonUpgradeStripped, ReasonHTTP2, ReasonHTTP10, ReasonBadMethod,
	ReasonNotUpgrade, ReasonBadVersion, ReasonMissingKey, ReasonDuplicateKey, ReasonBadKey, ReasonOriginForbidden, ReasonApplication,
}

func TestClassWords(t *testing.T) {
	all := Classes()
	if len(all) != len(classTable) {
		t.Fatalf("Classes() has %d classes, the table %d", len(all), len(classTable))
	}
	seen := make(map[string]bool)
	for i, row := range classTable {
		if all[i] != row.class {
			t.Errorf("Classes()[%d] is %v, want %v: the most significant first", i, all[i], row.class)
		}
		if got := row.class.String(); got != row.word {
			t.Errorf("class %d is called %q, want %q", row.class, got, row.word)
		}
		if seen[row.word] {
			t.Errorf("%q names two classes", row.word)
		}
		seen[row.word] = true
		if got := row.class.Reasons(); !slices.Equal(got, row.reasons) {
			t.Errorf("%v has the reasons %v, want %v", row.class, got, row.reasons)
		}
		if row.class.Probe() != row.probe {
			t.Errorf("%v.Probe() = %v", row.class, !row.probe)
		}
	}
	for _, c := range []Class{Undecided, classes, 255} {
		if c.String() != "undecided" || slices.Contains(all, c) || c.Probe() {
			t.Errorf("Class(%d) is %q; a value outside the set is undecided, no probe and not among Classes", c, c)
		}
	}
	all[0] = Undecided
	if Classes()[0] != HandlerPanic {
		t.Error("a change to what Classes returned changed what it returns next")
	}
}

func TestReasonWords(t *testing.T) {
	want := strings.Fields(`draining saturated no_route upgrade_stripped http_2 http_1_0 bad_method not_upgrade bad_version
		missing_key duplicate_key bad_key origin_forbidden application
		server_error hijack_failed nothing_written status_unknown
		tls_on_plain http_on_tls h2_preface proxy_preamble
		refused client_certificate version truncated aborted timeout malformed too_large unknown
		drain limit shutdown`)
	if int(reasons)-1 != len(want) {
		t.Fatalf("there are %d reasons, want %d", reasons-1, len(want))
	}
	seen := make(map[string]bool)
	for i, word := range want {
		r := Reason(i + 1)
		if r.String() != word {
			t.Errorf("Reason(%d) is called %q, want %q", r, r, word)
		}
		if seen[word] {
			t.Errorf("%q names two reasons", word)
		}
		seen[word] = true
	}
	for i, r := range refusalReasons {
		if int(r) != i+1 {
			t.Errorf("%v is Reason(%d), want %d: refusal reasons are numbered in the order of the look-up", r, r, i+1)
		}
	}
	for _, r := range []Reason{NoReason, reasons, 255} {
		if r.String() != "" {
			t.Errorf("Reason(%d) is called %q, want nothing", r, r)
		}
	}
}

func TestWordsInJSON(t *testing.T) {
	type words struct {
		Class  Class
		Reason Reason
		Counts map[Class]uint64
	}
	in := words{HandshakeRefused, ReasonBadKey, map[Class]uint64{TCPProbe: 3}}
	const want = `{"Class":"handshake_refused","Reason":"bad_key","Counts":{"tcp_probe":3}}`
	text, err := json.Marshal(in)
	if err != nil || string(text) != want {
		t.Fatalf("%s, %v, want %s", text, err, want)
	}
	var out words
	if err := json.Unmarshal(text, &out); err != nil || !reflect.DeepEqual(in, out) {
		t.Errorf("%+v, %v, want %+v", out, err, in)
	}
	for _, c := range append(Classes(), Undecided) {
		var back Class
		if word, _ := c.MarshalText(); back.UnmarshalText(word) != nil || back != c {
			t.Errorf("%v comes back as %v", c, back)
		}
	}
	for r := range reasons {
		var back Reason
		if word, _ := r.MarshalText(); back.UnmarshalText(word) != nil || back != r {
			t.Errorf("%v comes back as %v", r, back)
		}
	}
	if json.Unmarshal([]byte(`{"Class":"no such"}`), &out) == nil || json.Unmarshal([]byte(`{"Reason":"no such"}`), &out) == nil {
		t.Error("an unknown word has no error")
	}
	for _, v := range []any{Event{Class: TCPProbe, Reason: ReasonDrain}, &HandshakeError{Reason: ReasonBadKey}} {
		if text, err := json.Marshal(v); err != nil || regexp.MustCompile(`"(Class|Reason)":\d`).Match(text) {
			t.Errorf("%s, %v", text, err)
		}
	}
}
