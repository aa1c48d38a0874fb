package core

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"
)

// DrainReport says what became of the sessions at a drain, and how long its
// phases took. Sessions is Closed and Dropped together.
type DrainReport struct {
	// Sessions were open when the goodbyes began, or opened from a handshake
	// that was under way.
	Sessions int
	// Closed ended before the deadline; of those, Answered completed the
	// closing handshake of RFC 6455 §7.1.2 as far as is known: a route of your
	// own library tells that by [Session.Ended] or by the error that its handler
	// returns. Dropped were closed at the deadline.
	Closed, Answered, Dropped int

	// Notice is how long the wait for probers took, with handshakes still
	// accepted; Goodbyes how long it took to tell the sessions, and Closing
	// until all were gone. Duration is that of the whole drain.
	Notice, Goodbyes, Closing, Duration time.Duration

	// Probers asked the readiness route when the drain began, from a platform's
	// address; at most 64. The callers of one drain share the slice.
	Probers []DrainProber
	// TooShort: Config.Drain.Timeout does not let the slowest of them notice.
	TooShort bool
}

// DrainProber is a prober of the readiness route. Refused is how often it has
// been answered 503 in a row, counted once an Interval: [DrainConfig].Fall or
// more, and it has noticed. Two of a kind at one address look like one that asks
// more often.
type DrainProber struct {
	Prober   string // a name of [Probers], "configured" or "unknown"
	Addr     netip.Addr
	Interval time.Duration // 0 where it has asked but once
	Refused  int
}

// Draining returns a channel that is closed when the drain begins, for loops of
// your own that should end with it. Use [Session.OnDrain] for a session, whose
// moment is its own.
func (g *Guard) Draining() <-chan struct{} {
	if g == nil {
		return nil
	}
	return g.drainCh
}

func (g *Guard) isDraining() bool { return g.draining.Load() }

// Drain ends every session politely. Call it before the server's own Shutdown,
// which is yours to call; [Guard.Serve] and the adapters' Serve do both.
//
// Readiness and health turn 503 at once, liveness stays. Handshakes are accepted
// until each prober that asks the readiness route has been answered 503
// [DrainConfig].Fall times; without such probers they are refused with 503 from
// the start, and a prober for which Timeout is too short, or which has asked but
// once and does not come back, is given two seconds. Then each session gets its
// goodbye at a moment of its own within Spread: an adapter's Handler sends the
// close frame, on other routes it is what [Session.OnDrain] registered that does,
// or nobody. Drain returns when all sessions have ended; what is still open at
// Timeout, or when ctx ends, is closed. So is every connection that has had no
// request yet, so that nothing silent delays the server's Shutdown. Requests that
// run are not waited for, and connections that are kept alive are left to Shutdown.
//
// There is no way back. A second Drain joins the first and returns the same
// report; the ctx of each can cut it short. The error is ctx's, if that ended
// first, and the report is complete all the same. A line at Info says when it
// begins, and one what came of it.
func (g *Guard) Drain(ctx context.Context) (DrainReport, error) {
	if g == nil {
		return DrainReport{}, nil
	}
	g.drainOnce.Do(func() {
		probers := g.pollers.active(g.now())
		if g.config.Drain.Fall < 0 {
			probers = nil
		}
		g.draining.Store(true)
		g.refusing.Store(len(probers) == 0) // from the start where nobody has to notice
		close(g.drainCh)
		go g.drain(probers)
	})
	select {
	case <-g.drainDone:
		return g.report, nil
	case <-ctx.Done():
		select {
		case <-g.drainDone: // before it
			return g.report, nil
		default:
		}
		g.hurryOnce.Do(func() { close(g.hurry) })
		<-g.drainDone
		return g.report, ctx.Err()
	}
}

const (
	// drainCheck is how often the drain looks whether what it waits for has come.
	drainCheck = 10 * time.Millisecond
	// noticePointless is how long a drain accepts handshakes for probers for
	// which it is too short: some platforms take a server out without asking it.
	noticePointless = 2 * time.Second
	// noticeSettles is how long a load balancer may take to act on an answer.
	noticeSettles = 200 * time.Millisecond
	// idleYouth is how old a connection is at which its request may still be on
	// its way.
	idleYouth = 200 * time.Millisecond
)

// drain waits for probers.
func (g *Guard) drain(probers []*poller) {
	defer close(g.drainDone)
	start := g.now()
	deadline := time.AfterFunc(g.config.Drain.Timeout, func() { g.hurryOnce.Do(func() { close(g.hurry) }) })
	defer deadline.Stop()
	g.journal.note(slog.LevelInfo, "draining", slog.Int("sessions", len(g.openSessions())),
		slog.Duration("timeout", g.config.Drain.Timeout))

	r := &g.report
	g.awaitNotice(r, probers)
	told := g.now()
	r.Notice = told - start
	g.refusing.Store(true)
	sessions := g.openSessions()
	g.sayGoodbye(sessions)
	gone := g.now()
	r.Goodbyes = gone - told
	g.await(g.config.Drain.Timeout, func() bool { return !g.conns.anySession() }, nil)
	left := g.openSessions()
	for _, x := range left {
		x.closedByServer()
		_ = x.c.Close()
	}
	r.Closing = g.now() - gone
	g.mu.Lock()
	for _, x := range g.late {
		if !slices.Contains(sessions, x) { // one that opened just as it began
			sessions = append(sessions, x)
		}
	}
	g.late = nil
	g.mu.Unlock()
	r.Sessions = len(sessions)
	r.Dropped = len(left)
	r.Closed = max(r.Sessions-len(left), 0)
	for _, x := range sessions {
		if x.answered() {
			r.Answered++
		}
	}
	g.closeIdle()
	r.Duration = g.now() - start
	g.stats.drained[drainClosed].Add(uint64(max(r.Closed-r.Answered, 0)))
	g.stats.drained[drainAnswered].Add(uint64(r.Answered))
	g.stats.drained[drainDropped].Add(uint64(r.Dropped))
	g.journal.note(slog.LevelInfo, "drained", r.attrs(g.config.Drain.Fall)...)
}

// attrs are those of the report's line.
func (r *DrainReport) attrs(fall int) []slog.Attr {
	attrs := []slog.Attr{
		slog.Int("sessions", r.Sessions), slog.Int("closed", r.Closed), slog.Int("answered", r.Answered), slog.Int("dropped", r.Dropped),
		slog.Duration("notice", r.Notice), slog.Duration("goodbyes", r.Goodbyes), slog.Duration("closing", r.Closing), slog.Duration("duration", r.Duration),
	}
	if len(r.Probers) == 0 {
		return attrs
	}
	noticed := 0
	for _, p := range r.Probers {
		if p.Refused >= fall {
			noticed++
		}
	}
	attrs = append(attrs, slog.Int("probers", len(r.Probers)), slog.Int("noticed", noticed))
	if r.TooShort {
		attrs = append(attrs, slog.Bool("too_short", true))
	}
	return attrs
}

// await waits until done, but no longer than limit, the drain's deadline, and
// until closed, if that is not nil. It reports whether it was done.
func (g *Guard) await(limit time.Duration, done func() bool, closed <-chan struct{}) bool {
	end := time.NewTimer(limit)
	defer end.Stop()
	check := time.NewTicker(drainCheck)
	defer check.Stop()
	for {
		if done() {
			return true
		}
		select {
		case <-check.C:
		case <-end.C:
			return false
		case <-g.hurry:
			return false
		case <-closed:
			return false
		}
	}
}

// awaitNotice goes on accepting until each of the probers of the readiness route
// sends nobody here any more. Those for whom there is not the time, and one that
// has asked but once and does not come back, hold up nobody for long, nor do they
// cut short the wait for the others.
func (g *Guard) awaitNotice(r *DrainReport, probers []*poller) {
	if len(probers) == 0 {
		return
	}
	fall, limit := g.config.Drain.Fall, g.config.Drain.room()
	longest := limit / time.Duration(fall)
	enough := g.now() + noticePointless
	done := func() bool {
		now := g.now()
		fit, _ := g.pollers.within(probers, longest)
		return g.pollers.noticed(probers, fall, now) || now >= enough && g.pollers.noticed(fit, fall, now)
	}
	noticed := g.await(limit, done, g.shut)
	fit, slow := g.pollers.within(probers, longest)
	if noticed && len(fit) > 0 {
		g.await(noticeSettles, func() bool { return false }, g.shut)
	}
	r.TooShort = slow
	r.Probers = g.pollers.report(probers)
}

// goodbyePause is the longest time between two goodbyes: 100 sessions a second
// are few enough for any server to take back at once.
const goodbyePause = 10 * time.Millisecond

// sayGoodbye gives each session its moment, in an order of no meaning, evenly
// over the spread or less. When the time is up the rest gets none.
func (g *Guard) sayGoodbye(sessions []*exchange) {
	rand.Shuffle(len(sessions), func(i, j int) { sessions[i], sessions[j] = sessions[j], sessions[i] })
	pause := time.Duration(0)
	if n := len(sessions); n > 1 && g.config.Drain.Spread > 0 {
		pause = min(g.config.Drain.Spread/time.Duration(n), goodbyePause)
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
			case <-g.hurry:
				t.Stop()
				return
			}
		}
		x.goodbye()
	}
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
// for seconds or until its deadline; those that are kept alive it closes. It
// waits a little for what has only just come.
func (g *Guard) closeIdle() {
	g.await(idleYouth+drainCheck, func() bool { return g.closeIdleConns(idleYouth) == 0 }, nil)
	g.closeIdleConns(0)
}

// closeIdleConns closes those that are older than youth, and returns how many
// are not.
func (g *Guard) closeIdleConns(youth time.Duration) (young int) {
	now := g.now()
	for _, c := range g.conns.all() {
		switch {
		case c.refs.Load() != 1 || c.is(flagsRequest|flagUpgraded|flagLeft|flagClosed):
		case now-c.accepted < youth:
			young++
		default:
			c.set(flagDrained)
			if t := c.tls.Load(); t != nil && c.is(flagShadow) {
				_ = t.NetConn().Close() // its own Close would wait for the peer to read an alert
			}
			_ = c.Close()
		}
	}
	return young
}
