package journal

import (
	"errors"
	"log/slog"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/journal/logtest"
	"github.com/quietws/quietws/core/internal/remedy"
)

func TestPolicyOf(t *testing.T) {
	const (
		debug, info, warn, fail = slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError
	)
	platform := func(e event.Event) event.Event { e.Platform = true; return e }
	probed := func(e event.Event) event.Event { e.Prober = "p"; return e }
	rows := []struct {
		rule  string
		event event.Event
		level slog.Level
		how   policy
	}{
		{"an event without a class is a fault of ours, and loud", event.Event{}, warn, logFull},
		{"a panic is an error", event.Event{Class: event.HandlerPanic}, fail, logFull},
		{"a good handshake that was not completed is an error", event.Event{Class: event.UpgradeFailed}, fail, logFull},
		{"sessions are logged at Debug", event.Event{Class: event.SessionEnded}, debug, logDebug},
		{"so is what else left HTTP", event.Event{Class: event.Hijacked}, debug, logDebug},
		{"a refused handshake is a warning, from the internet too", event.Event{Class: event.HandshakeRefused, Reason: event.ReasonBadKey}, warn, logFull},
		{"saturated is a warning", event.Event{Class: event.HandshakeRefused, Reason: event.ReasonSaturated, Status: 503}, warn, logFull},
		{"a deploy is no incident", event.Event{Class: event.HandshakeRefused, Reason: event.ReasonDraining, Status: 503}, debug, logCounted},
		{"the application says 401", event.Event{Class: event.HandshakeRefused, Reason: event.ReasonApplication, Status: 401}, debug, logCounted},
		{"the application says 403", event.Event{Class: event.HandshakeRefused, Reason: event.ReasonApplication, Status: 403}, debug, logCounted},
		{"the application says 429", event.Event{Class: event.HandshakeRefused, Reason: event.ReasonApplication, Status: 429}, debug, logCounted},
		{"the application says 404: that is not intended", event.Event{Class: event.HandshakeRefused, Reason: event.ReasonApplication, Status: 404}, warn, logFull},
		{"it says so of what a proxy stripped", event.Event{Class: event.HandshakeRefused, Reason: event.ReasonUpgradeStripped, Status: 401}, debug, logCounted},
		{"it says so of a plain request", event.Event{Class: event.HandshakeRefused, Reason: event.ReasonNotUpgrade, Status: 429}, debug, logCounted},
		{"what is stripped and answered otherwise is a warning", event.Event{Class: event.HandshakeRefused, Reason: event.ReasonUpgradeStripped, Status: 426}, warn, logFull},
		{"403 for another reason is not the application's", event.Event{Class: event.HandshakeRefused, Reason: event.ReasonOriginForbidden, Status: 403}, warn, logFull},
		{"a probe that fails is a warning", event.Event{Class: event.ProbeFailing, Platform: true}, warn, logFull},
		{"an ordinary request has no line", event.Event{Class: event.HTTP}, debug, logNever},
		{"wrong protocol, public", event.Event{Class: event.WrongProtocol, Reason: event.ReasonTLSOnPlain}, warn, logFull},
		{"wrong protocol, platform", event.Event{Class: event.WrongProtocol, Reason: event.ReasonH2Preface, Platform: true}, warn, logFull},
		{"a refused certificate is a warning, from the internet too", event.Event{Class: event.TLSFailed, Reason: event.ReasonRefused}, warn, logFull},
		{"so is a client's that this server refuses", event.Event{Class: event.TLSFailed, Reason: event.ReasonClientCertificate}, warn, logFull},
		{"no TLS version in common", event.Event{Class: event.TLSFailed, Reason: event.ReasonVersion}, warn, logFull},
		{"half a ClientHello, platform", event.Event{Class: event.TLSFailed, Reason: event.ReasonTruncated, Platform: true}, info, logFull},
		{"half a ClientHello, public: only counted", event.Event{Class: event.TLSFailed, Reason: event.ReasonTruncated}, debug, logCounted},
		{"a bad request, platform", event.Event{Class: event.BadRequest, Reason: event.ReasonMalformed, Platform: true}, info, logFull},
		{"a bad request, public: only counted", event.Event{Class: event.BadRequest, Reason: event.ReasonMalformed}, debug, logCounted},
		{"and a User-Agent does not change that", event.Event{Class: event.BadRequest, Prober: "p"}, debug, logCounted},
		{"a limit that closes connections is a warning", event.Event{Class: event.ServerClosed, Reason: event.ReasonLimit}, warn, logFull},
		{"a drain that does is not", event.Event{Class: event.ServerClosed, Reason: event.ReasonDrain, Platform: true}, debug, logCounted},
		{"nor a shutdown", event.Event{Class: event.ServerClosed, Reason: event.ReasonShutdown}, debug, logCounted},
		{"a spare connection, platform", event.Event{Class: event.IdleConnect, Platform: true}, info, logFull},
		{"a spare connection, public: only counted", event.Event{Class: event.IdleConnect}, debug, logCounted},
	}
	for _, c := range []event.Class{event.HTTPProbe, event.ProxyProbe, event.TLSProbe, event.TCPProbe} {
		e := event.Event{Class: c}
		rows = append(rows, []struct {
			rule  string
			event event.Event
			level slog.Level
			how   policy
		}{
			{"the first of " + c.String() + " from a platform source is news", platform(e), slog.LevelInfo, logOnce},
			{"and that of a known prober", probed(e), info, logOnce},
			{"but not from the open internet", e, debug, logCounted},
		}...)
	}
	if level, how := policyOf(&event.Event{Class: event.HandlerPanic}, Elsewhere); level != debug || how != logElsewhere {
		t.Errorf("one event, one line: what the server's own log has is %v, %v", level, how)
	}
	covered := map[event.Class]bool{}
	for _, r := range rows {
		covered[r.event.Class] = true
		if level, how := policyOf(&r.event, Ordinary); level != r.level || how != r.how {
			t.Errorf("%s: policyOf(%+v) = %v, %v; want %v, %v", r.rule, r.event, level, how, r.level, r.how)
		}
		if m := messages[r.event.Class]; r.how == logFull && (m.first == "" || m.again == "") || r.how == logDebug && m.first == "" {
			t.Errorf("%s has no message", r.event.Class)
		}
	}
	for _, c := range event.Classes() {
		if !covered[c] {
			t.Errorf("no row for %s", c)
		}
	}
}

// The founding rule: an hour of any one prober costs at most three lines, none of them a warning.
func TestNeverNoisierThanWithout(t *testing.T) {
	for _, e := range []event.Event{
		{Class: event.TCPProbe, Platform: true}, {Class: event.TLSProbe, Platform: true}, {Class: event.ProxyProbe, Platform: true},
		{Class: event.HTTPProbe, Platform: true, Prober: "kubelet-http", Method: "GET", Path: "/healthz", Status: 200},
		{Class: event.HTTPProbe, Prober: "GoogleHC", Status: 200}, {Class: event.TCPProbe}, {Class: event.TLSProbe}, {Class: event.ProxyProbe},
		{Class: event.IdleConnect}, {Class: event.ServerClosed, Reason: event.ReasonDrain, Platform: true},
		{Class: event.TLSFailed, Reason: event.ReasonTruncated}, {Class: event.BadRequest, Reason: event.ReasonMalformed},
		{Class: event.HandshakeRefused, Reason: event.ReasonDraining}, {Class: event.SessionEnded}, {Class: event.HTTP},
	} {
		name := e.Class.String() + "/" + strconv.FormatBool(e.Platform)
		t.Run(name, func(t *testing.T) {
			var suppressed uint64
			count := func(_ event.Class, n uint64) { suppressed += n }
			inJournal(t, Config{Suppressed: count}, func(t *testing.T, j *Journal, log *logtest.Lines) {
				var all []logtest.Line
				for i := range 361 {
					e.Remote = logtest.From(i % 3)
					j.Post(&e)
					logtest.After(10 * time.Second)
				}
				all = log.Take()
				if len(all) > 3 {
					logtest.WantMessages(t, "at most three lines in an hour", all, "three")
				}
				for _, l := range all {
					if l.Level >= slog.LevelWarn {
						t.Errorf("an hour of probes warned: %v", l)
					}
				}
				_, how := policyOf(&e, Ordinary)
				want := map[policy]uint64{logOnce: 360, logCounted: 361}[how]
				if suppressed != want {
					t.Errorf("%d lines counted as suppressed, want %d: quiet is not silent", suppressed, want)
				}
			})
		})
	}
}

func TestOnce(t *testing.T) {
	inJournal(t, Config{}, func(t *testing.T, j *Journal, log *logtest.Lines) {
		post := func(rule string, e event.Event, want ...string) logtest.Line {
			t.Helper()
			j.Post(&e)
			handled(t, j)
			got := log.Take()
			logtest.WantMessages(t, rule, got, want...)
			if len(got) == 0 {
				return logtest.Line{}
			}
			return got[0]
		}
		post("from the internet: not logged, and it does not use up the first line", event.Event{Class: event.TCPProbe, Remote: logtest.From(9)})
		l := post("the first is logged", event.Event{Class: event.TCPProbe, Platform: true, Remote: logtest.From(1)}, msgSeen)
		logtest.WantAttrs(t, l, map[string]string{"class": "tcp_probe", "prober": "unknown", "remote": logtest.From(1).String(),
			"remedy": hintOr(event.TCPProbe), "path": "-", "status": "-"})
		post("the second is not, wherever it comes from", event.Event{Class: event.TCPProbe, Platform: true, Remote: logtest.From(2)})
		l = post("another prober is news", event.Event{Class: event.HTTPProbe, Prober: "GoogleHC", Remote: logtest.From(1), Method: "GET", Path: "/healthz", Status: 200}, msgSeen)
		logtest.WantAttrs(t, l, map[string]string{"prober": "GoogleHC", "path": "/healthz", "method": "GET", "status": "200", "remedy": hintOr(event.HTTPProbe)})
		post("the same prober in another class is news", event.Event{Class: event.TCPProbe, Prober: "GoogleHC"}, msgSeen)
		post("and then no more", event.Event{Class: event.TCPProbe, Prober: "GoogleHC", Platform: true})
	})
}

func TestLoggedElsewhere(t *testing.T) {
	var suppressed uint64
	observed := 0
	c := Config{Logger: slog.New(&logtest.Lines{Level: slog.LevelDebug}), Suppressed: func(_ event.Class, n uint64) { suppressed += n },
		Observe: func(event.Event) { observed++ }}
	inJournal(t, c, func(t *testing.T, j *Journal, log *logtest.Lines) {
		j.PostAs(&event.Event{Class: event.HandlerPanic}, Elsewhere)
		logtest.After(2 * time.Hour)
		logtest.WantMessages(t, "no line, not at Debug and not in a summary of its own", log.Take())
		if suppressed != 1 || observed != 1 {
			t.Errorf("suppressed %d, observed %d; want 1 and 1: it is counted and observed all the same", suppressed, observed)
		}
		j.Post(&event.Event{Class: event.HandlerPanic})
		handled(t, j)
		logtest.WantMessages(t, "and one that is logged only here is still the first", log.Take(), "handler panicked")
	})
}

// hintOr returns the hint as WantAttrs expects it, "-" for none.
func hintOr(c event.Class) string {
	if h := remedy.ForProbe(c); h != "" {
		return h
	}
	return "-"
}

func TestDebugShowsEachOne(t *testing.T) {
	log := &logtest.Lines{Level: slog.LevelDebug}
	inJournal(t, Config{Logger: slog.New(log)}, func(t *testing.T, j *Journal, log *logtest.Lines) {
		probe := event.Event{Class: event.TLSProbe, Platform: true, Remote: logtest.From(1)}
		j.Post(&probe)
		j.Post(&probe)
		j.Post(&event.Event{Class: event.BadRequest, Reason: event.ReasonTooLarge})
		j.Post(&event.Event{Class: event.HTTP})
		j.Post(&event.Event{Class: event.Hijacked, Path: "/connect"})
		j.Post(&event.Event{Class: event.SessionEnded, Path: "/ws", Prober: "gatus", Remote: logtest.From(3), Session: event.SessionEnd{
			End: "vanished", Code: 1006, Duration: time.Minute, BytesIn: 5, BytesOut: 7}})
		j.Post(&event.Event{Class: event.SessionEnded})
		handled(t, j)
		got := log.Take()
		logtest.WantMessages(t, "a line each, but none for an ordinary request", got, msgSeen, msgProbe,
			"bytes that never became a request", "hijacked connection ended", "session ended", "session ended")
		for i, l := range got[1:] {
			if l.Level != slog.LevelDebug {
				t.Errorf("line %d is at %v, want DEBUG", i+1, l.Level)
			}
		}
		logtest.WantAttrs(t, got[1], map[string]string{"class": "tls_probe", "prober": "unknown", "remedy": "-"})
		logtest.WantAttrs(t, got[3], map[string]string{"class": "hijacked", "path": "/connect", "end": "-"})
		logtest.WantAttrs(t, got[4], map[string]string{"end": "vanished", "code": "1006", "duration": "1m0s",
			"bytes_in": "5", "bytes_out": "7", "prober": "gatus", "remote": logtest.From(3).String()})
		logtest.WantAttrs(t, got[5], map[string]string{"end": "ended", "code": "0", "remote": "unknown", "prober": "-"})
	})
}

// A level that is off costs one question to the logger, and no attributes.
func TestNoAttributesBelowTheLevel(t *testing.T) {
	asked := 0
	inJournal(t, Config{}, func(t *testing.T, j *Journal, log *logtest.Lines) {
		j.Post(&event.Event{Class: event.HandshakeRefused, Reason: event.ReasonDraining, Err: countedError{&asked}})
		handled(t, j)
		if asked != 0 {
			t.Error("the text of an error was made for a line below the level")
		}
		j.Post(&event.Event{Class: event.HandshakeRefused, Reason: event.ReasonBadKey, Err: countedError{&asked}})
		handled(t, j)
		if asked != 1 {
			t.Errorf("Error was called %d times, want once", asked)
		}
	})
}

type countedError struct{ n *int }

func (e countedError) Error() string { *e.n++; return "counted" }

func TestOnceTableIsBounded(t *testing.T) {
	inJournal(t, Config{}, func(t *testing.T, j *Journal, log *logtest.Lines) {
		for i := range 100_000 {
			j.Post(&event.Event{Class: event.HTTPProbe, Prober: strconv.Itoa(i)})
			if i%500 == 0 {
				synctest.Wait()
			}
		}
		inspect(t, j, func() {
			if n := len(j.seen); n != maxOnce {
				t.Errorf("%d pairs are remembered, want %d", n, maxOnce)
			}
			if n := len(log.Take()); n != maxOnce {
				t.Errorf("%d lines, want %d", n, maxOnce)
			}
			if n := len(j.summary.pairs); n != maxPairs {
				t.Errorf("%d pairs in the summary, want %d", n, maxPairs)
			}
		})
	})
}

func TestUnknownClassIsLoud(t *testing.T) {
	inJournal(t, Config{}, func(t *testing.T, j *Journal, log *logtest.Lines) {
		j.Post(&event.Event{Class: 200, Err: errors.New("x")})
		handled(t, j)
		logtest.WantMessages(t, "a class outside the set is logged, and breaks nothing", log.Take(), "connection without a class")
	})
}

// What the open internet sends over HTTP/2 is counted, and gets no line.
func TestHTTP2OfTheInternetIsQuiet(t *testing.T) {
	e := event.Event{Class: event.HandshakeRefused, Reason: event.ReasonHTTP2}
	if level, how := policyOf(&e, Ordinary); level.String() != "DEBUG" || how != logCounted {
		t.Errorf("logged at %v, %v", level, how)
	}
	e.Method = "CONNECT"
	if level, how := policyOf(&e, Ordinary); level.String() != "WARN" || how != logFull {
		t.Errorf("a request is logged at %v, %v", level, how)
	}
}
