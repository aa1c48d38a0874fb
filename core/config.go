package core

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/quietws/quietws/core/event"
)

// Config is what [New] takes. The zero value is the recommended setting for nearly every
// application.
type Config struct {
	// Logger gets every line, at the level that its class says. Nil: slog.Default() at
	// the time of New.
	Logger *slog.Logger

	// Health answers the health routes. Nil: always live, ready unless
	// draining. Usually a *health.Checker.
	Health Health

	// Routes names the health routes. Zero: /livez, /readyz, /startupz and
	// /healthz, each only where the application has no route of its own.
	Routes Routes

	// ProbePaths are more paths where a known prober gets the readiness answer, for GET,
	// HEAD and OPTIONS: "/" for a prober whose path cannot be set, the WebSocket path for
	// one that requests it. Other clients' requests go to the application. A path is
	// compared as a whole, as in Head.Path; a pattern is an error of New.
	ProbePaths []string

	// AppHealth are the application's own readiness routes, such as "/health", for GET,
	// HEAD and OPTIONS. Until a drain begins, the application answers, whatever it says.
	// Each request counts as a probe, IsProbe is true for it, and a drain waits for the
	// probers that use these routes. During a drain the guard answers 503 and does not
	// ask the application. So do not list a path that a liveness probe uses: that would
	// kill the process in the middle of its drain. A path is compared as a whole. A path
	// that is also in ProbePaths or in Routes (by default or by name) is an error of New.
	AppHealth []string

	// ProbeSources are more addresses that may belong to a platform's prober, in addition
	// to loopback, private, link-local and shared (100.64.0.0/10) addresses, unix sockets
	// and the fixed ranges of the prober table. A client at such an address may be
	// believed to be the prober that its User-Agent names; if that names none, it is
	// called "configured" when it probes. What it does is logged. The address gives
	// access to nothing.
	ProbeSources []netip.Prefix

	// TrustedProxies may name the client in X-Forwarded-For. No other peer is believed,
	// including a proxy on a unix socket, which has no address.
	TrustedProxies []netip.Prefix

	// ExpectProxy: a PROXY preamble is normal here, because a listener above the guard's
	// reads it. You do not need it for a listener below.
	ExpectProxy bool

	// Details decides who may see the details of health checks, which contain host names
	// and errors. Nil: no one. It is called for each health request that asks for
	// details. It must return at once, and its Head is valid only during the call. A
	// panic in it is logged, and means no.
	Details func(Head) bool

	// MaxSessions limits the WebSocket sessions that are open at once, including
	// handshakes in progress; one more is refused with 503. 0: no limit. On a route of
	// Endpoint or Handler, a good handshake counts from there on, and is refused before
	// the library is asked. On other routes it counts from the library's 101. A request
	// that cannot become a session never counts.
	MaxSessions int

	// Summary is the shortest time between two summaries of what was not logged. A
	// summary is logged only if the picture changed. 0: 1h. Negative: never.
	Summary time.Duration

	// Collapse is the window in which repeats of a failure (same class, reason and
	// prober) are counted, not logged; at its end one line has their number. 0: 1m.
	// time.Nanosecond: each failure gets its own line. Negative: an error of New.
	Collapse time.Duration

	// Drain sets the pace of [Guard.Drain].
	Drain DrainConfig

	// Observe gets every event, quiet ones too: each probe, each handshake that was
	// refused or failed, each panic, the end of each session, and the end of each
	// connection that had none of these and no request. An ordinary request is not an
	// event. Event.Err may be a *[event.HandshakeError].
	//
	// Calls come one at a time, in order. A panic in Observe is contained. It may call
	// every method of the Guard; but a method that waits, such as Drain, delays the log
	// for as long, and Close, which waits for the log, returns its error after two
	// seconds. While Observe blocks, no lines are logged; what overflows the queue of
	// 1024 is dropped and counted, but no connection waits. After [Guard.Close] there are
	// no calls. Nil: no calls.
	Observe func(event.Event)

	// ObserveOnly: count and explain, but answer and refuse nothing: no health route, no
	// handshake above MaxSessions or during a drain. Two things stay: sessions get their
	// goodbye at a drain, and an adapter's Handler refuses a foreign Origin, because
	// nothing else on that route checks it.
	ObserveOnly bool
}

// Routes names the paths of the health routes. "" is the default path (/livez, /readyz,
// /startupz or /healthz); if the application has its own route for that path, it wins. A
// path that you name here is answered before the application is asked. "-" turns the
// route off. A path begins with a slash and has no query, and no two routes have the same
// path; anything else is an error of New.
type Routes struct {
	Live, Ready, Startup, Health string
}

// DrainConfig is the pace of a drain. The zero value suits a process that has ten seconds
// to end.
type DrainConfig struct {
	// Timeout is the time from the start of the drain after which sessions that are still
	// open are closed. 0: 9s, so that the process ends before Docker and Cloud Run kill
	// it at 10 s; Kubernetes gives 30 s, Fly.io 5 s. Negative: an error of New.
	Timeout time.Duration
	// Fall is the number of 503 answers in a row after which a prober of the readiness
	// route stops sending traffic. A drain goes on accepting until each prober has had so
	// many, if Timeout leaves room for that, and for two seconds where a platform may act
	// without asking: see [Guard.Drain]. 0: 3, the value of the kubelet, HAProxy and most
	// load balancers. Negative: a drain does not wait.
	Fall int
	// Spread is the longest time over which the goodbyes are spread, so that clients do
	// not all come back at once. A few sessions take less time: at least 100 goodbyes are
	// sent per second. 0: a quarter of Timeout. Negative: all at once. Longer than
	// Timeout: an error of New.
	Spread time.Duration
	// Code is the close code of the goodbye (RFC 6455 §7.4.1). 0: 1001, going away. The
	// only other useful code is 1012, service restart. A code that must not be sent, such
	// as 1005, is an error of New. It is for sessions of an adapter's Handler; what
	// [Session.OnDrain] registers sends its own code.
	Code int
}

const (
	defaultSummary      = time.Hour
	defaultCollapse     = time.Minute
	defaultDrainTimeout = 9 * time.Second
	defaultDrainCode    = 1001
	defaultDrainFall    = 3
)

// defaultPaths are the health routes where Config.Routes names none.
var defaultPaths = [routes]string{
	RouteLive: "/livez", RouteReady: "/readyz", RouteStartup: "/startupz", RouteHealth: "/healthz",
}

// withDefaults returns c with every default filled in, or one error that joins everything
// that is wrong with it. It changes nothing that the caller can see.
func (c Config) withDefaults() (Config, error) {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("quietws: "+format, args...)) }

	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	c.ProbePaths, c.AppHealth = slices.Clone(c.ProbePaths), slices.Clone(c.AppHealth)
	c.ProbeSources = slices.Clone(c.ProbeSources)
	c.TrustedProxies = slices.Clone(c.TrustedProxies)
	for _, d := range []struct {
		name string
		time.Duration
	}{{"Summary", c.Summary}, {"Collapse", c.Collapse}, {"Drain.Timeout", c.Drain.Timeout}, {"Drain.Spread", c.Drain.Spread}} {
		if d.Duration > 0 && d.Duration < time.Millisecond && (d.name != "Collapse" || d.Duration != time.Nanosecond) {
			bad("Config.%s is %v; a number without a unit is nanoseconds: write %s", d.name, d.Duration, inUnits(d.Duration))
		}
	}
	if c.MaxSessions < 0 {
		bad("Config.MaxSessions is %d; it is a number of sessions, 0 for no limit", c.MaxSessions)
	}
	if c.Summary == 0 {
		c.Summary = defaultSummary
	}
	switch {
	case c.Collapse < 0:
		bad("Config.Collapse is %v; a window cannot be negative", c.Collapse)
	case c.Collapse == 0:
		c.Collapse = defaultCollapse
	}
	switch {
	case c.Drain.Timeout < 0:
		bad("Config.Drain.Timeout is %v; a deadline cannot be negative", c.Drain.Timeout)
		c.Drain.Timeout = defaultDrainTimeout // for the checks below
	case c.Drain.Timeout == 0:
		c.Drain.Timeout = defaultDrainTimeout
	}
	if c.Drain.Spread == 0 {
		c.Drain.Spread = c.Drain.Timeout / 4
	}
	if c.Drain.Fall == 0 {
		c.Drain.Fall = defaultDrainFall
	}
	if c.Drain.Spread > c.Drain.Timeout {
		bad("Config.Drain.Spread is %v, longer than the deadline of %v", c.Drain.Spread, c.Drain.Timeout)
	}
	switch code := c.Drain.Code; {
	case code == 0:
		c.Drain.Code = defaultDrainCode
	case code < 1000 || code > 4999 || code == 1004 || code == 1005 || code == 1006 || code == 1015:
		bad("Config.Drain.Code is %d, which RFC 6455 §7.4 does not let a server send", code)
	}
	errs = append(errs, c.Routes.check()...)
	for _, p := range c.ProbePaths {
		if wrong := notAPath(p); wrong != "" {
			bad("Config.ProbePaths has %q; %s", p, wrong)
		}
	}
	named := c.Routes.paths()
	for _, p := range c.AppHealth {
		if wrong := notAPath(p); wrong != "" {
			bad("Config.AppHealth has %q; %s", p, wrong)
			continue
		}
		if field := named[p]; field != "" {
			bad("Config.AppHealth has %q, which is Config.Routes.%s too; if the application answers it set that to \"-\"", p, field)
		}
		if slices.Contains(c.ProbePaths, p) {
			bad("Config.AppHealth has %q, which is in Config.ProbePaths too; either the application answers it or the guard", p)
		}
	}
	for name, prefixes := range map[string][]netip.Prefix{"ProbeSources": c.ProbeSources, "TrustedProxies": c.TrustedProxies} {
		for i, p := range prefixes {
			switch mapped := p.Addr().Is4In6(); {
			case !p.IsValid():
				bad("Config.%s has a prefix that is not valid", name)
			case mapped && p.Bits() < 96:
				bad("Config.%s has %v; write an IPv4 prefix as such", name, p)
			case mapped: // IPv4-mapped addresses are compared as IPv4
				prefixes[i] = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
			}
		}
	}
	return c, errors.Join(errs...)
}

// inUnits is what a user probably meant who left out the unit.
func inUnits(d time.Duration) string {
	if d >= 1000 {
		return fmt.Sprintf("%d * time.Millisecond", int64(d))
	}
	return fmt.Sprintf("%d * time.Second", int64(d))
}

// all returns the field for each route.
func (r *Routes) all() [routes]*string {
	return [routes]*string{RouteLive: &r.Live, RouteReady: &r.Ready, RouteStartup: &r.Startup, RouteHealth: &r.Health}
}

// path returns the path of a route: the default where r names none, "" if it is off.
func (r Routes) path(route Route) string {
	switch p := *r.all()[route]; p {
	case "-":
		return ""
	case "":
		return defaultPaths[route]
	default:
		return p
	}
}

// paths maps each path to the name of its field in Routes.
func (r Routes) paths() map[string]string {
	return map[string]string{r.path(RouteLive): "Live", r.path(RouteReady): "Ready", r.path(RouteStartup): "Startup", r.path(RouteHealth): "Health"}
}

// check returns what is wrong with r.
func (r Routes) check() (errs []error) {
	taken := make(map[string]Route, routes)
	for route, p := range r.all() {
		if p == nil || *p == "-" {
			continue
		}
		path := r.path(Route(route))
		if wrong := notAPath(path); wrong != "" {
			errs = append(errs, fmt.Errorf("quietws: Config.Routes names %q for %s; %s", path, Route(route), wrong))
			continue
		}
		if other, dup := taken[path]; dup {
			errs = append(errs, fmt.Errorf("quietws: Config.Routes has %q for both %s and %s", path, other, Route(route)))
			continue
		}
		taken[path] = Route(route)
	}
	return errs
}

// notAPath says why p cannot be compared as a path, "" if it can. What routers take for a
// wildcard or a parameter is not a path: no request would ever equal it.
func notAPath(p string) string {
	switch {
	case !strings.HasPrefix(p, "/") || strings.ContainsAny(p, "?# \t\r\n\x00"):
		return "a path begins with a slash and has no query"
	case strings.ContainsAny(p, "*{}") || strings.Contains(p, "/:"):
		return "a path is compared whole and not as a pattern: write each path out, as \"/ws/chat\", \"/ws/news\""
	}
	return ""
}
