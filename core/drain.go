package core

import (
	"context"
	"log/slog"
	"net/netip"
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

	// Notice is how long the platform was given to notice, with handshakes still
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
	return g.ending.begun
}

func (g *Guard) isDraining() bool { return g.ending.draining.Load() }

// Drain ends every session politely, on all servers of the guard. Call it before
// the server's own Shutdown, which is yours to call; [Guard.Serve] and the adapters'
// Serve do both.
//
// Readiness and health turn 503 at once, liveness stays. Handshakes are accepted
// until each prober that asks the readiness route has been answered 503
// [DrainConfig].Fall times, and for two seconds at least where the process runs in
// Kubernetes, which takes a pod out of its Service without asking it, or where a
// prober of the table was seen of late, by whatever it does. A prober for which
// Timeout is too short, or which has asked but once and does not come back, is given
// two seconds. With none of these handshakes are refused with 503 from the start.
// Then each session gets its goodbye at a moment of its own within Spread: an
// adapter's Handler sends the close frame, on other routes it is what
// [Session.OnDrain] registered that does, or nobody. Drain returns when all sessions
// have ended; what is still open at Timeout, or when ctx ends, is closed. So is
// every connection that has had no request yet, so that nothing silent delays the
// server's Shutdown. Requests that run are not waited for, and connections that are
// kept alive are left to Shutdown.
//
// There is no way back. A second Drain joins the first and returns the same
// report; the ctx of each can cut it short. One that joins what a Shutdown has begun
// closes what is open at Timeout all the same. The error is ctx's, if that ended
// first, and the report is complete all the same. A line at Info says when it
// begins, and one what came of it.
//
// An application that says a goodbye of its own does so from [Session.OnDrain], or
// when [Guard.Draining] is closed: one that it says only after Drain comes too late.
func (g *Guard) Drain(ctx context.Context) (DrainReport, error) {
	if g == nil {
		return DrainReport{}, nil
	}
	return g.ending.all.wait(ctx)
}

const (
	// drainCheck is how often the drain looks whether what it waits for has come.
	drainCheck = 10 * time.Millisecond
	// idleYouth is how old a connection is at which its request may still be on
	// its way.
	idleYouth = 200 * time.Millisecond
)

// attrs are those of the report's line. open is how many sessions go on.
func (r *DrainReport) attrs(fall, open int) []slog.Attr {
	attrs := []slog.Attr{
		slog.Int("sessions", r.Sessions), slog.Int("closed", r.Closed), slog.Int("answered", r.Answered), slog.Int("dropped", r.Dropped),
	}
	if open > 0 {
		attrs = append(attrs, slog.Int("open", open))
	}
	attrs = append(attrs,
		slog.Duration("notice", r.Notice), slog.Duration("goodbyes", r.Goodbyes), slog.Duration("closing", r.Closing), slog.Duration("duration", r.Duration))
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
