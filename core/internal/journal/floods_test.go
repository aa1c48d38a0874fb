package journal

import (
	"log/slog"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/journal/logtest"
)

// bare posts n bare connections from one source at once.
func bare(j *Journal, source, n int, c event.Class) {
	for i := range n {
		e := event.Event{Class: c}
		if source >= 0 {
			e.Remote = logtest.From(source)
		}
		j.Post(&e)
		if i%500 == 0 {
			synctest.Wait()
		}
	}
	synctest.Wait()
}

func TestFloodFromOneSource(t *testing.T) {
	inJournal(t, Config{Summary: -1}, func(t *testing.T, j *Journal, log *logtest.Lines) {
		bare(j, 1, 120, event.TCPProbe)
		logtest.After(time.Minute)
		bare(j, 1, 120, event.TCPProbe)
		logtest.WantMessages(t, "two a second may be a prober", log.Take())
		logtest.After(time.Minute)

		bare(j, 1, 60, event.TLSProbe)
		bare(j, 2, 60, event.TLSProbe)
		bare(j, 1, 61, event.TLSProbe)
		got := log.Take()
		logtest.WantMessages(t, "one more begins a flood, at once", got, msgFloodSource)
		logtest.WantAttrs(t, got[0], map[string]string{"class": "tls_probe", "count": "121", "sources": "1", "top_source": "10.0.0.1",
			"top_count": "121", "window": "1m0s"})
		if got[0].Level != slog.LevelWarn {
			t.Errorf("flood at %v, want WARN", got[0].Level)
		}
		bare(j, 1, 79, event.TCPProbe)
		bare(j, 2, 90, event.TCPProbe)
		logtest.WantMessages(t, "it is logged once, a second source of it too", log.Take())
		logtest.After(time.Minute)
		bare(j, 1, 300, event.TCPProbe)
		logtest.WantMessages(t, "and not again while it lasts", log.Take())
		logtest.After(time.Minute)
		logtest.WantMessages(t, "its end is known when a minute was calm", log.Take())
		bare(j, 1, 100, event.TCPProbe)
		logtest.After(time.Minute)
		got = log.Take()
		logtest.WantMessages(t, "and logged then", got, msgFloodSourceOver)
		logtest.WantAttrs(t, got[0], map[string]string{"count": "650", "sources": "2", "top_source": "10.0.0.1", "top_count": "300", "duration": "1m0s"})
		if got[0].Level != slog.LevelInfo {
			t.Errorf("end of a flood at %v, want INFO", got[0].Level)
		}
		bare(j, 1, 121, event.TCPProbe)
		logtest.WantMessages(t, "the next is a new one", log.Take(), msgFloodSource)
	})
}

func TestFloodFromAll(t *testing.T) {
	inJournal(t, Config{Summary: -1}, func(t *testing.T, j *Journal, log *logtest.Lines) {
		for i := range 100 {
			bare(j, i, 12, event.ProxyProbe)
		}
		logtest.After(time.Minute)
		for i := range 100 {
			bare(j, i, 12, event.ProxyProbe)
		}
		logtest.WantMessages(t, "twenty a second from all may be probers", log.Take())
		bare(j, 100, 1, event.ProxyProbe)
		got := log.Take()
		logtest.WantMessages(t, "one more is a flood", got, msgFlood)
		logtest.WantAttrs(t, got[0], map[string]string{"class": "proxy_probe", "count": "1201", "sources": "101", "top_count": "12"})
		bare(j, 101, 9, event.IdleConnect)
		logtest.After(2 * time.Minute)
		got = log.Take()
		logtest.WantMessages(t, "and over after a calm minute", got, msgFloodOver)
		logtest.WantAttrs(t, got[0], map[string]string{"count": "1210", "sources": "102"})
	})
}

func TestFloodOfWhat(t *testing.T) {
	for _, r := range []struct {
		rule   string
		class  event.Class
		source int
		want   []string
	}{
		{"a platform's own connects", event.TCPProbe, 1, []string{msgFloodSource, msgFlood}},
		{"spare connections", event.IdleConnect, 1, []string{msgFloodSource, msgFlood}},
		{"without addresses there is no source to blame, only the total", event.TCPProbe, -1, []string{msgFlood}},
		{"answered health requests are not bare", event.HTTPProbe, 1, nil},
		{"a refused handshake is a request", event.HandshakeRefused, 1, nil},
	} {
		inJournal(t, Config{Summary: -1}, func(t *testing.T, j *Journal, log *logtest.Lines) {
			bare(j, r.source, 5000, r.class)
			got := log.Take()
			logtest.WantMessages(t, r.rule, slices.DeleteFunc(got, func(l logtest.Line) bool { return l.Msg == messages[r.class].first }), r.want...)
		})
	}
}

func TestFloodIsBounded(t *testing.T) {
	inJournal(t, Config{Summary: -1}, func(t *testing.T, j *Journal, log *logtest.Lines) {
		const events = 100_000
		for i := range events {
			j.Post(&event.Event{Class: event.TCPProbe, Remote: logtest.From(i)})
			if i%500 == 0 {
				synctest.Wait()
			}
		}
		inspect(t, j, func() {
			if n, m := len(j.floods.from), len(j.floods.all.sources.seen); n != maxFloodSources || m != maxFloodSources {
				t.Errorf("%d sources in the minute, %d in the flood, want %d", n, m, maxFloodSources)
			}
		})
		logtest.After(2 * time.Minute)
		got := log.Take()
		logtest.WantMessages(t, "two lines for 100,000 connects", got, msgFlood, msgFloodOver)
		logtest.WantAttrs(t, got[1], map[string]string{"count": "100000", "sources": "4096", "more_sources": "true"})
		inspect(t, j, func() {
			if j.floods.from != nil {
				t.Error("the table outlives the flood")
			}
		})
	})
}

// A byte does not hide a flood: every connection without a request counts, from any
// source. What this server closes at a drain does not.
func TestFloodOfAnyKind(t *testing.T) {
	for _, row := range []struct {
		class  event.Class
		reason event.Reason
		counts bool
	}{
		{event.TCPProbe, event.NoReason, true}, {event.TLSProbe, event.NoReason, true}, {event.ProxyProbe, event.NoReason, true}, {event.IdleConnect, event.NoReason, true},
		{event.BadRequest, event.ReasonTruncated, true}, {event.BadRequest, event.ReasonMalformed, true}, {event.WrongProtocol, event.ReasonTLSOnPlain, true},
		{event.TLSFailed, event.ReasonTruncated, true}, {event.TLSFailed, event.ReasonAborted, true}, {event.ServerClosed, event.ReasonLimit, true},
		{event.ServerClosed, event.ReasonDrain, false}, {event.ServerClosed, event.ReasonShutdown, false}, {event.HTTPProbe, event.NoReason, false}, {event.HandshakeRefused, event.ReasonBadKey, false},
	} {
		inJournal(t, Config{Summary: -1}, func(t *testing.T, j *Journal, log *logtest.Lines) {
			for i := range floodFromAll + 1 {
				j.Post(&event.Event{Class: row.class, Reason: row.reason, Remote: netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)}), 1)})
				if i%500 == 0 {
					synctest.Wait()
				}
			}
			synctest.Wait()
			logged := slices.ContainsFunc(log.Take(), func(l logtest.Line) bool { return l.Msg == msgFlood && l.Attrs["class"].String() == row.class.String() })
			if logged != row.counts {
				t.Errorf("%v/%v: flood logged %v", row.class, row.reason, logged)
			}
		})
	}
}
