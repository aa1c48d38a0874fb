package core

import (
	"net/http"

	"github.com/quietws/quietws/core/internal/head"
	"github.com/quietws/quietws/core/internal/prober"
	"github.com/quietws/quietws/core/internal/remedy"
)

// IsUpgrade reports whether r asks to upgrade to WebSocket, or is what a proxy left of
// such a request: Upgrade lists websocket, there is a Sec-WebSocket-Key, or it is an
// extended CONNECT for websocket (RFC 8441). Use it in filters of middleware that
// measures or traces requests, where a session would be a request that takes hours. It
// does not say whether the handshake is a good one.
func IsUpgrade(r *http.Request) bool { return head.AsksToUpgrade(httpHead{r}) }

// IsProbe reports whether r is a probe, for filters of access logs, metrics and traces.
// Probes are:
//
//   - requests for a health route that quietws answers, and for [Config.AppHealth], from
//     any client;
//   - what quietws answers a known prober from a platform's address on a route of Handler;
//   - a GET, HEAD or OPTIONS of such a prober on the application's own health route or one
//     of [Config.ProbePaths];
//   - HAProxy's default check, OPTIONS /.
//
// No other request of the application is a probe, whatever its User-Agent says, and a
// request that asks to upgrade never is.
//
// You may call it before the guard's layer has seen r, or after, when it is exact. Before
// that, two things are not known yet: the first probe of a WebSocket route; and, where
// only a call can show the application's routes, as for any handler of net/http except
// *http.ServeMux, a default health path counts as the guard's. IsProbe changes nothing.
// It proves no identity: do not use it for access control.
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

// look judges a request without counting or keeping anything.
func (a Adapter) look(h Head) *exchange {
	if head.AsksToUpgrade(h) {
		return nil
	}
	a.form |= pathLook
	return a.judge(h, nil, atServer)
}

// quiet reports whether a request belongs in no access log.
func (x *exchange) quiet() bool {
	switch {
	case x.asks:
		return false
	case x.app:
		return true
	case x.verdict == verdictProbe:
		return x.probing || x.credited
	case x.fallback: // nearly always answered by the guard
		return x.probing || x.credited
	}
	return x.probing && x.credited && isRead(x.methodWord())
}

// Probers returns the names of all known probers, sorted. These are the values of
// [event.Event.Prober] and of the metric label "prober", in addition to "configured" for
// a prober without a known name at an address of [Config.ProbeSources]; the label is
// "unknown" if there is no prober. The caller owns the slice.
func Probers() []string {
	return prober.Names()
}

// Proxies returns the names of all proxies that are recognized by their traces, sorted:
// the values of [event.Event.Proxy]. nginx and HAProxy leave no traces and are not among
// them. The caller owns the slice.
func Proxies() []string {
	return remedy.Proxies()
}
