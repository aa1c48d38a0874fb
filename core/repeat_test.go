package core

import (
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quietws/quietws/core/event"
)

func TestFailureFirstLoudThenCollapsed(t *testing.T) {
	var suppressed []event.Class
	count := func(c event.Class, n uint64) {
		suppressed = append(suppressed, slices.Repeat([]event.Class{c}, int(n))...)
	}
	c := journalConfig{suppressed: count, collapse: time.Minute}
	inJournal(t, c, func(t *testing.T, j *journal, log *logLines) {
		refused := event.Event{Class: event.HandshakeRefused, Reason: event.ReasonUpgradeStripped, Method: "GET", Path: "/ws", Status: 426, Err: &event.HandshakeError{}}
		fail := func(source, path string) {
			e := refused
			e.Remote, e.Path, e.Remedy = netip.MustParseAddrPort(source), path, "a remedy"
			j.post(&e)
			handled(t, j)
		}
		fail("192.0.2.1:1", "/ws")
		got := log.take()
		wantMessages(t, "the first is told at once", got, "websocket handshake refused")
		wantAttrs(t, got[0], map[string]string{"class": "handshake_refused", "reason": "upgrade_stripped", "remote": "192.0.2.1:1",
			"method": "GET", "path": "/ws", "status": "426", "remedy": "a remedy"})
		after(30 * time.Second)
		fail("192.0.2.1:2", "/ws")
		fail("192.0.2.1:3", "/ws")
		fail("192.0.2.2:4", "/ws")
		fail("192.0.2.3:5", "/a b")
		fail("192.0.2.4:6", "/ws")
		wantMessages(t, "repeats are not", log.take())
		after(29 * time.Second)
		wantMessages(t, "nor before the window is over", log.take())
		after(time.Second)
		got = log.take()
		wantMessages(t, "then one line tells them all", got, "websocket handshake refused: repeated")
		wantAttrs(t, got[0], map[string]string{"class": "handshake_refused", "reason": "upgrade_stripped", "count": "5", "sources": "4",
			"more_sources": "-", "window": "1m0s", "remedy": "a remedy", "prober": "-",
			"samples": `[192.0.2.1:2 GET /ws 426 192.0.2.2:4 GET /ws 426 192.0.2.3:5 GET "/a b" 426]`})
		if got[0].level != slog.LevelWarn {
			t.Errorf("repeats at %v, the first was at WARN", got[0].level)
		}
		fail("192.0.2.1:7", "/ws")
		wantMessages(t, "in the next window the first is a repeat too", log.take())
		after(time.Minute)
		got = log.take()
		wantMessages(t, "and is told at its end", got, "websocket handshake refused: repeated")
		wantAttrs(t, got[0], map[string]string{"count": "1", "sources": "1"})
		after(time.Minute)
		wantMessages(t, "a window without repeats is not told", log.take())
		fail("192.0.2.1:8", "/ws")
		wantMessages(t, "and after it the first is a first again", log.take(), "websocket handshake refused")
		if len(suppressed) != 6 || suppressed[0] != event.HandshakeRefused {
			t.Errorf("suppressed %v, want 6 of handshake_refused: every repeat is counted", suppressed)
		}
	})
}

func TestFailureKeys(t *testing.T) {
	base := event.Event{Class: event.TLSFailed, Reason: event.ReasonRefused}
	for _, r := range []struct {
		rule  string
		event event.Event
		same  bool
	}{
		{"another source is the same", event.Event{Class: event.TLSFailed, Reason: event.ReasonRefused, Remote: from(5)}, true},
		{"another path and status too", event.Event{Class: event.TLSFailed, Reason: event.ReasonRefused, Path: "/x", Status: 400}, true},
		{"another reason is not", event.Event{Class: event.TLSFailed, Reason: event.ReasonVersion}, false},
		{"nor another class", event.Event{Class: event.WrongProtocol, Reason: event.ReasonRefused}, false},
		{"nor the platform instead of the internet", event.Event{Class: event.TLSFailed, Reason: event.ReasonRefused, Platform: true}, false},
		{"nor a prober", event.Event{Class: event.TLSFailed, Reason: event.ReasonRefused, Prober: "p"}, false},
	} {
		inJournal(t, journalConfig{}, func(t *testing.T, j *journal, log *logLines) {
			j.post(&base)
			j.post(&r.event)
			handled(t, j)
			if n := len(log.take()); (n == 1) != r.same {
				t.Errorf("%s: %d lines", r.rule, n)
			}
		})
	}
}

func TestCloseTellsPendingRepeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &logLines{}
		j := newJournal(journalConfig{logger: slog.New(log)})
		j.post(&event.Event{Class: event.HandlerPanic, Panic: 1})
		j.post(&event.Event{Class: event.HandlerPanic, Panic: 2, Path: "/x"})
		j.post(&event.Event{Class: event.ProbeFailing, Prober: "p"})
		if err := j.close(time.Second); err != nil {
			t.Fatal(err)
		}
		got := log.take()
		wantMessages(t, "close handles the queue and does not keep repeats to itself", got,
			"handler panicked", "probe failing", "handler panicked: repeated")
		wantAttrs(t, got[2], map[string]string{"count": "1", "samples": "[unknown /x: 2]"})
	})
}

func TestRepeatsComeInTheOrderOfTheirWindows(t *testing.T) {
	inJournal(t, journalConfig{}, func(t *testing.T, j *journal, log *logLines) {
		for i := range 20 {
			e := event.Event{Class: event.ProbeFailing, Prober: strconv.Itoa(i)}
			j.post(&e)
			j.post(&e)
			after(time.Second)
		}
		log.take()
		if err := j.close(time.Second); err != nil {
			t.Fatal(err)
		}
		for i, l := range log.take() {
			wantAttrs(t, l, map[string]string{"prober": strconv.Itoa(i)})
		}
	})
}

func TestRepeatsBelowTheLevel(t *testing.T) {
	log := &logLines{level: slog.LevelError}
	inJournal(t, journalConfig{logger: slog.New(log)}, func(t *testing.T, j *journal, log *logLines) {
		for range 3 {
			j.post(&event.Event{Class: event.WrongProtocol})
		}
		after(time.Hour)
		wantMessages(t, "the level holds for repeats too", log.take())
	})
}

func TestRepeatsKeepTheProber(t *testing.T) {
	inJournal(t, journalConfig{}, func(t *testing.T, j *journal, log *logLines) {
		for range 2 {
			j.post(&event.Event{Class: event.ProbeFailing, Prober: "GoogleHC", Path: "/", Status: 404, Err: errors.New("why")})
		}
		after(time.Minute)
		got := log.take()
		wantMessages(t, "one prober's failure", got, "probe failing", "probe failing: repeated")
		wantAttrs(t, got[1], map[string]string{"prober": "GoogleHC", "samples": "[unknown / 404: why]"})
	})
}

// 100,000 different of everything: the tables stay small and nothing is lost.
func TestFailuresAreBounded(t *testing.T) {
	const events = 100_000
	var suppressed, told uint64
	c := journalConfig{suppressed: func(_ event.Class, n uint64) { suppressed += n }, collapse: time.Minute}
	inJournal(t, c, func(t *testing.T, j *journal, log *logLines) {
		for i := range events {
			j.post(&event.Event{Class: event.WrongProtocol, Prober: strconv.Itoa(i % 1000), Remote: from(i)})
			if i%500 == 0 {
				synctest.Wait()
			}
		}
		inspect(t, j, func() {
			if n := len(j.failures.kinds); n != maxFailures {
				t.Errorf("%d kinds of failure are remembered, want %d", n, maxFailures)
			}
			for _, f := range j.failures.kinds {
				if len(f.sources.seen) > maxFailureSources || len(f.samples) > maxSamples {
					t.Fatalf("%d sources and %d samples of one kind", len(f.sources.seen), len(f.samples))
				}
			}
			if n := len(j.failures.rest.sources.seen); n != maxFailureSources {
				t.Errorf("%d sources of the rest, want %d", n, maxFailureSources)
			}
		})
		after(time.Minute)
		var rest logLine
		for _, l := range log.take() {
			switch l.msg {
			case "wrong protocol":
				told++
			case msgFlood: // the same once more
			case msgOverflow:
				rest = l
				told += l.attrs["count"].Uint64()
			default:
				told += l.attrs["count"].Uint64()
			}
		}
		if told != events || told != suppressed+maxFailures {
			t.Errorf("%d of %d are told or counted in a line, %d suppressed: what overflows must not be lost", told, events, suppressed)
		}
		wantAttrs(t, rest, map[string]string{"sources": "64", "more_sources": "true", "class": "-"})
		if rest.level != slog.LevelWarn {
			t.Errorf("the rest is told at %v, want the highest level in it", rest.level)
		}
	})
}

// What is called for each session, or for each probe, may panic as often.
func TestCallbackThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, log := guardLog(t, Config{}, slog.LevelInfo)
		for range 5 {
			g.contained("OnDrain", func() { panic("goodbye") })
		}
		g.contained("Details", func() { panic("who") })
		lines := toldBy(t, g, log)
		wantMessages(t, "each callback's first panic is told", lines, "callback panicked", "callback panicked")
		wantAttrs(t, lines[0], map[string]string{"callback": "OnDrain", "panic": "goodbye"})
		wantAttrs(t, lines[1], map[string]string{"callback": "Details", "panic": "who"})
		after(time.Minute)
		lines = toldBy(t, g, log)
		wantMessages(t, "its repeats are collapsed", lines, "callback panicked: repeated")
		wantAttrs(t, lines[0], map[string]string{"callback": "OnDrain", "count": "4", "samples": "[goodbye]"})
	})
}
