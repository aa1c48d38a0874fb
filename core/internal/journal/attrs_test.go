package journal

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/journal/logtest"
)

func TestLineAttrs(t *testing.T) {
	rows := []struct {
		rule  string
		event event.Event
		want  string
	}{
		{"an event that knows nothing says so", event.Event{Class: event.UpgradeFailed}, `class=upgrade_failed remote=unknown status=0`},
		{"a failure with everything", event.Event{Class: event.HandshakeRefused, Reason: event.ReasonBadKey, Remote: logtest.From(1), Prober: "p", Method: "GET", Path: "/ws",
			Status: 400, Err: &event.HandshakeError{Reason: event.ReasonBadKey, Field: "Sec-Websocket-Key"}, Remedy: "do this", Session: event.SessionEnd{Duration: time.Second}},
			`class=handshake_refused reason=bad_key remote=10.0.0.1:40001 prober=p method=GET path=/ws status=400 duration=1s field=Sec-Websocket-Key remedy=do this`},
		{"a proxy that left a trace", event.Event{Class: event.HandshakeRefused, Reason: event.ReasonUpgradeStripped, Proxy: "varnish", Method: "GET"},
			`class=handshake_refused reason=upgrade_stripped remote=unknown proxy=varnish method=GET status=0`},
		{"a client that a proxy vouches for", event.Event{Class: event.BadRequest, Client: netip.MustParseAddr("192.0.2.1"), Forwarded: "203.0.113.1"},
			`class=bad_request remote=unknown client=192.0.2.1 status=0`},
		{"one that no proxy vouches for", event.Event{Class: event.BadRequest, Forwarded: "192.0.2.1, x"},
			`class=bad_request remote=unknown forwarded="192.0.2.1, x" status=0`},
		{"IPv4 on a dual-stack socket reads as IPv4", event.Event{Class: event.TCPProbe, Remote: netip.MustParseAddrPort("[::ffff:192.0.2.1]:7")},
			`class=tcp_probe remote=192.0.2.1:7 prober=unknown`},
		{"a panic has its value and its stack", event.Event{Class: event.HandlerPanic, Panic: "boom", Stack: []byte("goroutine 1:\n\tx.go:1")},
			"class=handler_panic remote=unknown status=0 panic=boom stack=goroutine 1:\n\tx.go:1"},
		{"a session with the handler's error", event.Event{Class: event.SessionEnded, Err: errors.New("a b")},
			`class=session remote=unknown end=ended code=0 duration=0s bytes_in=0 bytes_out=0 error=a b`},
		{"an Error method that panics", event.Event{Class: event.UpgradeFailed, Err: (*badError)(nil)},
			`class=upgrade_failed remote=unknown status=0 error=<nil>`},
	}
	for _, r := range rows {
		var got []string
		for _, a := range lineAttrs(&r.event) {
			got = append(got, a.String())
		}
		if s := strings.Join(got, " "); s != r.want {
			t.Errorf("%s:\n got %s\nwant %s", r.rule, s, r.want)
		}
	}
}

type badError struct{ text string }

func (e *badError) Error() string { return e.text }

type describes struct{}

func (describes) String() string { return "described" }

func TestPanicText(t *testing.T) {
	type private struct{ secret []byte }
	for _, r := range []struct {
		rule  string
		value any
		want  string
	}{
		{"a text", "boom", "boom"},
		{"a hostile text", "a\nb", `"a\nb"`},
		{"a number", 7, "7"},
		{"an error", fmt.Errorf("e %d", 1), "e 1"},
		{"a Stringer", describes{}, "described"},
		{"a value that may still be changing is named, not read", &private{[]byte("x")}, "(*journal.private)"},
		{"so is a map", map[string]int{"a": 1}, "(map[string]int)"},
	} {
		if got := PanicText(r.value); got != r.want {
			t.Errorf("%s: %s, want %s", r.rule, got, r.want)
		}
	}
}

func TestStackTextIsCut(t *testing.T) {
	s := stackText([]byte(strings.Repeat("line\n", 1<<16)))
	if len(s) > maxStack+8 || !strings.HasSuffix(s, "\n...") {
		t.Errorf("%d bytes of stack, ending in %q", len(s), s[len(s)-8:])
	}
}

// Client text must not reach the log raw, whatever the handler does with it.
func TestJournalForgedLines(t *testing.T) {
	evil := "x\nlevel=ERROR msg=forged\r\x1b[31mred\x00\x7f\xff\u202e\u2028 class=session \"quoted\""
	inJournal(t, Config{Logger: slog.New(&logtest.Lines{Level: slog.LevelDebug}), Collapse: time.Second}, func(t *testing.T, j *Journal, log *logtest.Lines) {
		zone := netip.MustParseAddr("fe80::1").WithZone("e\nvil")
		for _, c := range event.Classes() {
			for range 3 {
				j.Post(&event.Event{Class: c, Platform: true, Remote: netip.AddrPortFrom(zone, 1), Client: zone,
					Method: evil, Path: "/" + strings.Repeat(evil, 20000), Err: errors.New(evil), Prober: evil,
					Panic: errors.New(evil), Stack: []byte("goroutine 1\n\tmain.go:1 \x1b[31m\xff")})
			}
			j.Post(&event.Event{Class: c, Platform: true, Forwarded: evil, Panic: evil})
		}
		handled(t, j)
		logtest.After(time.Hour)
		lines := log.Take()
		if len(lines) < 40 {
			t.Fatalf("only %d lines: the table below proves nothing", len(lines))
		}
		for _, l := range lines {
			for k, v := range l.Attrs {
				texts := []string{k, v.String()}
				if s, ok := v.Any().([]string); ok {
					texts = append(texts[:1], s...)
				}
				for _, s := range texts {
					if k == "stack" {
						s = strings.NewReplacer("\n", "", "\t", "").Replace(s)
					} else if k != "samples" && len(s) > MaxText+len("10.0.0.1") && k != "remedy" {
						t.Errorf("%s: %s has %d bytes", l.Msg, k, len(s))
					}
					for _, r := range s {
						if r < ' ' || r == 0x7f || r == '\ufffd' || r == '\u202e' || r == '\u2028' {
							t.Fatalf("%s: attribute %s has %q raw: %q", l.Msg, k, r, s)
						}
					}
				}
			}
		}
	})
}
