package core

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/netip"
	"regexp"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/conn"
	"github.com/quietws/quietws/core/internal/conn/conntest"
	"github.com/quietws/quietws/core/internal/prober"
)

func TestStatsHaveRoomForEveryProber(t *testing.T) {
	if int(prober.Count) > probersMax {
		t.Errorf("%d probers, and counters for %d", prober.Count, probersMax)
	}
}

func TestCloseCodeIndex(t *testing.T) {
	for code, label := range map[int]string{
		0: "unknown", 1000: "1000", 1001: "1001", 1006: "1006", 1014: "1014",
		1004: "other", 1015: "other", 1016: "other", 999: "other", 3000: "other", 4999: "other", 70000: "other", -1: "other", -1000: "other",
	} {
		if got := closeCodes[closeCodeIndex(code)].label; got != label {
			t.Errorf("code %d counts as %q, want %q", code, got, label)
		}
	}
	seen := make(map[string]bool)
	for i, c := range closeCodes {
		if seen[c.label] {
			t.Errorf("label %q is there twice", c.label)
		}
		seen[c.label] = true
		if closeCodeIndex(c.code) != i {
			t.Errorf("code %d is counted as %q", c.code, closeCodes[closeCodeIndex(c.code)].label)
		}
	}
}

func TestSnapshotOfNothing(t *testing.T) {
	s := quietGuard(t, Config{}).Snapshot()
	if s.Accepted != 0 || s.Open != 0 || s.AcceptErrors != 0 || s.SessionsOpen != 0 || s.Dropped != 0 || s.Draining || !s.Ready {
		t.Errorf("%+v", s)
	}
	if got := slices.Sorted(maps.Keys(s.Closed)); !slices.Equal(got, event.Classes()) {
		t.Errorf("Closed has %v, want every class, including those with 0", got)
	}
	if len(s.Probes)+len(s.Handshakes)+len(s.SessionsEnded)+len(s.Suppressed)+len(s.LastSeen)+len(s.Checks) != 0 {
		t.Errorf("%+v", s)
	}
	for _, word := range []string{"closed", "answered", "dropped"} {
		if n, ok := s.Drained[word]; !ok || n != 0 {
			t.Errorf("Drained[%q] is %d, %v", word, n, ok)
		}
	}
}

// The caller owns the maps.
func TestSnapshotIsACopy(t *testing.T) {
	g := quietGuard(t, Config{})
	_ = registered(g, conntest.TCPAddr("127.0.0.1:1")).Close()
	s := g.Snapshot()
	clear(s.Closed)
	clear(s.Drained)
	if g.Snapshot().Closed[event.ServerClosed] != 1 {
		t.Error("a change to a snapshot changed the next")
	}
}

func TestStatsCount(t *testing.T) {
	g := quietGuard(t, Config{})
	s := &g.stats
	p := proberNamed(t, "kubelet")
	before := time.Now()
	s.countProbe(event.HTTPProbe, p, false)
	s.countProbe(event.HTTPProbe, p, false)
	s.countProbe(event.ProbeFailing, p, true)
	s.countProbe(event.TCPProbe, 0, false)
	s.countProbe(event.HTTPProbe, proberNamed(t, "haproxy"), false)
	s.seeProber(p, time.Now())
	s.seeProber(0, time.Now())
	s.handshakes[handshakeRefused][event.ReasonBadKey].Add(2)
	s.handshakes[handshakeAccepted][event.NoReason].Add(3)
	s.ended[endedVanished][closeCodeIndex(0)].Add(1)
	s.ended[endedClosed][closeCodeIndex(4000)].Add(1)
	s.suppressed[event.TCPProbe].Add(7)
	snap := g.Snapshot()
	for _, want := range []ProbeCount{
		{event.HTTPProbe, "kubelet", false, 2}, {event.ProbeFailing, "kubelet", true, 1}, {event.TCPProbe, "unknown", false, 1}, {event.HTTPProbe, "haproxy", false, 1},
	} {
		if !slices.Contains(snap.Probes, want) {
			t.Errorf("no %+v in %+v", want, snap.Probes)
		}
	}
	if want := []HandshakeCount{{"accepted", event.NoReason, 3}, {"refused", event.ReasonBadKey, 2}}; !slices.Equal(snap.Handshakes, want) {
		t.Errorf("handshakes %+v, want %+v", snap.Handshakes, want)
	}
	if want := []SessionCount{{"closed", "other", 1}, {"vanished", "unknown", 1}}; !slices.Equal(snap.SessionsEnded, want) {
		t.Errorf("sessions %+v, want %+v", snap.SessionsEnded, want)
	}
	if snap.Suppressed[event.TCPProbe] != 7 || len(snap.Suppressed) != 1 {
		t.Errorf("suppressed %v", snap.Suppressed)
	}
	// A prober that cannot be believed is counted, but not as seen.
	if at, ok := snap.LastSeen["kubelet"]; !ok || len(snap.LastSeen) != 1 || at.Before(before.Truncate(0)) || at.After(time.Now()) {
		t.Errorf("last seen %v", snap.LastSeen)
	}
}

func proberNamed(t *testing.T, name string) prober.Prober {
	t.Helper()
	for p := prober.Prober(1); p < prober.Count; p++ {
		if p.String() == name {
			return p
		}
	}
	t.Fatalf("no prober is called %q; there are %q", name, Probers())
	return 0
}

// While connections come and go on all cores, every snapshot adds up: the number of open
// ones is never negative, and no counter decreases.
func TestSnapshotUnderConcurrency(t *testing.T) {
	g := quietGuard(t, Config{})
	const workers, each = 8, 400
	var done atomic.Bool
	var users, watchers sync.WaitGroup
	for i := range workers {
		users.Go(func() {
			for k := range each {
				c := registered(g, conntest.TCPAddr(netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), uint16(i*each+k)).String()))
				if k%2 == 0 {
					c.Mark(conn.Ordinary)
				}
				_ = c.Close()
			}
		})
	}
	for range 2 {
		watchers.Go(func() {
			var last Snapshot
			for !done.Load() {
				s := g.Snapshot()
				var ended uint64
				for _, n := range s.Closed {
					ended += n
				}
				// Connections that came and went while it was taken may count as open.
				if s.Open > workers*each || s.Accepted != s.Open+ended {
					t.Errorf("accepted %d, open %d, ended %d", s.Accepted, s.Open, ended)
					return
				}
				if s.Accepted < last.Accepted || s.Closed[event.HTTP] < last.Closed[event.HTTP] {
					t.Errorf("a counter went back: %d, then %d", last.Accepted, s.Accepted)
				}
				last = s
			}
		})
	}
	users.Wait()
	done.Store(true)
	watchers.Wait()
	s := g.Snapshot()
	if s.Accepted != workers*each || s.Open != 0 || s.Closed[event.HTTP] != workers*each/2 || s.Closed[event.ServerClosed] != workers*each/2 {
		t.Errorf("accepted %d, open %d, closed %v", s.Accepted, s.Open, s.Closed)
	}
	emptyRegistry(t, g.watch.Conns)
}

// An adapter has its own version. A folder in place of the module has none, whatever
// version is required.
func TestVersion(t *testing.T) {
	if Version() == "" {
		t.Error("no version: the label of a metric would be empty")
	}
	const quietws = "github.com/quietws/quietws"
	adapter := &debug.Module{Path: quietws + "/echows", Version: "v0.9.0"}
	for _, row := range []struct {
		rule string
		info debug.BuildInfo
		want string
	}{
		{"a dependency", debug.BuildInfo{Main: debug.Module{Path: "app", Version: "v7.0.0"}, Deps: []*debug.Module{adapter, {Path: quietws, Version: "v0.2.0"}}}, "v0.2.0"},
		{"replaced by a fork", debug.BuildInfo{Deps: []*debug.Module{{Path: quietws, Version: "v0.2.0", Replace: &debug.Module{Path: "fork", Version: "v0.2.1"}}}}, "v0.2.1"},
		{"replaced by a folder", debug.BuildInfo{Deps: []*debug.Module{{Path: quietws, Version: "v0.2.0", Replace: &debug.Module{Path: "../.."}}}}, "(devel)"},
		{"its own tests", debug.BuildInfo{Main: debug.Module{Path: quietws, Version: "(devel)"}}, "(devel)"},
		{"the adapter alone is known", debug.BuildInfo{Deps: []*debug.Module{adapter}}, "(devel)"},
	} {
		if got := versionIn(&row.info); got != row.want {
			t.Errorf("%s: %q, want %q", row.rule, got, row.want)
		}
	}
}

// Classes and reasons are words in JSON, as values and as keys.
func TestSnapshotInJSON(t *testing.T) {
	text, err := json.Marshal(quietGuard(t, Config{}).Snapshot())
	if err != nil || regexp.MustCompile(`"(Class|Reason)":\d`).Match(text) || !bytes.Contains(text, []byte(`"tcp_probe":0`)) {
		t.Errorf("%s, %v", text, err)
	}
}
