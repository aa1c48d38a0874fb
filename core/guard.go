package core

import (
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/conn"
	"github.com/quietws/quietws/core/internal/journal"
	"github.com/quietws/quietws/core/internal/prober"
)

// Guard watches a server's connections, answers its probes, explains its
// refused handshakes and drains its sessions. It serves one application, on as
// many listeners and servers as that has; two applications in a process have a
// Guard each. Make it with [New]; the zero Guard is of no use. All methods are
// safe for concurrent use.
//
// A nil *Guard is one that does nothing, for an application in which it is
// optional: its methods, and the functions of the adapters that take one, pass
// everything through. Serve then shuts down without a drain, Draining returns a
// nil channel, and Handler serves with its library alone and still refuses a
// foreign Origin.
type Guard struct {
	// Set by New and never changed.

	config  Config
	journal *journal.Journal // what is logged
	watch   *conn.Watch      // what the connections share, and which are open

	// Parts with a state of their own. Each says who may write it.

	stats      stats      // what was counted
	paths      paths      // who answers which path
	health     saidLast   // what user code said of health
	peers      peerCache  // what the latest addresses are
	turns      turns      // which health routes of the application fail
	slots      slots      // of Config.MaxSessions
	servers    servers    // those that the guard is attached to
	ending     ending     // the drain, and the probers that it waits for
	unanswered unanswered // handshakes taken over and not yet answered
	panics     panicked   // those whose line in the server's log is to come
	once       logged     // what is logged no more than once

	closed atomic.Bool // by Close
}

// paths is what is known of paths. The rules never change. The rest is written by whoever
// learns it, and read by each request.
type paths struct {
	rules   []pathRule                       // what Config says
	sockets atomic.Pointer[map[string]usage] // where WebSocket is served
	owner   atomic.Pointer[ownerFunc]        // who knows the application's routes
	form    atomic.Uint32                    // a pathForm: how the router compares paths, 0 if that is not known
	logged  atomic.Bool                      // who answers the health routes
	askers  sync.Map                         // Application.Key -> *asker
}

// saidLast is what a Health said last.
type saidLast struct {
	ready  lastSaid[bool]
	checks lastSaid[[]CheckStatus]
}

// logged are the lines that stand in the log once, or once in a window. Whoever sets one
// writes its line.
type logged struct {
	around    atomic.Bool  // Endpoint is around the application
	alone     atomic.Bool  // connections are watched, and no server is attached
	strange   atomic.Bool  // some connections cannot be told apart
	unstarted atomic.Bool  // a server counts that never started
	overAgain atomic.Bool  // the guard is used after its end
	starved   atomic.Int64 // when Accept last had too few files
}

// pathRule is what Config says of a path.
type pathRule struct {
	path  string
	route Route // the health route there
	named bool  // in Config.Routes: answered before the application is asked
	probe bool  // in Config.ProbePaths
	app   bool  // in Config.AppHealth
}

// ownerFunc says whether the application has a route of exactly the path of a
// request. asked is false where it cannot be asked.
// Where look is true nobody is to be asked for it.
type ownerFunc func(h Head, look bool) (owned, asked bool)

// New returns a Guard. Its error joins everything that is wrong with config; the
// zero Config has none; only with an error is the Guard nil. It starts nothing: a
// goroutine is there only while there is something to log.
func New(config Config) (*Guard, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	g := &Guard{config: config}
	g.watch = conn.NewWatch((*host)(g), config.ExpectProxy)
	g.unanswered.patience = unansweredAfter
	g.servers.attached = make(map[any]*server)
	g.servers.adopted = &conn.Source{Watch: g.watch}
	g.ending.begun = make(chan struct{})
	g.ending.kubernetes = os.Getenv(inKubernetes) != ""
	g.ending.whole = newDrain(g, nil)
	g.ending.pollers.rare = config.Drain.room() / time.Duration(max(config.Drain.Fall, 1))
	g.journal = journal.New(journal.Config{
		Logger: config.Logger, Observe: config.Observe,
		Collapse: config.Collapse, Summary: config.Summary,
		Suppressed: func(c event.Class, n uint64) { g.stats.suppressed[c].Add(n) },
	})
	for route, p := range config.Routes.all() {
		switch {
		case p == nil || *p == "-":
		case *p == "":
			g.paths.rules = append(g.paths.rules, pathRule{path: defaultPaths[route], route: Route(route)})
		default:
			g.paths.rules = append(g.paths.rules, pathRule{path: *p, route: Route(route), named: true})
		}
	}
	for _, p := range config.ProbePaths {
		if rule := g.rule(p); rule != nil {
			rule.probe = true
		} else {
			g.paths.rules = append(g.paths.rules, pathRule{path: p, probe: true})
		}
	}
	for _, p := range config.AppHealth {
		if g.rule(p) == nil {
			g.paths.rules = append(g.paths.rules, pathRule{path: p, app: true})
		}
	}
	return g, nil
}

// Must returns the guard that [New] has made, and panics with its error if there is
// one: for a configuration that the program itself has, as
//
//	guard := core.Must(core.New(core.Config{}))
func Must(g *Guard, err error) *Guard {
	if err != nil {
		panic(err)
	}
	return g
}

// rule returns what Config says of a path, nil for nothing. There are few: to
// compare them costs less than to hash each request's path.
func (g *Guard) rule(path string) *pathRule { return g.ruleIn(0, path) }

// ruleIn is rule for a router that compares paths in that form.
func (g *Guard) ruleIn(f pathForm, path string) *pathRule {
	for i := range g.paths.rules {
		if f.same(g.paths.rules[i].path, path) {
			return &g.paths.rules[i]
		}
	}
	return nil
}

// now is the time since the guard was made, by the monotonic clock.
func (g *Guard) now() time.Duration { return g.watch.Now() }

// Close prints what is pending, the repeats that are being counted too, and ends
// the log. Call it last, when the servers have shut down. It does not touch
// connections and does not drain; what happens on them later is counted but not
// logged. [Config.Health] is yours to close. It waits at most two seconds for a log
// handler or an observer that blocks, as one that calls Close itself does, and then
// returns an error. A second Close does nothing and returns nil.
func (g *Guard) Close() error {
	if g == nil || !g.closed.CompareAndSwap(false, true) {
		return nil
	}
	for _, d := range g.drains() {
		d.logNow()
	}
	return g.journal.Close(closeTimeout)
}

const closeTimeout = 2 * time.Second

// contained runs user code and reports whether it returned: its panic is logged,
// not passed on.
func (g *Guard) contained(what string, f func()) (returned bool) {
	defer func() {
		if v := recover(); isAPanic(v, returned) {
			g.journal.CallbackPanicked(what, v, debug.Stack())
		}
	}()
	f()
	return true
}

// isAPanic reports whether v, which recover has returned, is a panic's. returned is
// whether what may panic has returned.
func isAPanic(v any, returned bool) bool { return v != nil || !returned && nilPanics() }

// nilPanics reports whether recover returns nil for panic(nil), as it does with
// GODEBUG=panicnil=1. Otherwise nil says that there is no panic, but runtime.Goexit.
func nilPanics() (nils bool) {
	defer func() { nils = recover() == nil }()
	panic(nil) //nolint:govet // whether that is nil to recover is the question
}

// platform reports whether a prober may have this address. The zero Addr is
// nobody's: a unix socket is asked for with isUnix.
func (g *Guard) platform(a netip.Addr) bool {
	return prober.IsPlatform(a) || prober.Contains(g.config.ProbeSources, a)
}

// maxSockets bounds the paths that are learned.
const maxSockets = 64

// learn remembers that WebSocket is served at path, and by which method Handler has
// it, "" if it has not.
func (g *Guard) learn(path, handler string) {
	path = pathForm(g.paths.form.Load()).key(path)
	for {
		old := g.paths.sockets.Load()
		var known map[string]usage
		if old != nil {
			known = *old
		}
		now := known[path] | servedBy(handler)
		if now == known[path] || known[path] == 0 && len(known) >= maxSockets || len(path) > journal.MaxText {
			return
		}
		fresh := make(map[string]usage, len(known)+1)
		maps.Copy(fresh, known)
		fresh[strings.Clone(path)] = now
		if g.paths.sockets.CompareAndSwap(old, &fresh) {
			return
		}
	}
}

// usage says how WebSocket is served at a path, 0 if it is not, as far as is known.
type usage uint8

const (
	servedSocket usage = 1 << iota
	servedGET          // by Handler
	servedHEAD
	servedOPTIONS
)

func servedBy(handler string) usage {
	switch handler {
	case "GET":
		return servedSocket | servedGET
	case "HEAD":
		return servedSocket | servedHEAD
	case "OPTIONS":
		return servedSocket | servedOPTIONS
	}
	return servedSocket
}

func (g *Guard) servedAt(path string) usage {
	if m := g.paths.sockets.Load(); m != nil {
		return pathForm(g.paths.form.Load()).in(*m, path)
	}
	return 0
}

// tellRoutes prints, once, who answers each health route.
func (g *Guard) tellRoutes() {
	if g.paths.logged.Load() || !g.paths.logged.CompareAndSwap(false, true) {
		return
	}
	attrs := make([]slog.Attr, 0, routes)
	for _, rule := range g.paths.rules {
		if rule.route == NoRoute {
			continue
		}
		path := rule.path
		who := "quietws"
		if !rule.named {
			switch owned, asked := g.owned(pathHead(path), true); {
			case owned:
				who = "application"
			case !asked:
				who = "quietws where the application has no route or middleware of its own"
			}
		}
		attrs = append(attrs, slog.String(path, who))
	}
	if len(attrs) == 0 || g.config.ObserveOnly {
		return
	}
	sortAttrs(attrs)
	g.journal.Note(slog.LevelInfo, "health routes", attrs...)
}

func (g *Guard) owned(h Head, look bool) (owned, asked bool) {
	if f := g.paths.owner.Load(); f != nil {
		return (*f)(h, look)
	}
	return false, false
}
