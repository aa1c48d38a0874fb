package core

import (
	"cmp"
	"log/slog"
	"net/netip"
	"runtime/debug"
	"slices"
)

// What the guard answers where no Health is configured, and for every wrong
// method. Built once; a health answer allocates nothing.
var (
	answerOK       = textAnswer(200, "ok\n")
	answerDraining = textAnswer(503, "draining\n")
	answerMethod   = textAnswer(405, "GET, HEAD or OPTIONS\n", HeaderField{"Allow", []string{"GET, HEAD, OPTIONS"}})
	answerBroken   = textAnswer(503, "not ready\n")
	answerProber   = vary(answerOK, nil)
	answerProberNo = vary(answerDraining, nil)
	varyField      = HeaderField{"Vary", []string{"User-Agent"}}
)

// vary marks an answer that only a prober gets on a path of the application's. Its
// header is in fields, as far as there is room.
func vary(a Answer, fields []HeaderField) Answer {
	a.Header = append(append(fields, a.Header...), varyField)
	return a
}

// answerProbePath answers a known prober on one of Config.ProbePaths as on the
// readiness route. It returns room, whose header is room's own, or an answer that is
// shared.
func (g *Guard) answerProbePath(h Head, room *Answer) *Answer {
	said := answers.Get().(*Answer)
	defer answers.Put(said)
	switch a := g.answerRoute(RouteReady, h, said); a {
	case &answerOK:
		return &answerProber
	case &answerDraining:
		return &answerProberNo
	default:
		*room = vary(*a, room.Header[:0])
		return room
	}
}

// answerRoute answers a health route. It returns room with what Health says, or
// an answer that is shared.
func (g *Guard) answerRoute(route Route, h Head, room *Answer) *Answer {
	switch h.Method() {
	case "GET", "HEAD", "OPTIONS": // HAProxy asks by OPTIONS unless told otherwise
	default:
		return &answerMethod
	}
	draining := g.isDraining()
	if health := g.config.Health; health != nil {
		q := HealthQuery{Route: route, Draining: draining, Details: g.showDetails(h), Head: h}
		if g.askHealth(health, q, room) {
			return room
		}
	}
	if draining && (route == RouteReady || route == RouteHealth) {
		return &answerDraining
	}
	return &answerOK
}

// askHealth asks the user's Health. One that panics is not ready.
func (g *Guard) askHealth(health Health, q HealthQuery, a *Answer) (ok bool) {
	defer func() {
		if v := recover(); v != nil {
			g.journal.CallbackPanicked("Health", v, debug.Stack())
			*a, ok = answerBroken, q.Route == RouteReady || q.Route == RouteStartup
		}
	}()
	*a, ok = health.Answer(q)
	return ok
}

// showDetails asks Config.Details, but not for the many who do not ask for any.
func (g *Guard) showDetails(h Head) bool {
	if g.config.Details == nil || h.Query() == "" && h.Field("Accept") == "" {
		return false
	}
	show := false
	g.contained("Details", func() { show = g.config.Details(h) })
	return show
}

// answerProber answers a known prober on a route of Handler: harmless, and the
// same for whoever claims to be one.
func (g *Guard) answerProber() *Answer {
	if g.isDraining() {
		return &answerProberNo
	}
	return &answerProber
}

// pathHead is the Head of a GET that nobody sent.
type pathHead string

func (pathHead) Method() string         { return "GET" }
func (p pathHead) Path() string         { return string(p) }
func (pathHead) Query() string          { return "" }
func (pathHead) Host() string           { return "" }
func (pathHead) Proto() string          { return "HTTP/1.1" }
func (pathHead) Field(string) string    { return "" }
func (pathHead) Remote() netip.AddrPort { return netip.AddrPort{} }
func (pathHead) TLS() bool              { return false }

func sortAttrs(attrs []slog.Attr) {
	slices.SortFunc(attrs, func(a, b slog.Attr) int { return cmp.Compare(a.Key, b.Key) })
}
