package core

import (
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/conn"
	"github.com/quietws/quietws/core/internal/prober"
)

// stats are the counters. Nothing here is touched by an ordinary request; what
// is touched once for each connection or event is in stripes, so that cores do
// not contend for a cache line.
type stats struct {
	accepted     atomic.Uint64 // by one goroutine for each listener
	acceptErrors atomic.Uint64
	sessions     atomic.Int64 // open, or about to
	stripes      [statStripes]struct {
		closed [classCount]atomic.Uint64
		_      [64]byte
	}
	probes     [classCount][probersMax][2]atomic.Uint64 // [ok, failing]
	lastSeen   [probersMax]atomic.Int64                 // unix nanoseconds
	handshakes [handshakeResults][reasonCount]atomic.Uint64
	broken     atomic.Uint64 // of those that failed, the ones that this server is to blame for
	ended      [len(sessionEnds)][len(closeCodes)]atomic.Uint64
	suppressed [classCount]atomic.Uint64
	drained    [drainOutcomes]atomic.Uint64
}

// How many classes and reasons there are, with those of zero.
const (
	classCount  = int(event.TCPProbe) + 1
	reasonCount = int(event.ReasonShutdown) + 1
)

const (
	statStripes = 16
	probersMax  = 128 // more than the table has; a test says so
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

// closeCodes are the close codes that have a label of their own: those that
// RFC 6455 §7.4.1 lets one send, and the registered ones after it.
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

// seeProber notes when a prober was seen, from where it may be believed.
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

// Snapshot is what the guard has counted since New, in numbers that only grow, but
// for Open, SessionsOpen, Ready, Draining and Checks, which are as they are now. The
// maps and slices are the caller's. Package prom shows it to Prometheus.
type Snapshot struct {
	// Accepted counts connections through Listener, TLSListener, Serve or,
	// with Attach alone, those that the server reported; with Wrap or an
	// adapter's Middleware alone there are none. Open is Accepted less what
	// Closed adds up to.
	Accepted, Open uint64
	// Closed has every class, those with nothing too.
	Closed map[event.Class]uint64
	// AcceptErrors counts errors of Accept that were waited out, such as too
	// many open files.
	AcceptErrors uint64

	// Probes counts requests of the classes HTTPProbe and ProbeFailing, and
	// connections of the other classes of probes. What is 0 is left out.
	Probes []ProbeCount
	// Handshakes counts requests that asked to upgrade, and what was refused on
	// a WebSocket route. What is 0 is left out.
	Handshakes []HandshakeCount
	// HandshakesBroken counts, of those that failed, the good ones on a WebSocket
	// route that this server did not complete by its own fault. A handshake sent
	// to a page that answers 5xx is none, nor one whose client sent frames before
	// it had the answer.
	HandshakesBroken uint64
	// SessionsOpen counts WebSocket sessions, also those on connections that
	// are not counted in Open because only Middleware is in use. SessionsLimit
	// is Config.MaxSessions, 0 where there is no limit.
	SessionsOpen  uint64
	SessionsLimit int
	// SessionsEnded counts those that ended. What is 0 is left out.
	SessionsEnded []SessionCount
	// Suppressed counts the log lines that were kept quiet or collapsed, by
	// class; those without any are left out. Dropped counts the events and lines
	// that were lost: the log or the observer was too slow, or the guard closed.
	Suppressed map[event.Class]uint64
	Dropped    uint64
	// LastSeen says when a prober, a name of [Probers] or "configured", was last seen at a
	// platform's address or in a range of its own.
	LastSeen map[string]time.Time

	// Ready is what the ready route answers, without a request's own exclude=;
	// Draining is true from the start of a drain.
	Ready, Draining bool
	// Checks are those of a [Config.Health] that has them: see [Health].
	Checks []CheckStatus
	// Drained counts sessions by their outcome at the drain: "answered" completed
	// the closing handshake, "closed" ended otherwise, "dropped" were closed at
	// its deadline.
	Drained map[string]uint64
}

// ProbeCount is a number of probes. Prober is a name of [Probers], "configured"
// for a nameless one at an address of [Config.ProbeSources], or "unknown".
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

// SessionCount is a number of sessions that ended. End is a word of
// [event.SessionEnd]; Code is a code of RFC 6455 §7.4.1, "other" or "unknown".
type SessionCount struct {
	End, Code string
	N         uint64
}

// Snapshot returns what was counted, at any time, also after Close. Its Accepted is
// never less than what Closed adds up to; apart from that the numbers are read one
// after the other while the server goes on. It asks [Config.Health] whether the
// server is ready, and waits for nothing else. A Health may call it in turn, as
// Config.Observe may: while one caller asks Health, every other gets what it said
// last.
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
	snap.Accepted = s.accepted.Load() // after the classes, so that Open is not negative
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

// Version returns the version of quietws in this build, as "v0.1.0", "(devel)"
// where it was not built as a dependency, or from a folder.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return unreleased
	}
	return versionIn(info)
}

const unreleased = "(devel)"

// versionIn looks for the module of this package, which is not the one of the
// adapter.
func versionIn(info *debug.BuildInfo) string {
	for _, m := range append(info.Deps, &info.Main) {
		if m.Path != "github.com/quietws/quietws" {
			continue
		}
		if m.Replace != nil {
			m = m.Replace // the version that is required is not what was built
		}
		if m.Version != "" {
			return m.Version
		}
	}
	return unreleased
}
