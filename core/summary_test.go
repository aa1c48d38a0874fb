package core

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quietws/quietws/core/event"
)

func TestSummaryOnlyWhenThePictureChanged(t *testing.T) {
	c := journalConfig{summary: time.Hour}
	inJournal(t, c, func(t *testing.T, j *journal, log *logLines) {
		hour := func(rule string, want []string, events ...event.Event) []logLine {
			t.Helper()
			for i := range 60 {
				for k, e := range events {
					e.Remote = from(k)
					j.post(&e)
				}
				_ = i
				after(time.Minute)
			}
			got := log.take()
			wantMessages(t, rule, got, want...)
			return got
		}
		tcp := event.Event{Class: event.TCPProbe, Platform: true}
		google := event.Event{Class: event.HTTPProbe, Prober: "GoogleHC", Status: 200}
		public := event.Event{Class: event.TCPProbe}
		got := hour("the first hour is told", []string{msgSeen, msgSeen, msgSummary}, tcp, google)
		wantAttrs(t, got[2], map[string]string{"window": "1h0m0s", "sources": "2", "tcp_probe.unknown": "60",
			"http_probe.GoogleHC": "60", "suppressed": "118", "dropped": "-"})
		if got[2].level != slog.LevelInfo {
			t.Errorf("summary at %v", got[2].level)
		}
		hour("the same again is not", nil, tcp, google)
		hour("a source more does not change the picture", nil, tcp, google, public)
		got = hour("a prober less does", []string{msgSummary}, tcp)
		wantAttrs(t, got[0], map[string]string{"tcp_probe.unknown": "60", "http_probe.GoogleHC": "-", "suppressed": "60"})
		hour("nothing at all is not told", nil)
		hour("and after it the last printed picture still holds", nil, tcp)
		bad := event.Event{Class: event.BadRequest}
		got = hour("what the internet does is seen here only", []string{msgSummary}, tcp, bad)
		wantAttrs(t, got[0], map[string]string{"bad_request.unknown": "60"})
	})
}

// One event, one line: a failure that has its own is no reason for a summary,
// but a summary that is printed counts it.
func TestSummaryAndFailures(t *testing.T) {
	inJournal(t, journalConfig{}, func(t *testing.T, j *journal, log *logLines) {
		j.post(&event.Event{Class: event.HandlerPanic})
		after(2 * time.Hour)
		wantMessages(t, "one failure, one line", log.take(), "handler panicked")
		j.post(&event.Event{Class: event.HandlerPanic})
		j.post(&event.Event{Class: event.TCPProbe})
		j.post(&event.Event{Class: event.SessionEnded})
		after(2 * time.Hour)
		got := log.take()
		wantMessages(t, "a summary", got, "handler panicked", msgSummary)
		wantAttrs(t, got[1], map[string]string{"handler_panic.unknown": "1", "tcp_probe.unknown": "1", "session.unknown": "-"})
		j.post(&event.Event{Class: event.HandlerPanic})
		after(2 * time.Hour)
		wantMessages(t, "and after a summary still one line", log.take(), "handler panicked")
	})
}

func TestSummaryOff(t *testing.T) {
	inJournal(t, journalConfig{summary: -1}, func(t *testing.T, j *journal, log *logLines) {
		j.post(&event.Event{Class: event.TCPProbe, Platform: true})
		after(100 * time.Hour)
		wantMessages(t, "negative: never", log.take(), msgSeen)
	})
}

func TestSummaryTellsWhatWasLost(t *testing.T) {
	inJournal(t, journalConfig{}, func(t *testing.T, j *journal, log *logLines) {
		j.lost.Add(3)
		j.post(&event.Event{Class: event.TCPProbe})
		after(2 * time.Hour)
		got := log.take()
		wantMessages(t, "lost lines", got, msgLost, msgSummary)
		wantAttrs(t, got[1], map[string]string{"dropped": "3"})
	})
}

func TestSummaryIsBounded(t *testing.T) {
	inJournal(t, journalConfig{}, func(t *testing.T, j *journal, log *logLines) {
		const events = 100_000
		for i := range events {
			j.post(&event.Event{Class: event.HandshakeRefused, Reason: event.ReasonDraining, Prober: from(i).String(), Remote: from(i)})
			if i%500 == 0 {
				synctest.Wait()
			}
		}
		inspect(t, j, func() {
			if n, m := len(j.picture.pairs), len(j.picture.sources.seen); n != maxPairs || m != maxSummarySources {
				t.Errorf("%d pairs and %d sources, want %d and %d", n, m, maxPairs, maxSummarySources)
			}
		})
		after(time.Hour)
		got := log.take()
		wantMessages(t, "one line", got, msgSummary)
		if n := got[0].attrs["other"].Uint64(); n != events-maxPairs {
			t.Errorf("other = %d, want %d: what is not named is counted", n, events-maxPairs)
		}
		wantAttrs(t, got[0], map[string]string{"more_sources": "true", "suppressed": "100000"})
	})
}
