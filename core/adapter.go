package core

import (
	"net/netip"

	"github.com/quietws/quietws/core/event"
)

// Head is what every framework knows of a request before any handler has run.
// Its strings need to be valid only while [Adapter.Begin] runs: the core
// clones what it keeps, so an adapter for a server that reuses its buffers
// copies nothing. Everything in it but Remote and TLS is the client's word.
type Head = interface {
	// Method is the request's method, in the letters in which it came.
	Method() string
	// Path is the path of the request target, without the query: decoded on
	// net/http, as it came on Fiber. What the router makes of it, and the core with
	// it, is for [Adapter.Paths] to say.
	Path() string
	// Query is the raw query, without the question mark.
	Query() string
	// Host is the Host field, or what stands for it in HTTP/2, "" if neither is
	// there.
	Host() string
	// Proto is "HTTP/1.0", "HTTP/1.1" or "HTTP/2.0".
	Proto() string
	// Field returns all lines of the header field of that name, joined with
	// ", " as RFC 9110 §5.3 has it, "" if there is none. The name is in
	// canonical form. Field knows Host.
	Field(name string) string
	// Remote is the TCP peer, the zero AddrPort where there are no addresses.
	// An IPv4 address is one, not an IPv6 address that stands for it.
	Remote() netip.AddrPort
	// TLS reports whether the request came inside TLS that this server ended.
	TLS() bool
}

// Answer is a whole response: an adapter writes it as it stands. The slices in
// it are shared between requests and must not be changed.
type Answer struct {
	// Status is the HTTP status, from 200 to 599.
	Status int
	// Header is all of the header, Content-Length too.
	Header []HeaderField
	// Body is sent for every method but HEAD. Neither it nor Header should have
	// in it what the client sent.
	Body string
}

// HeaderField is one field of an [Answer]. Name is in canonical form, and each of
// Values is a line.
type HeaderField struct {
	Name   string
	Values []string
}

// Kind is what to do with a request.
type verdict uint8

const (
	// Pass: the application's; call the next handler.
	verdictPass verdict = iota
	// Probe: write the Answer, do not call the next handler.
	verdictProbe
	// Upgrade: a handshake for the application's WebSocket handler; call it.
	verdictUpgrade
	// Refuse: write the Answer, do not call the next handler.
	verdictRefuse
)

// Verdict is a decision whole: what to do, and what to write where the
// application is not asked. The zero Verdict lets the request pass.
type decision struct {
	verdict verdict
	// Answer is complete for Probe and Refuse, the zero Answer for the others.
	answer Answer
	// Err says why, for Refuse.
	err *event.HandshakeError
	// Connection, where it is not "", is what the request's field of that name
	// may be rewritten to: that of a good handshake, for servers and libraries
	// that read one line of it, or one item.
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

// HealthQuery is one question to a [Health].
type HealthQuery struct {
	// Route is the route that is asked, never NoRoute.
	Route Route
	// Draining is true while the guard drains: ready and health then fail.
	Draining bool
	// Details is true if [Config.Details] lets this caller see the checks.
	Details bool
	// Head is the request, valid during the call; its method is GET, HEAD or
	// OPTIONS. The guard asks RouteReady by itself too, to know whether the
	// server takes traffic, with a Head that has a path and no field.
	Head Head
}

// Health answers the health routes. *health.Checker is one.
//
// Answer is called on every health request, concurrently. It must return at
// once, from what is already known: it runs no check. It may look at
// [Guard.Snapshot], whose Ready and Checks are then those of the time before. One
// that blocks holds up its own request and nothing else. Where it returns false
// the guard answers as if Config.Health were nil: 200, and 503 from ready and
// health while draining. A panic in it is told, and answered 503 from ready and
// startup, 200 from live and health. On one of [Config.ProbePaths] it is asked for
// RouteReady, and not at all for what a known prober gets on a route of Handler: 200,
// and 503 while draining.
//
// A Health may also have a method Checks() []CheckStatus, by which the present state of
// every check is seen in [Guard.Snapshot] and so in metrics. It must return at once as
// well; a panic in it is logged, and there are no checks then.
type Health interface {
	Answer(HealthQuery) (Answer, bool)
}

// CheckStatus is the present state of one health check.
type CheckStatus struct {
	// Name is that of the check, unique among them; it becomes a metric label.
	Name string
	// Status is "pass", "warn" or "fail".
	Status string
}
