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

// probed is an answered probe as a request reports it; it says whether the
// journal was given it.
func probed(j *Journal, a netip.AddrPort, p prober.Prober) (handed bool) {
	if j.Hushed(a.Addr(), p, 2) {
		return false
	}
	j.Post(&event.Event{Class: event.HTTPProbe, Platform: true, Remote: a, Prober: p.String(), Status: 200})
	return true
}

// However many probes come and however fast, the summary and the counts are
// those of all of them, and nearly none is handed over.
func TestHushLosesNoCount(t *testing.T) {
	const rounds, sources = 20_000, 5
	var suppressed uint64
	c := Config{Summary: time.Minute, Suppressed: func(_ event.Class, n uint64) { suppressed += n }}
	inJournal(t, c, func(t *testing.T, j *Journal, log *logtest.Lines) {
		handed, gaps := 0, 0
		for i := range rounds {
			for s := range sources {
				if probed(j, logtest.From(s), prober.Kubelet) {
					handed++
				}
			}
			if probed(j, logtest.From(sources), prober.HAProxy) {
				handed++
			}
			switch {
			case j.hush.open.Load() == 0:
				gaps++
				synctest.Wait()
			case i%200 == 0:
				logtest.After(5 * time.Millisecond)
			}
		}
		if handed > 200 || gaps > 2 {
			t.Errorf("%d of %d probes were handed over, %d times there was no window", handed, rounds*(sources+1), gaps)
		}
		logtest.After(2 * time.Minute)
		lines := log.Take()
		logtest.WantMessages(t, "two sights and a summary", lines, msgSeen, msgSeen, msgSummary)
		logtest.WantAttrs(t, lines[2], map[string]string{
			"http_probe.kubelet": "100000", "http_probe.haproxy": "20000", "sources": "6", "suppressed": "119998", "other": "-",
		})
		inspect(t, j, func() {
			if suppressed != rounds*(sources+1)-2 {
				t.Errorf("%d lines are counted as kept quiet, want all but the two sights", suppressed)
			}
			if !j.next.IsZero() || !j.hush.end.IsZero() || j.hush.open.Load() != 0 {
				t.Errorf("nothing happens, and a timer is set to %v, a window ends at %v", j.next, j.hush.end)
			}
		})
	})
}

// A source that goes on is in every summary, and what was counted in an
// interval is in the summary of that one.
func TestHushKeepsEachSummaryWhole(t *testing.T) {
	const half = 30_020 // not whole windows, so that a summary comes within one
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

// Who wants every probe gets every probe.
func TestHushSparesNobodyWhoLooks(t *testing.T) {
	debug := &logtest.Lines{Level: slog.LevelDebug}
	seen := 0
	for rule, c := range map[string]Config{
		"an observer":    {Observe: func(event.Event) { seen++ }},
		"a log at Debug": {Logger: slog.New(debug)},
	} {
		inJournal(t, c, func(t *testing.T, j *Journal, _ *logtest.Lines) {
			for range 500 {
				if !probed(j, logtest.From(1), prober.Kubelet) {
					t.Fatalf("%s: a probe was not handed over", rule)
				}
				synctest.Wait()
			}
		})
	}
	if n := len(debug.Take()); n != 500 || seen != 500 {
		t.Errorf("%d lines at Debug and %d events, want 500 each", n, seen)
	}
}

// At the pace of a prober there are no windows, and so no timer.
func TestHushLeavesProbersAlone(t *testing.T) {
	inJournal(t, Config{Summary: -1}, func(t *testing.T, j *Journal, _ *logtest.Lines) {
		for range 1000 {
			if !probed(j, logtest.From(1), prober.Kubelet) {
				t.Fatal("a probe was not handed over")
			}
			logtest.After(hushWindow)
		}
		inspect(t, j, func() {
			if j.hush.windows != 0 {
				t.Errorf("%d windows were opened", j.hush.windows)
			}
		})
	})
}

// A log that is turned to Debug shows every probe from the next window on.
func TestHushSeesDebugTurnedOn(t *testing.T) {
	var level slog.LevelVar
	log := &logtest.Lines{}
	synctest.Test(t, func(t *testing.T) {
		j := startJournal(Config{Logger: slog.New(levelled{log, &level})})
		defer j.Close(time.Second)
		for range 100 {
			probed(j, logtest.From(1), prober.Kubelet)
			synctest.Wait()
		}
		if n := len(log.Take()); n != 1 || j.hush.open.Load() == 0 {
			t.Errorf("%d lines, want the sight, and a window to be open", n)
		}
		level.Set(slog.LevelDebug)
		logtest.After(hushWindow)
		for range 100 {
			probed(j, logtest.From(1), prober.Kubelet)
			synctest.Wait()
		}
		if n := len(log.Take()); n != 100 {
			t.Errorf("%d lines, want 100", n)
		}
	})
}

// levelled is logLines with a level that changes.
type levelled struct {
	*logtest.Lines
	at *slog.LevelVar
}

func (l levelled) Enabled(_ context.Context, level slog.Level) bool { return level >= l.at.Level() }

// Another prober, or the same from another source, is handed over at once.
func TestHushTellsSourcesApart(t *testing.T) {
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
				t.Errorf("%v from %v was not handed over", row.p, row.a)
			}
		}
		if j.Hushed(logtest.From(1).Addr(), prober.Kubelet, 1) {
			t.Error("another route was not handed over")
		}
	})
}

// A window ends though the logger blocks: when a prober was last seen must not
// hang on it.
func TestHushEndsWhileTheLoggerBlocks(t *testing.T) {
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
			logtest.After(hushStuck)
			if !probed(j, logtest.From(1), prober.Kubelet) {
				t.Error("the window is still open")
			}
			release <- struct{}{}
			synctest.Wait()
		}
		if err := j.Close(time.Second); err != nil {
			t.Error(err)
		}
		if j.Hushed(logtest.From(1).Addr(), prober.Kubelet, 2) {
			t.Error("a window is open after close")
		}
	})
}

// For the race detector, and once more that none is lost.
func TestHushConcurrent(t *testing.T) {
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
