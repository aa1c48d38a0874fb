package journal

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/journal/logtest"
)

func TestSummaryOnlyAfterAChange(t *testing.T) {
	c := Config{Summary: time.Hour}
	inJournal(t, c, func(t *testing.T, j *Journal, log *logtest.Lines) {
		hour := func(rule string, want []string, events ...event.Event) []logtest.Line {
			t.Helper()
			for i := range 60 {
				for k, e := range events {
					e.Remote = logtest.From(k)
					j.Post(&e)
				}
				_ = i
				logtest.After(time.Minute)
			}
			got := log.Take()
			logtest.WantMessages(t, rule, got, want...)
			return got
		}
		tcp := event.Event{Class: event.TCPProbe, Platform: true}
		google := event.Event{Class: event.HTTPProbe, Prober: "GoogleHC", Status: 200}
		public := event.Event{Class: event.TCPProbe}
		got := hour("the first hour is logged", []string{msgSeen, msgSeen, msgSummary}, tcp, google)
		logtest.WantAttrs(t, got[2], map[string]string{"window": "1h0m0s", "sources": "2", "tcp_probe.unknown": "60",
			"http_probe.GoogleHC": "60", "suppressed": "118", "dropped": "-"})
		if got[2].Level != slog.LevelInfo {
			t.Errorf("summary at %v", got[2].Level)
		}
		hour("the same again is not", nil, tcp, google)
		hour("one more source is no change", nil, tcp, google, public)
		got = hour("one prober less is", []string{msgSummary}, tcp)
		logtest.WantAttrs(t, got[0], map[string]string{"tcp_probe.unknown": "60", "http_probe.GoogleHC": "-", "suppressed": "60"})
		hour("nothing at all is not logged", nil)
		hour("and after it the last printed summary still holds", nil, tcp)
		bad := event.Event{Class: event.BadRequest}
		got = hour("what the internet does is seen here only", []string{msgSummary}, tcp, bad)
		logtest.WantAttrs(t, got[0], map[string]string{"bad_request.unknown": "60"})
	})
}

// One event, one line: a failure that has a line of its own is no reason for a summary,
// but a summary that is printed counts it.
func TestSummaryAndFailures(t *testing.T) {
	inJournal(t, Config{}, func(t *testing.T, j *Journal, log *logtest.Lines) {
		j.Post(&event.Event{Class: event.HandlerPanic})
		logtest.After(2 * time.Hour)
		logtest.WantMessages(t, "one failure, one line", log.Take(), "handler panicked")
		j.Post(&event.Event{Class: event.HandlerPanic})
		j.Post(&event.Event{Class: event.TCPProbe})
		j.Post(&event.Event{Class: event.SessionEnded})
		logtest.After(2 * time.Hour)
		got := log.Take()
		logtest.WantMessages(t, "a summary", got, "handler panicked", msgSummary)
		logtest.WantAttrs(t, got[1], map[string]string{"handler_panic.unknown": "1", "tcp_probe.unknown": "1", "session.unknown": "-"})
		j.Post(&event.Event{Class: event.HandlerPanic})
		logtest.After(2 * time.Hour)
		logtest.WantMessages(t, "and after a summary still one line", log.Take(), "handler panicked")
	})
}

func TestSummaryOff(t *testing.T) {
	inJournal(t, Config{Summary: -1}, func(t *testing.T, j *Journal, log *logtest.Lines) {
		j.Post(&event.Event{Class: event.TCPProbe, Platform: true})
		logtest.After(100 * time.Hour)
		logtest.WantMessages(t, "negative: never", log.Take(), msgSeen)
	})
}

func TestSummaryCountsLostLines(t *testing.T) {
	inJournal(t, Config{}, func(t *testing.T, j *Journal, log *logtest.Lines) {
		j.lost.Add(3)
		j.Post(&event.Event{Class: event.TCPProbe})
		logtest.After(2 * time.Hour)
		got := log.Take()
		logtest.WantMessages(t, "lost lines", got, msgLost, msgSummary)
		logtest.WantAttrs(t, got[1], map[string]string{"dropped": "3"})
	})
}

func TestSummaryIsBounded(t *testing.T) {
	inJournal(t, Config{}, func(t *testing.T, j *Journal, log *logtest.Lines) {
		const events = 100_000
		for i := range events {
			j.Post(&event.Event{Class: event.HandshakeRefused, Reason: event.ReasonDraining, Prober: logtest.From(i).String(), Remote: logtest.From(i)})
			if i%500 == 0 {
				synctest.Wait()
			}
		}
		inspect(t, j, func() {
			if n, m := len(j.summary.pairs), len(j.summary.sources.seen); n != maxPairs || m != maxSummarySources {
				t.Errorf("%d pairs and %d sources, want %d and %d", n, m, maxPairs, maxSummarySources)
			}
		})
		logtest.After(time.Hour)
		got := log.Take()
		logtest.WantMessages(t, "one line", got, msgSummary)
		if n := got[0].Attrs["other"].Uint64(); n != events-maxPairs {
			t.Errorf("other = %d, want %d: what is not named is counted", n, events-maxPairs)
		}
		logtest.WantAttrs(t, got[0], map[string]string{"more_sources": "true", "suppressed": "100000"})
	})
}
