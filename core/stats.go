package core

import (
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/conn"
	"github.com/quietws/quietws/core/internal/prober"
)

// stats are the counters. An ordinary request touches none of them. Counters that are
// touched for each connection or event are split into stripes, so that cores do not
// compete for a cache line.
type stats struct {
	accepted     atomic.Uint64 // by one goroutine per listener
	acceptErrors atomic.Uint64
	sessions     atomic.Int64 // open now
	stripes      [statStripes]struct {
		closed [classCount]atomic.Uint64
		_      [64]byte
	}
	probes     [classCount][probersMax][2]atomic.Uint64 // [ok, failing]
	lastSeen   [probersMax]atomic.Int64                 // unix nanoseconds
	handshakes [handshakeResults][reasonCount]atomic.Uint64
	broken     atomic.Uint64 // failed handshakes that are this server's fault
	ended      [len(sessionEnds)][len(closeCodes)]atomic.Uint64
	suppressed [classCount]atomic.Uint64
	drained    [drainOutcomes]atomic.Uint64
}

// The numbers of classes and reasons, including the zero values.
const (
	classCount  = int(event.TCPProbe) + 1
	reasonCount = int(event.ReasonShutdown) + 1
)

const (
	statStripes = 16
	probersMax  = 128 // more than the table has; a test checks that
)

// The results of a handshake.
const (
	handshakeAccepted = iota
	handshakeRefused
	handshakeFailed
	handshakeResults
)

var handshakeWords = [handshakeResults]string{"accepted", "refused", "failed"}

// sessionEnds are the words of SessionEnd.End.
var sessionEnds = [...]string{"ended", "closed", "vanished", "server", "timeout", "panic"}

const (
	endedUnknown = iota
	endedClosed
	endedVanished
	endedServer
	endedTimeout
	endedPanic
)

// closeCodes are the close codes that have their own label: those that RFC 6455 §7.4.1
// allows in a close frame, and those registered later.
var closeCodes = [...]struct {
	code  int
	label string
}{
	{0, "unknown"}, {-1, "other"},
	{1000, "1000"}, {1001, "1001"}, {1002, "1002"}, {1003, "1003"}, {1005, "1005"}, {1006, "1006"}, {1007, "1007"},
	{1008, "1008"}, {1009, "1009"}, {1010, "1010"}, {1011, "1011"}, {1012, "1012"}, {1013, "1013"}, {1014, "1014"},
}

func closeCodeIndex(code int) int {
	for i, c := range closeCodes {
		if c.code == code {
			return i
		}
	}
	return 1
}

const (
	drainClosed = iota
	drainAnswered
	drainDropped
	drainOutcomes
)

var drainWords = [drainOutcomes]string{"closed", "answered", "dropped"}

func (s *stats) countClosed(c *conn.Conn, class event.Class) {
	s.stripes[c.Shard()%statStripes].closed[class].Add(1)
}

func (s *stats) countProbe(class event.Class, p prober.Prober, failing bool) {
	outcome := 0
	if failing {
		outcome = 1
	}
	s.probes[class][p][outcome].Add(1)
}

// seeProber records when a prober was seen where its claim can be believed.
func (s *stats) seeProber(p prober.Prober, at time.Time) {
	if p != 0 {
		s.lastSeen[p].Store(at.UnixNano())
	}
}

func (s *stats) closed(class event.Class) (n uint64) {
	for i := range s.stripes {
		n += s.stripes[i].closed[class].Load()
	}
	return n
}

// Snapshot is what the guard has counted since New. The numbers only grow, except Open
// and SessionsOpen. These, Ready, Draining and Checks show the present. The caller owns
// the maps and slices. Package prom exports it to Prometheus.
type Snapshot struct {
	// Accepted counts connections that were accepted through Listener, TLSListener or
	// Serve, or, with Attach alone, those that the server reported. With only Wrap or an
	// adapter's Middleware there are none. Open is Accepted minus the sum of Closed.
	Accepted, Open uint64
	// Closed has every class, including those with a count of 0.
	Closed map[event.Class]uint64
	// AcceptErrors counts errors of Accept after which the listener tried again, such as
	// too many open files.
	AcceptErrors uint64

	// Probes counts requests of the classes HTTPProbe and ProbeFailing, and connections
	// of the other probe classes. Entries of 0 are omitted.
	Probes []ProbeCount
	// Handshakes counts requests that asked to upgrade, and requests that were refused on
	// a WebSocket route. Entries of 0 are omitted.
	Handshakes []HandshakeCount
	// HandshakesBroken counts failed handshakes that are this server's fault: good
	// handshakes on a WebSocket route that it did not complete. It does not count a
	// handshake for a page that answers 5xx, or one whose client sent frames before it
	// had the answer.
	HandshakesBroken uint64
	// SessionsOpen counts WebSocket sessions, also those on connections that
	// are not counted in Open because only Middleware is in use. SessionsLimit
	// is Config.MaxSessions, 0 where there is no limit.
	SessionsOpen  uint64
	SessionsLimit int
	// SessionsEnded counts sessions that ended. Entries of 0 are omitted.
	SessionsEnded []SessionCount
	// Suppressed counts the log lines that were suppressed or collapsed, by class;
	// entries of 0 are omitted. Dropped counts the events and lines that were lost,
	// because the log or the observer was too slow or the guard was closed.
	Suppressed map[event.Class]uint64
	Dropped    uint64
	// LastSeen is the time when a prober, by a name of [Probers] or "configured", was
	// last seen at a platform's address or in one of its own ranges.
	LastSeen map[string]time.Time

	// Ready is what the ready route answers, not counting a request's exclude=. Draining
	// is true from the start of a drain.
	Ready, Draining bool
	// Checks are those of a [Config.Health] that has a Checks method: see [Health].
	Checks []CheckStatus
	// Drained counts sessions by their outcome at the drain: "answered" completed the
	// closing handshake, "closed" ended in another way, "dropped" were closed at the
	// deadline.
	Drained map[string]uint64
}

// ProbeCount is a number of probes. Prober is a name of [Probers], "configured" for a
// prober without a known name at an address of [Config.ProbeSources], or "unknown".
// Failing: not answered 2xx or 3xx.
type ProbeCount struct {
	Class   event.Class
	Prober  string
	Failing bool
	N       uint64
}

// HandshakeCount is a number of handshakes. Result is "accepted", "refused" or
// "failed"; Reason is NoReason for "accepted".
type HandshakeCount struct {
	Result string
	Reason event.Reason
	N      uint64
}

// SessionCount is a number of sessions that ended. End is a word of [event.SessionEnd];
// Code is a code of RFC 6455 §7.4.1, "other" or "unknown".
type SessionCount struct {
	End, Code string
	N         uint64
}

// Snapshot returns the counters. You may call it at any time, also after Close. Accepted
// is never less than the sum of Closed; apart from that, the numbers are read one after
// the other while the server goes on. It asks [Config.Health] whether the server is
// ready, and waits for nothing else. Both a Health and Config.Observe may call it: while
// one caller asks Health, every other gets its latest answer.
func (g *Guard) Snapshot() Snapshot {
	if g == nil {
		return Snapshot{
			Closed: make(map[event.Class]uint64), Suppressed: make(map[event.Class]uint64), LastSeen: make(map[string]time.Time),
			Drained: make(map[string]uint64), Ready: true,
		}
	}
	s := &g.stats
	snap := Snapshot{
		Closed:       make(map[event.Class]uint64, classCount-1),
		Suppressed:   make(map[event.Class]uint64),
		LastSeen:     make(map[string]time.Time),
		Drained:      make(map[string]uint64, drainOutcomes),
		AcceptErrors: s.acceptErrors.Load(),
		Dropped:      g.journal.Dropped(),
		SessionsOpen: uint64(max(s.sessions.Load(), 0)),
		Draining:     g.isDraining(),
		Ready:        g.ready(),

		HandshakesBroken: g.stats.broken.Load(),
		SessionsLimit:    g.config.MaxSessions,
	}
	var ended uint64
	for _, c := range event.Classes() {
		n := s.closed(c)
		snap.Closed[c] = n
		ended += n
		if n := s.suppressed[c].Load(); n > 0 {
			snap.Suppressed[c] = n
		}
		for p := range s.probes[c] {
			for outcome := range s.probes[c][p] {
				if n := s.probes[c][p][outcome].Load(); n > 0 {
					snap.Probes = append(snap.Probes, ProbeCount{c, proberWord(prober.Prober(p)), outcome == 1, n})
				}
			}
		}
	}
	snap.Accepted = s.accepted.Load() // after the classes, so that Open cannot be negative
	snap.Open = snap.Accepted - ended
	for p := range s.lastSeen {
		if at := s.lastSeen[p].Load(); at != 0 {
			snap.LastSeen[prober.Prober(p).String()] = time.Unix(0, at)
		}
	}
	for result := range s.handshakes {
		for reason := range s.handshakes[result] {
			if n := s.handshakes[result][reason].Load(); n > 0 {
				snap.Handshakes = append(snap.Handshakes, HandshakeCount{handshakeWords[result], event.Reason(reason), n})
			}
		}
	}
	for end := range s.ended {
		for code := range s.ended[end] {
			if n := s.ended[end][code].Load(); n > 0 {
				snap.SessionsEnded = append(snap.SessionsEnded, SessionCount{sessionEnds[end], closeCodes[code].label, n})
			}
		}
	}
	for i, word := range drainWords {
		snap.Drained[word] = s.drained[i].Load()
	}
	snap.Checks = g.checks()
	return snap
}

// proberWord is the metric label of p.
func proberWord(p prober.Prober) string {
	if p == 0 {
		return "unknown"
	}
	return p.String()
}

// Version returns the version of quietws in this build, such as "v0.1.0". It is "(devel)"
// if quietws was built from a folder, or not as a dependency.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return unreleased
	}
	return versionIn(info)
}

const unreleased = "(devel)"

// versionIn looks for the module of this package, which is not that of the adapter.
func versionIn(info *debug.BuildInfo) string {
	for _, m := range append(info.Deps, &info.Main) {
		if m.Path != "github.com/quietws/quietws" {
			continue
		}
		if m.Replace != nil {
			m = m.Replace // the required version is not the one that was built
		}
		if m.Version != "" {
			return m.Version
		}
	}
	return unreleased
}
