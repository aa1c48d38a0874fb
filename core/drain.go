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
	// Sessions were open when the goodbyes began, or were opened by a handshake that was
	// in progress.
	Sessions int
	// Closed ended before the deadline. Answered are those of them that completed the
	// closing handshake of RFC 6455 §7.1.2, as far as is known: a route of your own
	// library reports it by [Session.Ended], or by the error that its handler returns.
	// Dropped were closed at the deadline.
	Closed, Answered, Dropped int

	// Notice is the time that the platform had to notice, while handshakes were still
	// accepted. Goodbyes is the time until all sessions had their goodbye, Closing the
	// time from then until all had ended. Duration is that of the whole drain.
	Notice, Goodbyes, Closing, Duration time.Duration

	// Probers are those that asked the readiness route, from a platform's address, at the
	// time when the drain began; at most 64. All callers of one drain share the slice.
	Probers []DrainProber
	// TooShort: Config.Drain.Timeout is too short for the slowest of them to notice.
	TooShort bool
}

// DrainProber is a prober of the readiness route. Refused is the number of 503 answers in
// a row that it got, counted once per Interval; if it is [DrainConfig].Fall or more, the
// prober has noticed. Two probers of the same kind at one address look like one that asks
// more often.
type DrainProber struct {
	Prober   string // a name of [Probers], "configured" or "unknown"
	Addr     netip.Addr
	Interval time.Duration // 0 if it has asked only once
	Refused  int
}

// Draining returns a channel that is closed when the drain begins, for loops of your own
// that should end with it. For a session use [Session.OnDrain], because each session has
// its own moment.
func (g *Guard) Draining() <-chan struct{} {
	if g == nil {
		return nil
	}
	return g.ending.begun
}

func (g *Guard) isDraining() bool { return g.ending.draining.Load() }

// Drain ends every session politely, on all servers of the guard. Call it before the
// server's own Shutdown, which you still call; [Guard.Serve] and the Serve functions of
// the adapters do both.
//
// Readiness and health turn 503 at once; liveness does not change. Handshakes are still
// accepted until each prober of the readiness route has been answered 503
// [DrainConfig].Fall times. They are accepted for at least two seconds if the process
// runs in Kubernetes, which takes a pod out of its Service without asking it, or if a
// known prober was seen recently, whatever it did. A prober for which Timeout is too
// short, or which has asked only once and does not come back, is given two seconds. If
// none of this applies, handshakes are refused with 503 from the start.
//
// Then each session gets its goodbye, at its own moment within Spread. An adapter's
// Handler sends the close frame. On other routes, what [Session.OnDrain] registered sends
// it; without that, none is sent.
//
// Drain returns when all sessions have ended. Sessions that are still open at Timeout, or
// when ctx ends, are closed. So is every connection without a request so far, because it
// would delay the server's Shutdown. Drain does not wait for requests that run, and
// leaves idle keep-alive connections to Shutdown.
//
// A drain cannot be undone. A second Drain joins the first and returns the same report;
// the ctx of each caller can cut it short. A Drain that joins what Shutdown has begun
// still closes what is open at Timeout. The error is that of ctx, if it ended first; the
// report is complete all the same. One line at Info is logged at the start, one at the
// end.
//
// An application with its own goodbye sends it from [Session.OnDrain], or when
// [Guard.Draining] is closed. After Drain has returned it is too late.
func (g *Guard) Drain(ctx context.Context) (DrainReport, error) {
	if g == nil {
		return DrainReport{}, nil
	}
	return g.ending.all.wait(ctx)
}

const (
	// drainCheck is how often the drain looks whether it can go on.
	drainCheck = 10 * time.Millisecond
	// idleYouth is the age below which the request of a connection may still be on its
	// way.
	idleYouth = 200 * time.Millisecond
)

// attrs are the attributes of the report's line. open is the number of sessions that go
// on.
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
