package core

import "net/http"

// IsUpgrade reports whether r asks to upgrade to WebSocket, or is what a proxy
// left of such a request: for the filters of middleware that measures or traces
// requests, for which a session would be a request of hours.
func IsUpgrade(r *http.Request) bool { return asksToUpgrade(httpHead{r}) }

// IsProbe reports whether r is a probe, for the filters of access logs, metrics
// and traces: a request that quietws answers itself, or a GET, HEAD or OPTIONS of
// a known prober from a platform's address on a health route or one of
// Config.ProbePaths, or HAProxy's check as it comes, for the whole server. It is never true for anything else of the application's,
// whatever the User-Agent says. Asked before the guard's own layer it says what
// is certain then.
func (g *Guard) IsProbe(r *http.Request) bool {
	x := exchangeOf(r.Context())
	if x == nil {
		x = g.Adapter().look(httpHead{r})
	}
	return x != nil && x.quiet()
}

// look judges without taking anything.
func (a Adapter) look(h Head) *exchange {
	if asksToUpgrade(h) {
		return nil
	}
	return a.judge(h, nil, false)
}

// quiet reports whether a request is one that nobody needs to hear of.
func (x *exchange) quiet() bool {
	switch {
	case x.asks:
		return false
	case x.kind == Probe:
		return x.probing || x.credited
	case x.fallback: // nearly always ours
		return true
	}
	return x.probing && x.credited && isRead(x.methodWord())
}
