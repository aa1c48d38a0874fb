package health

import (
	"log/slog"
	"time"

	"github.com/quietws/quietws/core"
)

// Change is one change of state of a check, of the routes that it decides, or of both. A
// run that fails like the one before is not a change.
type Change struct {
	// Time is when it happened, which is before it is logged.
	Time time.Time
	// Check is the name of the check that caused it; Kind is its kind.
	Check string
	Kind  Kind
	// From and To are states of the check. Both are Pending if the check was added; To is
	// 0 if it was removed.
	From, To Status
	// Lasted is how long the check had been in From.
	Lasted time.Duration
	// Err is why the check fails: what Func returned, a *[PanicError], or an
	// error that is [ErrTimeout] or [ErrStale]. Nil otherwise.
	Err error
	// Routes are the routes whose verdict changes with it. A drain changes no verdict.
	Routes []RouteChange

	// text is the text of Err, taken when the check ran.
	text string
}

// RouteChange is how the verdict of one route changed.
type RouteChange struct {
	Route    core.Route
	From, To Status
	// Lasted is how long the route had been in From.
	Lasted time.Duration
}

// level: a route that begins to fail is an error, a check that does a warning, its recovery
// is information. A normal start is only for Debug.
func (ch Change) level() slog.Level {
	for _, r := range ch.Routes {
		if r.To == Fail && r.From != Pending {
			return slog.LevelError
		}
	}
	switch {
	case ch.To == Fail || ch.To == Warn:
		return slog.LevelWarn
	case ch.From == Fail || ch.From == Warn:
		return slog.LevelInfo
	}
	return slog.LevelDebug
}

func (ch Change) message() string {
	switch {
	case ch.To == 0:
		return "health check removed"
	case ch.To == Pending:
		return "health check added"
	case ch.To == Fail:
		return "health check failing"
	case ch.To == Warn:
		return "optional health check failing"
	}
	return "health check passing"
}

func (ch Change) attrs() []slog.Attr {
	attrs := []slog.Attr{
		slog.String("check", ch.Check), slog.String("kind", ch.Kind.String()),
		slog.String("status", ch.To.String()), slog.String("was", ch.From.String()), lasted(ch.Lasted),
	}
	if ch.Err != nil {
		attrs = append(attrs, slog.String("error", ch.text))
	}
	if p, ok := ch.Err.(*PanicError); ok {
		attrs = append(attrs, slog.String("stack", string(p.Stack)))
	}
	for _, r := range ch.Routes {
		attrs = append(attrs, slog.Group(r.Route.String(),
			slog.String("status", r.To.String()), slog.String("was", r.From.String()), lasted(r.Lasted)))
	}
	return attrs
}

func lasted(d time.Duration) slog.Attr { return slog.Duration("lasted", d.Round(time.Millisecond)) }
