package core

import "net/netip"

// Head is what every framework knows of a request before any handler has run.
// Its strings need to be valid only while [Adapter.Begin] runs: the core
// clones what it keeps, so an adapter for a server that reuses its buffers
// copies nothing.
type Head interface {
	Method() string
	// Path is the decoded path of the request target, without the query.
	Path() string
	// Query is the raw query, without the question mark.
	Query() string
	Host() string
	// Proto is "HTTP/1.0", "HTTP/1.1" or "HTTP/2.0".
	Proto() string
	// Field returns all lines of the header field of that name, joined with
	// ", " as RFC 9110 §5.3 has it, "" if there is none. The name is in
	// canonical form. Field knows Host.
	Field(name string) string
	// Remote is the TCP peer, the zero AddrPort where there are no addresses.
	Remote() netip.AddrPort
	TLS() bool
}

// Answer is a whole response: an adapter writes it as it stands. The slices in
// it are shared between requests and must not be changed.
type Answer struct {
	Status int
	Header []HeaderField
	// Body is sent for every method but HEAD; Content-Length is in Header.
	Body string
}

// HeaderField is one field of an [Answer]. Name is in canonical form.
type HeaderField struct {
	Name   string
	Values []string
}

// Kind is what to do with a request.
type Kind uint8

const (
	// Pass: the application's; call the next handler.
	Pass Kind = iota
	// Probe: write the Answer, do not call the next handler.
	Probe
	// Upgrade: a handshake for the application's WebSocket handler; call it.
	Upgrade
	// Refuse: write the Answer, do not call the next handler.
	Refuse
)

// Verdict is a decision whole: what to do, and what to write where the
// application is not asked.
type Verdict struct {
	Kind   Kind
	Answer Answer
	// Err says why, for Refuse.
	Err *HandshakeError
	// Connection, where it is not "", is what the request's field of that name
	// may be rewritten to: that of a good handshake, for servers and libraries
	// that read one line of it, or one item.
	Connection string
}

// Match is how a framework came to the handler that answered a request.
type Match uint8

const (
	// MatchUnknown: that cannot be known.
	MatchUnknown Match = iota
	// MatchExact: a route of exactly this path.
	MatchExact
	// MatchPattern: a route with a wildcard or a parameter, or a catch-all.
	MatchPattern
	// MatchMiddleware: no route, a middleware that was in the way.
	MatchMiddleware
)

// MatchOf says how a framework came to a handler where it has no route of exactly
// the path: found is false where there was none at all, pattern is true for a
// route that holds more paths than one.
func MatchOf(found, pattern bool) Match {
	switch {
	case !found:
		return MatchUnknown
	case pattern:
		return MatchPattern
	}
	return MatchMiddleware
}

// Route is one of the four health routes.
type Route uint8

const (
	NoRoute      Route = iota
	RouteLive          // /livez: the process runs
	RouteReady         // /readyz: send traffic here
	RouteStartup       // /startupz: the start is over
	RouteHealth        // /healthz: the server answers; also what a known prober gets on a WebSocket path
	routes
)

// String returns "live", "ready", "startup", "health" or "".
func (r Route) String() string {
	return [...]string{"", "live", "ready", "startup", "health"}[min(r, routes)%routes]
}

// HealthQuery is one question to a [Health].
type HealthQuery struct {
	Route Route
	// Draining is true while the guard drains: ready and health then fail.
	Draining bool
	// Details is true if [Config.Details] lets this caller see the checks.
	Details bool
	// Head is the request; its method is GET, HEAD or OPTIONS.
	Head Head
}

// Health answers the health routes. *health.Checker is one.
//
// Answer is called on every health request, concurrently. It must return at
// once, from what is already known: it runs no check. Where it returns false
// the guard answers as if Config.Health were nil.
type Health interface {
	Answer(HealthQuery) (Answer, bool)
}

// HealthReporter is what a [Health] may also implement, to be seen in
// [Guard.Snapshot] and so in metrics.
type HealthReporter interface {
	Checks() []CheckStatus
}

// CheckStatus is the present state of one health check.
type CheckStatus struct {
	Name string
	// Status is "pass", "warn" or "fail".
	Status string
}
