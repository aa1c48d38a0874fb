package core

import (
	"log/slog"
	"maps"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/quietws/quietws/core/internal/journal"
)

// paths is what is known of paths. The rules never change. Requests read the other
// fields; the code that learns something writes them.
type paths struct {
	rules        []pathRule                       // what Config says
	sockets      atomic.Pointer[map[string]usage] // where WebSocket is served
	owner        atomic.Pointer[ownerFunc]        // knows the application's routes
	form         atomic.Uint32                    // a pathForm: how the router compares paths; 0: unknown
	routesLogged atomic.Bool                      // the line "health routes" was logged
	askers       sync.Map                         // Application.Key -> *asker
}

// pathRule is what Config says about a path.
type pathRule struct {
	path  string
	route Route // the health route there
	named bool  // in Config.Routes: answered before the application is asked
	probe bool  // in Config.ProbePaths
	app   bool  // in Config.AppHealth
}

// ownerFunc says whether the application has a route for exactly the path of a request.
// asked is false if it cannot be asked. If look is true, the application must not be
// called.
type ownerFunc func(h Head, look bool) (owned, asked bool)

// pathRules are those of a configuration with its defaults.
func pathRules(config Config) (rules []pathRule) {
	for route, p := range config.Routes.all() {
		switch {
		case p == nil || *p == "-":
		case *p == "":
			rules = append(rules, pathRule{path: defaultPaths[route], route: Route(route)})
		default:
			rules = append(rules, pathRule{path: *p, route: Route(route), named: true})
		}
	}
	for _, p := range config.ProbePaths {
		if rule := ruleIn(rules, 0, p); rule != nil {
			rule.probe = true
		} else {
			rules = append(rules, pathRule{path: p, probe: true})
		}
	}
	for _, p := range config.AppHealth {
		if ruleIn(rules, 0, p) == nil {
			rules = append(rules, pathRule{path: p, app: true})
		}
	}
	return rules
}

// rule returns what Config says about a path, compared in that form, or nil. There are
// few rules, so comparing them costs less than hashing each request's path.
func (p *paths) rule(f pathForm, path string) *pathRule { return ruleIn(p.rules, f, path) }

func ruleIn(rules []pathRule, f pathForm, path string) *pathRule {
	for i := range rules {
		if f.same(rules[i].path, path) {
			return &rules[i]
		}
	}
	return nil
}

// maxSockets limits the paths that are learned.
const maxSockets = 64

// learn remembers that WebSocket is served at path, and by which method Handler has
// it, "" if it has not.
func (p *paths) learn(path, handler string) {
	if by := servedBy(handler); p.servedAt(path)&by != by {
		p.learnNew(path, handler)
	}
}

// learnNew is learn for a path that is not known yet. It is a function of its own so that
// its locals are not on the stack of each session when its handshake is answered.
//
//go:noinline
func (p *paths) learnNew(path, handler string) {
	path = pathForm(p.form.Load()).key(path)
	for {
		old := p.sockets.Load()
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
		if p.sockets.CompareAndSwap(old, &fresh) {
			return
		}
	}
}

// usage says how WebSocket is served at a path, as far as is known; 0: not at all.
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

func (p *paths) servedAt(path string) usage {
	if m := p.sockets.Load(); m != nil {
		return pathForm(p.form.Load()).in(*m, path)
	}
	return 0
}

// logRoutes logs, once, which side answers each health route.
func (g *Guard) logRoutes() {
	if g.paths.routesLogged.Load() || !g.paths.routesLogged.CompareAndSwap(false, true) {
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
			switch owned, asked := g.paths.owned(pathHead(path), true); {
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

// owned asks the application whether it answers a health route. If look is true, the
// application must not be called.
func (p *paths) owned(h Head, look bool) (owned, asked bool) {
	if f := p.owner.Load(); f != nil {
		return (*f)(h, look)
	}
	return false, false
}
