package core

import (
	"net/http"

	"github.com/quietws/quietws/core/internal/head"
	"github.com/quietws/quietws/core/internal/prober"
	"github.com/quietws/quietws/core/internal/remedy"
)

// IsUpgrade reports whether r asks to upgrade to WebSocket, or is what a proxy
// left of such a request: Upgrade lists websocket, there is a Sec-WebSocket-Key,
// or it is an extended CONNECT for websocket (RFC 8441). It is for the filters of
// middleware that measures or traces requests, for which a session would be a
// request of hours. It says nothing of whether the handshake is a good one.
func IsUpgrade(r *http.Request) bool { return head.AsksToUpgrade(httpHead{r}) }

// IsProbe reports whether r is a probe, for the filters of access logs, metrics
// and traces: a health route that quietws answers itself and one of
// [Config.AppHealth], whoever asks, what it answers a known prober from a platform's
// address on a route of Handler, and a GET, HEAD or OPTIONS of such a prober on the
// application's own health route or one of [Config.ProbePaths]. HAProxy's check as it comes, OPTIONS /, is one too. It is
// never true for anything else of the application's, whatever the User-Agent says,
// and never for a request that asks to upgrade.
//
// It may be asked before the guard's layer has seen r, or after, which is exact.
// Before, the first probe of a WebSocket route is not known as one yet; and
// where the application can be asked for its routes only by calling it, as on
// net/http any handler but an *http.ServeMux, a default health path counts as
// the guard's until then. It changes nothing and is no proof of who somebody is:
// let nobody in by it.
func (g *Guard) IsProbe(r *http.Request) bool {
	if g == nil {
		return false
	}
	x := g.exchangeIn(r.Context())
	if x == nil {
		x = Adapter{g: g}.look(httpHead{r})
	}
	return x != nil && x.quiet()
}

// look judges without taking anything.
func (a Adapter) look(h Head) *exchange {
	if head.AsksToUpgrade(h) {
		return nil
	}
	a.form |= pathLook
	return a.judge(h, nil, atServer)
}

// quiet reports whether a request is one that nobody needs to hear of.
func (x *exchange) quiet() bool {
	switch {
	case x.asks:
		return false
	case x.app:
		return true
	case x.verdict == verdictProbe:
		return x.probing || x.credited
	case x.fallback: // nearly always ours
		return x.probing || x.credited
	}
	return x.probing && x.credited && isRead(x.methodWord())
}

// Probers returns the name of every known prober, sorted: the values that
// [event.Event.Prober] and the metric label "prober" can have, beside "configured" for
// a nameless one at an address of [Config.ProbeSources]; the label is "unknown"
// where there is none. The slice is the caller's.
func Probers() []string {
	return prober.Names()
}

// Proxies returns the name of every proxy that is told by its traces, sorted:
// the values that [event.Event.Proxy] can have. nginx and HAProxy leave no traces and are
// not among them. The slice is the caller's.
func Proxies() []string {
	return remedy.Proxies()
}
