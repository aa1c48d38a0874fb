package core

import (
	"net/netip"

	"github.com/quietws/quietws/core/event"
)

// Head is what every framework knows of a request before any handler has run. Its strings
// need to be valid only until the guard has judged the request: the core clones what it
// keeps, so an adapter for a server that reuses its buffers copies nothing. Everything in
// it except Remote and TLS is the client's word.
type Head = interface {
	// Method is the request's method, in the letter case in which it came.
	Method() string
	// Path is the path of the request target, without the query: decoded on net/http,
	// unchanged on Fiber. [Adapter.Paths] says what the router, and so the core, makes of
	// it.
	Path() string
	// Query is the raw query, without the question mark.
	Query() string
	// Host is the Host field, or its equivalent in HTTP/2; "" if there is neither.
	Host() string
	// Proto is "HTTP/1.0", "HTTP/1.1" or "HTTP/2.0".
	Proto() string
	// Field returns all lines of the header field with that name, joined with ", " as in
	// RFC 9110 §5.3, or "" if there is none. The name is in canonical form. Field also
	// knows Host.
	Field(name string) string
	// Remote is the TCP peer, or the zero AddrPort where there are no addresses. An IPv4
	// address is given as IPv4, not as an IPv4-mapped IPv6 address.
	Remote() netip.AddrPort
	// TLS reports whether the request came over TLS that this server terminated.
	TLS() bool
}

// Answer is a complete response: an adapter writes it unchanged. The slices in it are
// shared between requests and must not be modified.
type Answer struct {
	// Status is the HTTP status, from 200 to 599.
	Status int
	// Header is the complete header, including Content-Length.
	Header []HeaderField
	// Body is sent for every method except HEAD. Neither Body nor Header should contain
	// anything that the client sent.
	Body string
}

// HeaderField is one field of an [Answer]. Name is in canonical form; each of Values is a
// separate line.
type HeaderField struct {
	Name   string
	Values []string
}

// verdict says what to do with a request.
type verdict uint8

const (
	// The application's: call the next handler.
	verdictPass verdict = iota
	// Write the answer, do not call the next handler.
	verdictProbe
	// A handshake for the application's WebSocket handler: call it.
	verdictUpgrade
	// Write the refusal, do not call the next handler.
	verdictRefuse
)

// decision is a verdict with what to write. The zero decision lets the request pass.
type decision struct {
	verdict verdict
	// Complete for verdictProbe and verdictRefuse, else the zero Answer.
	answer Answer
	// Says why, for verdictRefuse.
	err *event.HandshakeError
	// Where this is not "", the request's Connection field may be rewritten to it. It is
	// set for a good handshake, because some servers and libraries read only one line or
	// one item of that field.
	connection string
}

// Route is one of the four health routes. [Routes] says at which paths they are.
type Route uint8

const (
	NoRoute      Route = iota // none of them
	RouteLive                 // /livez: the process runs; 200, also while draining
	RouteReady                // /readyz: send traffic here; 503 while starting, not ready or draining
	RouteStartup              // /startupz: the start is over; 503 until it is
	RouteHealth               // /healthz: the server answers; 503 only while draining
	routes
)

// String returns "live", "ready", "startup", "health", or "" for NoRoute.
func (r Route) String() string {
	return [...]string{"", "live", "ready", "startup", "health"}[min(r, routes)%routes]
}

// HealthQuery is one question to [Health].
type HealthQuery struct {
	// Route is the route that was requested, never NoRoute.
	Route Route
	// Draining is true while the guard drains: the ready and health routes then fail.
	Draining bool
	// Details is true if [Config.Details] lets this caller see the checks.
	Details bool
	// Head is the request, valid during the call. Its method is GET, HEAD or OPTIONS. The
	// guard also asks RouteReady itself, to know whether the server takes traffic; Head
	// then has a path and no fields.
	Head Head
}

// Health answers the health routes. *health.Checker implements it.
//
// Answer is called for every health request, concurrently. It must return at once, from
// what is already known, without running a check. It may call [Guard.Snapshot], which
// then contains the previous values of Ready and Checks. An Answer that blocks delays
// only its own request. Where it returns false, the guard answers as if Config.Health
// were nil: 200, and 503 from ready and health while draining. A panic in Answer is
// logged; ready and startup then answer 503, live and health 200. On [Config.ProbePaths]
// it is asked for RouteReady. It is not asked for what a known prober gets on a route of
// Handler: 200, and 503 while draining.
//
// A Health may also have a method Checks() []CheckStatus. It provides the present state
// of every check for [Guard.Snapshot], and so for metrics. It must also return at once. A
// panic in it is logged, and the snapshot then has no checks.
type Health interface {
	Answer(HealthQuery) (Answer, bool)
}

// CheckStatus is the present state of one health check.
type CheckStatus struct {
	// Name is unique among the checks; it becomes a metric label.
	Name string
	// Status is "pass", "warn" or "fail".
	Status string
}

// Adapter returns what the adapter of a framework needs. Applications use the adapter's
// package instead.
func (g *Guard) Adapter() Adapter {
	if g != nil && !g.watch.RequestsReported.Load() {
		g.watch.RequestsReported.Store(true)
	}
	return Adapter{g: g}
}

// Adapter is the guard as adapters see it: the core decides, and an adapter writes and
// reports. Each request is begun, then ended exactly once.
//
// An adapter of the net/http family begins with [Adapter.BeginHTTP] or
// [Adapter.AtEndpoint], and [HTTPRequest] does the rest. An adapter for a server that
// writes the response after the handlers have returned, as fasthttp does, uses
// [Adapter.BeginMessage] and [Request.Around]. Package coretest checks whether an adapter
// keeps the rules. The methods are safe for concurrent use.
type Adapter struct {
	g      *Guard
	owns   ownerFunc
	server *server  // nil: unknown
	form   pathForm // 0: the guard's; with pathLook the request is only looked at
	// Four words, so that the compiler passes it in registers: with a fifth field each
	// call copies it on a session's stack.
}

// Owner returns an Adapter with a function that says whether the application has a route
// for exactly the path of a request, whatever the method. Wildcards and catch-alls do not
// count. asked is false where that cannot be known before the application has answered. f
// must be safe for concurrent use and must not allocate. The guard remembers the last f,
// for layers that have none.
func (a Adapter) Owner(f func(Head) (owned, asked bool)) Adapter {
	return a.own(func(h Head, _ bool) (owned, asked bool) { return f(h) })
}

func (a Adapter) own(f ownerFunc) Adapter {
	if a.g == nil {
		return a
	}
	a.owns = f
	a.g.paths.owner.Store(&f)
	return a
}
