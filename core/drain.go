package core

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"
)

// DrainReport says what became of the sessions at a drain.
type DrainReport struct {
	// Sessions were open when it began, or opened from a handshake that was
	// under way.
	Sessions int
	// Closed ended before the deadline; of those, Answered completed the
	// closing handshake of RFC 6455 §7.1.2 as far as is known. Dropped were
	// closed at the deadline.
	Closed, Answered, Dropped int
	Duration                  time.Duration
}

// Draining is closed when the drain begins.
func (g *Guard) Draining() <-chan struct{} { return g.drainCh }

func (g *Guard) isDraining() bool { return g.draining.Load() }

// Drain ends every session politely: readiness turns 503, handshakes are
// refused with 503, each session gets its goodbye at a moment of its own
// within Config.Drain.Spread, and what is still open at Config.Drain.Timeout,
// or when ctx ends, is closed. Then every connection without a request in
// progress is closed, so that nothing delays the server's own Shutdown, which
// is yours to call. There is no way back. A second Drain joins the first and
// returns the same report. The error is ctx's, if that ended first.
func (g *Guard) Drain(ctx context.Context) (DrainReport, error) {
	g.drainOnce.Do(func() {
		g.draining.Store(true)
		close(g.drainCh)
		go g.drain()
	})
	select {
	case <-g.drainDone:
		return g.report, nil
	case <-ctx.Done():
		g.hurryOnce.Do(func() { close(g.hurry) })
		<-g.drainDone
		return g.report, ctx.Err()
	}
}

// drainCheck is how often the drain looks whether its sessions are gone.
const drainCheck = 10 * time.Millisecond

func (g *Guard) drain() {
	defer close(g.drainDone)
	start := g.now()
	sessions := g.openSessions()
	g.report.Sessions = len(sessions)
	g.journal.note(slog.LevelInfo, "draining", slog.Int("sessions", len(sessions)),
		slog.Duration("timeout", g.config.Drain.Timeout))
	deadline := time.NewTimer(g.config.Drain.Timeout)
	defer deadline.Stop()

	late := g.sayGoodbye(sessions, deadline.C)
	for !late && g.conns.anySession() {
		t := time.NewTimer(drainCheck)
		select {
		case <-t.C:
		case <-deadline.C:
			late = true
		case <-g.hurry:
			late = true
		}
		t.Stop()
	}
	left := g.openSessions()
	for _, x := range left {
		x.closedByServer()
		_ = x.c.Close()
	}
	g.mu.Lock()
	for _, x := range g.late {
		if !slices.Contains(sessions, x) { // one that opened just as it began
			sessions = append(sessions, x)
		}
	}
	g.late = nil
	g.mu.Unlock()
	g.report.Sessions = len(sessions)
	g.report.Dropped = len(left)
	g.report.Closed = max(g.report.Sessions-len(left), 0)
	for _, x := range sessions {
		if x.answered() {
			g.report.Answered++
		}
	}
	g.closeIdle()
	g.report.Duration = g.now() - start
	g.stats.drained[drainClosed].Add(uint64(max(g.report.Closed-g.report.Answered, 0)))
	g.stats.drained[drainAnswered].Add(uint64(g.report.Answered))
	g.stats.drained[drainDropped].Add(uint64(g.report.Dropped))
	g.journal.note(slog.LevelInfo, "drained", slog.Int("sessions", g.report.Sessions),
		slog.Int("closed", g.report.Closed), slog.Int("answered", g.report.Answered),
		slog.Int("dropped", g.report.Dropped), slog.Duration("duration", g.report.Duration))
}

// sayGoodbye gives each session its moment, in an order of no meaning, evenly
// over the spread. It returns true if the time was up before.
func (g *Guard) sayGoodbye(sessions []*exchange, deadline <-chan time.Time) (late bool) {
	rand.Shuffle(len(sessions), func(i, j int) { sessions[i], sessions[j] = sessions[j], sessions[i] })
	pause := time.Duration(0)
	if n := len(sessions); n > 1 && g.config.Drain.Spread > 0 {
		pause = g.config.Drain.Spread / time.Duration(n)
	}
	next := g.now()
	for i, x := range sessions {
		if i > 0 {
			next += pause
		}
		if wait := next - g.now(); wait > 0 {
			t := time.NewTimer(wait)
			select {
			case <-t.C:
			case <-deadline:
				late = true
			case <-g.hurry:
				late = true
			}
			t.Stop()
		}
		x.goodbye()
		if late {
			return true
		}
	}
	return false
}

// openSessions returns the sessions that are open now.
func (g *Guard) openSessions() (open []*exchange) {
	for _, c := range g.conns.all() {
		if x := c.session(); x != nil {
			open = append(open, x)
		}
	}
	return open
}

// session returns the session on c, nil if there is none.
func (c *Conn) session() *exchange {
	if x := c.current.Load(); x != nil && x.opened() && !c.is(flagDecided) {
		return x
	}
	return nil
}

// closeIdle closes every connection that never had a request: silent,
// handshaken, or with half a head. The server's own Shutdown waits for those,
// for seconds or until its deadline; those that are kept alive it closes.
func (g *Guard) closeIdle() {
	for _, c := range g.conns.all() {
		if c.refs.Load() == 1 && !c.is(flagsRequest|flagUpgraded|flagLeft) {
			c.set(flagDrained)
			if t := c.tls.Load(); t != nil && c.is(flagShadow) {
				_ = t.NetConn().Close() // its own Close would wait for the peer to read an alert
			}
			_ = c.Close()
		}
	}
}
