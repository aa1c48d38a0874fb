package journal

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
	"github.com/quietws/quietws/core/internal/journal/logtest"
)

func TestFailureFirstLoudThenCollapsed(t *testing.T) {
	var suppressed []event.Class
	count := func(c event.Class, n uint64) {
		suppressed = append(suppressed, slices.Repeat([]event.Class{c}, int(n))...)
	}
	c := Config{Suppressed: count, Collapse: time.Minute}
	inJournal(t, c, func(t *testing.T, j *Journal, log *logtest.Lines) {
		refused := event.Event{Class: event.HandshakeRefused, Reason: event.ReasonUpgradeStripped, Method: "GET", Path: "/ws", Status: 426, Err: &event.HandshakeError{}}
		fail := func(source, path string) {
			e := refused
			e.Remote, e.Path, e.Remedy = netip.MustParseAddrPort(source), path, "a remedy"
			j.Post(&e)
			handled(t, j)
		}
		fail("192.0.2.1:1", "/ws")
		got := log.Take()
		logtest.WantMessages(t, "the first is logged at once", got, "websocket handshake refused")
		logtest.WantAttrs(t, got[0], map[string]string{"class": "handshake_refused", "reason": "upgrade_stripped", "remote": "192.0.2.1:1",
			"method": "GET", "path": "/ws", "status": "426", "remedy": "a remedy"})
		logtest.After(30 * time.Second)
		fail("192.0.2.1:2", "/ws")
		fail("192.0.2.1:3", "/ws")
		fail("192.0.2.2:4", "/ws")
		fail("192.0.2.3:5", "/a b")
		fail("192.0.2.4:6", "/ws")
		logtest.WantMessages(t, "repeats are not", log.Take())
		logtest.After(29 * time.Second)
		logtest.WantMessages(t, "nor before the window is over", log.Take())
		logtest.After(time.Second)
		got = log.Take()
		logtest.WantMessages(t, "then one line reports them all", got, "websocket handshake refused: repeated")
		logtest.WantAttrs(t, got[0], map[string]string{"class": "handshake_refused", "reason": "upgrade_stripped", "count": "5", "sources": "4",
			"more_sources": "-", "window": "1m0s", "remedy": "a remedy", "prober": "-",
			"samples": `[192.0.2.1:2 GET /ws 426 192.0.2.2:4 GET /ws 426 192.0.2.3:5 GET "/a b" 426]`})
		if got[0].Level != slog.LevelWarn {
			t.Errorf("repeats at %v, the first was at WARN", got[0].Level)
		}
		fail("192.0.2.1:7", "/ws")
		logtest.WantMessages(t, "in the next window the first is a repeat too", log.Take())
		logtest.After(time.Minute)
		got = log.Take()
		logtest.WantMessages(t, "and is logged at its end", got, "websocket handshake refused: repeated")
		logtest.WantAttrs(t, got[0], map[string]string{"count": "1", "sources": "1"})
		logtest.After(time.Minute)
		logtest.WantMessages(t, "a window without repeats is not logged", log.Take())
		fail("192.0.2.1:8", "/ws")
		logtest.WantMessages(t, "and after it the first is a first again", log.Take(), "websocket handshake refused")
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
		{"another source is the same", event.Event{Class: event.TLSFailed, Reason: event.ReasonRefused, Remote: logtest.From(5)}, true},
		{"another path and status too", event.Event{Class: event.TLSFailed, Reason: event.ReasonRefused, Path: "/x", Status: 400}, true},
		{"another reason is not", event.Event{Class: event.TLSFailed, Reason: event.ReasonVersion}, false},
		{"nor another class", event.Event{Class: event.WrongProtocol, Reason: event.ReasonRefused}, false},
		{"nor the platform instead of the internet", event.Event{Class: event.TLSFailed, Reason: event.ReasonRefused, Platform: true}, false},
		{"nor a prober", event.Event{Class: event.TLSFailed, Reason: event.ReasonRefused, Prober: "p"}, false},
	} {
		inJournal(t, Config{}, func(t *testing.T, j *Journal, log *logtest.Lines) {
			j.Post(&base)
			j.Post(&r.event)
			handled(t, j)
			if n := len(log.Take()); (n == 1) != r.same {
				t.Errorf("%s: %d lines", r.rule, n)
			}
		})
	}
}

func TestCloseLogsPendingRepeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &logtest.Lines{}
		j := startJournal(Config{Logger: slog.New(log)})
		j.Post(&event.Event{Class: event.HandlerPanic, Panic: 1})
		j.Post(&event.Event{Class: event.HandlerPanic, Panic: 2, Path: "/x"})
		j.Post(&event.Event{Class: event.ProbeFailing, Prober: "p"})
		if err := j.Close(time.Second); err != nil {
			t.Fatal(err)
		}
		got := log.Take()
		logtest.WantMessages(t, "close handles the queue and does not keep repeats to itself", got,
			"handler panicked", "probe failing", "handler panicked: repeated")
		logtest.WantAttrs(t, got[2], map[string]string{"count": "1", "samples": "[unknown /x: 2]"})
	})
}

func TestRepeatsComeInTheOrderOfTheirWindows(t *testing.T) {
	inJournal(t, Config{}, func(t *testing.T, j *Journal, log *logtest.Lines) {
		for i := range 20 {
			e := event.Event{Class: event.ProbeFailing, Prober: strconv.Itoa(i)}
			j.Post(&e)
			j.Post(&e)
			logtest.After(time.Second)
		}
		log.Take()
		if err := j.Close(time.Second); err != nil {
			t.Fatal(err)
		}
		for i, l := range log.Take() {
			logtest.WantAttrs(t, l, map[string]string{"prober": strconv.Itoa(i)})
		}
	})
}

func TestRepeatsBelowTheLevel(t *testing.T) {
	log := &logtest.Lines{Level: slog.LevelError}
	inJournal(t, Config{Logger: slog.New(log)}, func(t *testing.T, j *Journal, log *logtest.Lines) {
		for range 3 {
			j.Post(&event.Event{Class: event.WrongProtocol})
		}
		logtest.After(time.Hour)
		logtest.WantMessages(t, "the level holds for repeats too", log.Take())
	})
}

func TestRepeatsKeepTheProber(t *testing.T) {
	inJournal(t, Config{}, func(t *testing.T, j *Journal, log *logtest.Lines) {
		for range 2 {
			j.Post(&event.Event{Class: event.ProbeFailing, Prober: "GoogleHC", Path: "/", Status: 404, Err: errors.New("why")})
		}
		logtest.After(time.Minute)
		got := log.Take()
		logtest.WantMessages(t, "one prober's failure", got, "probe failing", "probe failing: repeated")
		logtest.WantAttrs(t, got[1], map[string]string{"prober": "GoogleHC", "samples": "[unknown / 404: why]"})
	})
}

// 100,000 events that all differ: the tables stay small and nothing is lost.
func TestFailuresAreBounded(t *testing.T) {
	const events = 100_000
	var suppressed, logged uint64
	c := Config{Suppressed: func(_ event.Class, n uint64) { suppressed += n }, Collapse: time.Minute}
	inJournal(t, c, func(t *testing.T, j *Journal, log *logtest.Lines) {
		for i := range events {
			j.Post(&event.Event{Class: event.WrongProtocol, Prober: strconv.Itoa(i % 1000), Remote: logtest.From(i)})
			if i%500 == 0 {
				synctest.Wait()
			}
		}
		inspect(t, j, func() {
			if n := len(j.repeats.kinds); n != maxFailures {
				t.Errorf("%d kinds of failure are remembered, want %d", n, maxFailures)
			}
			for _, f := range j.repeats.kinds {
				if len(f.sources.seen) > maxFailureSources || len(f.samples) > maxSamples {
					t.Fatalf("%d sources and %d samples of one kind", len(f.sources.seen), len(f.samples))
				}
			}
			if n := len(j.repeats.rest.sources.seen); n != maxFailureSources {
				t.Errorf("%d sources of the rest, want %d", n, maxFailureSources)
			}
		})
		logtest.After(time.Minute)
		var rest logtest.Line
		for _, l := range log.Take() {
			switch l.Msg {
			case "wrong protocol":
				logged++
			case msgFlood: // the same once more
			case msgOverflow:
				rest = l
				logged += l.Attrs["count"].Uint64()
			default:
				logged += l.Attrs["count"].Uint64()
			}
		}
		if logged != events || logged != suppressed+maxFailures {
			t.Errorf("%d of %d are logged or counted in a line, %d suppressed: what overflows must not be lost", logged, events, suppressed)
		}
		logtest.WantAttrs(t, rest, map[string]string{"sources": "64", "more_sources": "true", "class": "-"})
		if rest.Level != slog.LevelWarn {
			t.Errorf("the rest is logged at %v, want the highest level in it", rest.Level)
		}
	})
}
