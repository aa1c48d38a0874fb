package core

import (
	"cmp"
	"log/slog"
	"net/netip"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/quietws/quietws/core/internal/journal"
)

// The guard's answers where no Health is configured, and for every wrong method. They are
// built once, so that a health answer allocates nothing.
var (
	answerOK       = textAnswer(200, "ok\n")
	answerDraining = textAnswer(503, "draining\n")
	answerMethod   = textAnswer(405, "GET, HEAD or OPTIONS\n", HeaderField{"Allow", []string{"GET, HEAD, OPTIONS"}})
	answerBroken   = textAnswer(503, "not ready\n")
	answerProber   = vary(answerOK, nil)
	answerProberNo = vary(answerDraining, nil)
	varyField      = HeaderField{"Vary", []string{"User-Agent"}}
)

// vary marks an answer that only a prober gets on a path of the application. It builds
// the header in fields, as far as there is room.
func vary(a Answer, fields []HeaderField) Answer {
	a.Header = append(append(fields, a.Header...), varyField)
	return a
}

// answerProbePath answers a known prober on one of Config.ProbePaths, as on the readiness
// route. It returns room, with a header of its own, or a shared answer.
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

// answerRoute answers a health route. It returns room with the answer of Health, or a
// shared answer.
func (g *Guard) answerRoute(route Route, h Head, room *Answer) *Answer {
	switch h.Method() {
	case "GET", "HEAD", "OPTIONS": // HAProxy uses OPTIONS by default
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

// askHealth asks the user's Health. If it panics, it is not ready.
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

// showDetails asks Config.Details, but only for requests that may ask for details.
func (g *Guard) showDetails(h Head) bool {
	if g.config.Details == nil || h.Query() == "" && h.Field("Accept") == "" {
		return false
	}
	show := false
	g.contained("Details", func() { show = g.config.Details(h) })
	return show
}

// answerProber answers a known prober on a route of Handler. The answer is harmless, and
// the same for anyone who claims to be a prober.
func (g *Guard) answerProber() *Answer {
	if g.isDraining() {
		return &answerProberNo
	}
	return &answerProber
}

// pathHead is the Head of a GET that the guard makes up.
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

// lastSaid is the latest answer of user code that the guard calls on its own. Only one
// caller asks at a time. Other callers (a second scrape, or that code itself, when it
// looks at the guard to answer) get the latest answer, or before the first one the zero
// T. So there is no recursion, and no callers queue up when that code blocks.
type lastSaid[T any] struct {
	busy atomic.Bool
	last atomic.Pointer[T]
}

func (a *lastSaid[T]) ask(f func() T) (said T) {
	if !a.busy.CompareAndSwap(false, true) {
		if last := a.last.Load(); last != nil {
			return *last
		}
		return said
	}
	defer a.busy.Store(false)
	said = f()
	a.last.Store(&said)
	return said
}

// ready reports whether the server takes traffic: what /readyz would answer.
func (g *Guard) ready() bool {
	switch {
	case g.isDraining():
		return false
	case g.config.Health == nil:
		return true
	}
	return g.health.ready.ask(func() bool {
		var a Answer
		if g.askHealth(g.config.Health, HealthQuery{Route: RouteReady, Head: pathHead(defaultPaths[RouteReady])}, &a) {
			return a.Status < 400
		}
		return true
	})
}

// checks returns the checks of a Health that has a Checks method, nil if that panics.
func (g *Guard) checks() []CheckStatus {
	r, ok := g.config.Health.(interface{ Checks() []CheckStatus })
	if !ok {
		return nil
	}
	return slices.Clone(g.health.checks.ask(func() (all []CheckStatus) {
		g.contained("Health.Checks", func() { all = r.Checks() })
		return all
	}))
}

// healthChanges are the application's health routes that fail now, and the probers for which the
// line about a wrong path was logged.
type healthChanges struct {
	failing atomic.Int32 // the length of paths
	mu      sync.Mutex
	paths   map[string]bool
	refused [probersMax]atomic.Bool
}

// maxFailing limits the paths that are kept; each is a route of the application.
const maxFailing = 64

// note records what was answered on path, and says whether that is a change.
func (t *healthChanges) note(path string, ok bool) journal.Special {
	if ok && t.failing.Load() == 0 {
		return journal.Ordinary
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	defer func() { t.failing.Store(int32(len(t.paths))) }()
	switch was := t.paths[path]; {
	case ok && was:
		delete(t.paths, path)
		return journal.AppPassing
	case !ok && !was && len(t.paths) < maxFailing && len(path) <= journal.MaxText:
		if t.paths == nil {
			t.paths = make(map[string]bool)
		}
		t.paths[path] = true
		return journal.AppFailing
	}
	return journal.Ordinary
}

// changeOf says what is special about a probe that the application answered. An unknown
// client's probe means nothing, and failures during a drain are expected.
func (x *exchange) changeOf(status int, ok bool) journal.Special {
	g := x.g
	switch {
	case x.verdict == verdictProbe || !x.credited && !(x.app && x.platform) || status == 0 || g.isDraining():
		return journal.Ordinary
	case ok, x.ownFailure(status):
		return g.changes.note(x.path, ok)
	case x.offSocket(status) && !g.changes.refused[x.prober].Swap(true):
		return journal.OffSocket
	}
	return journal.Ordinary
}

// ownFailure reports whether a failing answer is the application's own statement about
// its health.
func (x *exchange) ownFailure(status int) bool {
	return x.app || x.exact && status == 503
}

// offSocket reports whether a WebSocket route that is not Handler's answered a prober as
// it answers any client that does not speak WebSocket. Load balancers are set up to
// expect that.
func (x *exchange) offSocket(status int) bool {
	return x.endpoint && !x.app && status >= 400 && status < 500
}
