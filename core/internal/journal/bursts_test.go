package journal

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/journal/logtest"
	"github.com/quietws/quietws/core/internal/prober"
)

// probed reports an answered probe as a request does, and whether it was posted.
func probed(j *Journal, a netip.AddrPort, p prober.Prober) (posted bool) {
	if j.InBurst(a.Addr(), p, 2) {
		return false
	}
	j.Post(&event.Event{Class: event.HTTPProbe, Platform: true, Remote: a, Prober: p.String(), Status: 200})
	return true
}

// However many probes come and however fast, the summary and the counts include all of
// them, and almost none is posted.
func TestBurstsLoseNoCount(t *testing.T) {
	const rounds, sources = 20_000, 5
	var suppressed uint64
	c := Config{Summary: time.Minute, Suppressed: func(_ event.Class, n uint64) { suppressed += n }}
	inJournal(t, c, func(t *testing.T, j *Journal, log *logtest.Lines) {
		posted, gaps := 0, 0
		for i := range rounds {
			for s := range sources {
				if probed(j, logtest.From(s), prober.Kubelet) {
					posted++
				}
			}
			if probed(j, logtest.From(sources), prober.HAProxy) {
				posted++
			}
			switch {
			case j.bursts.window.Load() == 0:
				gaps++
				synctest.Wait()
			case i%200 == 0:
				logtest.After(5 * time.Millisecond)
			}
		}
		if posted > 200 || gaps > 2 {
			t.Errorf("%d of %d probes were posted, %d times there was no window", posted, rounds*(sources+1), gaps)
		}
		logtest.After(2 * time.Minute)
		lines := log.Take()
		logtest.WantMessages(t, "two first probes and a summary", lines, msgSeen, msgSeen, msgSummary)
		logtest.WantAttrs(t, lines[2], map[string]string{
			"http_probe.kubelet": "100000", "http_probe.haproxy": "20000", "sources": "6", "suppressed": "119998", "other": "-",
		})
		inspect(t, j, func() {
			if suppressed != rounds*(sources+1)-2 {
				t.Errorf("%d lines are counted as kept quiet, want all but the two first probes", suppressed)
			}
			if !j.next.IsZero() || !j.bursts.until.IsZero() || j.bursts.window.Load() != 0 {
				t.Errorf("nothing happens, and a timer is set to %v, a window ends at %v", j.next, j.bursts.until)
			}
		})
	})
}

// A source that goes on is in every summary, and each probe is in the summary of the
// interval in which it came.
func TestBurstsKeepEachSummaryComplete(t *testing.T) {
	const half = 30_020 // no multiple of the window, so that an interval ends within one
	inJournal(t, Config{Summary: half * time.Millisecond}, func(t *testing.T, j *Journal, log *logtest.Lines) {
		for i := range 2 * half {
			probed(j, logtest.From(1), prober.Kubelet) // the one that opens each window
			synctest.Wait()
			probed(j, logtest.From(2), prober.Kubelet)
			if i >= half {
				probed(j, logtest.From(1), prober.Envoy) // so that there is a second summary
			}
			logtest.After(time.Millisecond)
		}
		logtest.After(time.Minute)
		lines := log.Take()
		logtest.WantMessages(t, "a summary of each half", lines, msgSeen, msgSummary, msgSeen, msgSummary)
		logtest.WantAttrs(t, lines[1], map[string]string{"sources": "2", "http_probe.kubelet": "60040", "http_probe.envoy": "-"})
		logtest.WantAttrs(t, lines[3], map[string]string{"sources": "2", "http_probe.kubelet": "60040", "http_probe.envoy": "30020"})
	})
}

// An observer and a log at Debug get every probe.
func TestBurstsOnlyWithoutAReader(t *testing.T) {
	debug := &logtest.Lines{Level: slog.LevelDebug}
	seen := 0
	for rule, c := range map[string]Config{
		"an observer":    {Observe: func(event.Event) { seen++ }},
		"a log at Debug": {Logger: slog.New(debug)},
	} {
		inJournal(t, c, func(t *testing.T, j *Journal, _ *logtest.Lines) {
			for range 500 {
				if !probed(j, logtest.From(1), prober.Kubelet) {
					t.Fatalf("%s: a probe was not posted", rule)
				}
				synctest.Wait()
			}
		})
	}
	if n := len(debug.Take()); n != 500 || seen != 500 {
		t.Errorf("%d lines at Debug and %d events, want 500 each", n, seen)
	}
}

// At the pace of one prober there are no windows, and so no timer.
func TestBurstsNotAtThePaceOfAProber(t *testing.T) {
	inJournal(t, Config{Summary: -1}, func(t *testing.T, j *Journal, _ *logtest.Lines) {
		for range 1000 {
			if !probed(j, logtest.From(1), prober.Kubelet) {
				t.Fatal("a probe was not posted")
			}
			logtest.After(burstWindow)
		}
		inspect(t, j, func() {
			if j.bursts.windows != 0 {
				t.Errorf("%d windows were opened", j.bursts.windows)
			}
		})
	})
}

// A log that is switched to Debug shows every probe from the next window on.
func TestBurstsEndWithDebug(t *testing.T) {
	var level slog.LevelVar
	log := &logtest.Lines{}
	synctest.Test(t, func(t *testing.T) {
		j := startJournal(Config{Logger: slog.New(levelled{log, &level})})
		defer j.Close(time.Second)
		for range 100 {
			probed(j, logtest.From(1), prober.Kubelet)
			synctest.Wait()
		}
		if n := len(log.Take()); n != 1 || j.bursts.window.Load() == 0 {
			t.Errorf("%d lines, want that of the first probe, and an open window", n)
		}
		level.Set(slog.LevelDebug)
		logtest.After(burstWindow)
		for range 100 {
			probed(j, logtest.From(1), prober.Kubelet)
			synctest.Wait()
		}
		if n := len(log.Take()); n != 100 {
			t.Errorf("%d lines, want 100", n)
		}
	})
}

// levelled is Lines with a level that changes.
type levelled struct {
	*logtest.Lines
	at *slog.LevelVar
}

func (l levelled) Enabled(_ context.Context, level slog.Level) bool { return level >= l.at.Level() }

// Another prober, or the same one from another source, is posted at once.
func TestBurstsKeepSourcesApart(t *testing.T) {
	inJournal(t, Config{}, func(t *testing.T, j *Journal, _ *logtest.Lines) {
		for range 10 {
			probed(j, logtest.From(1), prober.Kubelet)
			synctest.Wait()
		}
		if probed(j, logtest.From(1), prober.Kubelet) {
			t.Error("no window is open")
		}
		six := netip.MustParseAddrPort("[2001:db8::1]:1")
		for _, row := range []struct {
			a netip.AddrPort
			p prober.Prober
		}{{logtest.From(2), prober.Kubelet}, {logtest.From(1), prober.HAProxy}, {logtest.From(1), prober.None}, {six, prober.Kubelet}, {netip.AddrPort{}, prober.Kubelet}} {
			if !probed(j, row.a, row.p) {
				t.Errorf("%v from %v was not posted", row.p, row.a)
			}
		}
		if j.InBurst(logtest.From(1).Addr(), prober.Kubelet, 1) {
			t.Error("another route was not posted")
		}
	})
}

// A window ends even while the logger blocks: the time at which a prober was last seen
// must not depend on the logger.
func TestBurstsEndWhileTheLoggerBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		log := &logtest.Lines{Before: func(r slog.Record) {
			if r.Message == "block" {
				<-release
			}
		}}
		j := startJournal(Config{Logger: slog.New(levelled{log, new(slog.LevelVar)})})
		for range 2 {
			for range 10 {
				probed(j, logtest.From(1), prober.Kubelet)
				synctest.Wait()
			}
			j.Note(slog.LevelInfo, "block")
			if probed(j, logtest.From(1), prober.Kubelet) {
				t.Error("no window is open")
			}
			logtest.After(burstStuck)
			if !probed(j, logtest.From(1), prober.Kubelet) {
				t.Error("the window is still open")
			}
			release <- struct{}{}
			synctest.Wait()
		}
		if err := j.Close(time.Second); err != nil {
			t.Error(err)
		}
		if j.InBurst(logtest.From(1).Addr(), prober.Kubelet, 2) {
			t.Error("a window is open after close")
		}
	})
}

// For the race detector; and no count is lost.
func TestBurstsConcurrent(t *testing.T) {
	var suppressed uint64
	j := startJournal(Config{Logger: slog.New(&logtest.Lines{Level: slog.LevelInfo}), Suppressed: func(_ event.Class, n uint64) { suppressed += n }})
	var wg sync.WaitGroup
	for s := range 4 {
		wg.Go(func() {
			for i := range 5000 {
				probed(j, logtest.From(s), prober.Kubelet)
				if i%100 == 0 {
					_ = j.Flush(t.Context())
				}
			}
		})
	}
	wg.Wait()
	if err := j.Close(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	if got := suppressed + j.Dropped() + 1; got != 20_000 {
		t.Errorf("%d of 20000 are accounted for", got)
	}
}
