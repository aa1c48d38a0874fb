package core

import "sync"

// Endpoint is for a request that has reached a WebSocket route whose pattern
// is route, as far as it is a path, "" if it is not known: known probers get the
// health answer, whatever their method, and a handshake that RFC 6455 forbids
// and a library might let pass is refused. Everything else is the route's.
func (a Adapter) Endpoint(r Request, h Head, route string) Request {
	return a.atEndpoint(r, h, route, false, nil)
}

// Handler is Endpoint for a route that serves nothing but WebSocket: every
// fault is refused, with the status of its reason, and so is an Origin that
// origins does not allow; nil allows all.
func (a Adapter) Handler(r Request, h Head, route string, origins *Origins) Request {
	return a.atEndpoint(r, h, route, true, origins)
}

// atEndpoint takes a request that reached a WebSocket route, whose pattern route
// is, "" if that is not known. own is true for a route that is wholly Handler's,
// origins then says which pages may open it, nil for every one. A path that is the whole pattern is
// remembered, so that the outermost layer answers a prober there. Without a guard
// only origins counts: on a route of ours nobody else looks.
func (a Adapter) atEndpoint(r Request, h Head, route string, own bool, origins *Origins) Request {
	g := a.g
	if g == nil {
		if own && asksToUpgrade(h) && origins != nil && !origins.allow(h.Field(fieldOrigin), h.Host()) {
			r.x = new(exchange)
			r.x.refuse(ReasonOriginForbidden)
		}
		return r
	}
	if r.asked {
		return r
	}
	if route == h.Path() {
		g.learn(route)
	}
	if r.x == nil {
		r.x = a.judge(h, r.c, true)
		r.remember()
	}
	x := r.x
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.is(stateSettled) { // a layer in between, such as http.TimeoutHandler, has answered
		return Request{}
	}
	x.learns = route == ""
	x.endpoint, x.own = true, x.own || own
	forbidden := own && x.asks && origins != nil && !origins.allow(h.Field(fieldOrigin), h.Host())
	switch {
	case x.kind == Refuse:
		return r
	case g.config.ObserveOnly:
		if forbidden { // on a route of ours nobody else looks
			x.compared(h)
			x.refuse(ReasonOriginForbidden)
		}
		return r
	}
	if x.prober != 0 && !x.asks {
		x.kind, x.answer = Probe, g.answerProber()
		return r
	}
	if x.fault == NoReason && forbidden {
		x.fault = ReasonOriginForbidden
		x.compared(h)
	}
	if x.fault != NoReason && (own || x.asks && x.libraryAccepts()) {
		x.refuse(x.fault)
	}
	return r
}

// libraryAccepts reports whether the fault is one that RFC 6455 forbids and that
// WebSocket libraries are known to let pass: gorilla/websocket HTTP/1.0 and
// several keys, fasthttp/websocket, the one for a [Message], a bad key as well. Of
// other faults the library tells the client in its own words.
func (x *exchange) libraryAccepts() bool {
	switch x.fault {
	case ReasonHTTP10, ReasonDuplicateKey:
		return true
	case ReasonBadKey:
		return x.message
	}
	return false
}

// compared keeps what an Origin was compared with, for the line that tells it.
func (x *exchange) compared(h Head) {
	x.foreign = &comparedOrigin{keep(h, h.Field(fieldOrigin)), keep(h, h.Host())}
}

func (x *exchange) refuse(r Reason) {
	x.kind, x.fault, x.answer = Refuse, r, refusal(r)
}

// judge decides what a request is. It returns nil for an ordinary one. It is
// pure but for the slot that a handshake takes of Config.MaxSessions.
func (a Adapter) judge(h Head, c *Conn, endpoint bool) *exchange {
	g := a.g
	path := h.Path()
	rule := g.rule(path)
	asks := asksToUpgrade(h)
	p := proberByHead(h)
	method := h.Method()
	if rule == nil && method == "OPTIONS" && (path == "*" || path == "/" && p == proberHAProxy) {
		rule = &wholeServer
	}
	preface := method == "PRI" && path == "*"
	endpoint = endpoint || g.isEndpoint(path)
	if !asks && rule == nil && p == 0 && !endpoint && !preface {
		return nil
	}
	x := exchanges.Get().(*exchange)
	x.g, x.c, x.asks, x.endpoint, x.prober, x.preface = g, c, asks, endpoint, p, preface
	_, x.message = h.(Message)
	if rule != nil && rule.path == path {
		x.path = rule.path // the same, and nobody's to use again
	} else {
		x.path = keep(h, path)
	}
	_, onHTTP := h.(httpHead)
	x.lent = !onHTTP
	x.setMethod(h, method)
	x.remote, x.platform = g.peer(h)
	x.source(h)
	x.credited = p != 0 && (x.platform || p.inOwnRange(x.address()))
	x.http1 = isHTTP1(h)
	if rule == &wholeServer && !x.platform {
		if !endpoint {
			exchanges.Put(reset(x))
			return nil
		}
		rule = nil // on a WebSocket route it is a request as any other
	}
	if x.probing = rule != nil; x.probing {
		x.route = rule.route
		x.machine = rule.route == RouteReady && (p != 0 || h.Field("User-Agent") == "") // HAProxy's own check has none
	}
	if asks || endpoint {
		var field string
		x.fault, field = checkHandshake(h)
		x.badConn = field == fieldConnection
		if x.fault == ReasonUpgradeStripped {
			x.via = viaByHead(h)
		}
		if isForeign(h.Field(fieldOrigin), h.Host()) {
			x.compared(h)
		}
	}
	if asks {
		x.kind = Upgrade
	}
	if g.config.ObserveOnly {
		return x
	}
	switch {
	case asks && g.refusing.Load():
		x.refuse(ReasonDraining)
	case asks && !g.takeSlot(x):
		x.refuse(ReasonSaturated)
	case asks:
	case rule != nil && rule.route != NoRoute && (rule.named || !a.appOwns(h, x, rule)):
		if !x.fallback {
			room := answers.Get().(*Answer)
			x.kind, x.answer = Probe, g.answerRoute(rule.route, h, room)
			if x.pooled = x.answer == room; !x.pooled {
				answers.Put(room)
			}
		}
	case p != 0 && (endpoint || rule != nil && rule.probe && isRead(method)):
		x.kind, x.answer = Probe, g.answerProber()
	case !endpoint && !preface && !x.credited:
		exchanges.Put(reset(x)) // a claim in a User-Agent on a path of the application's
		return nil
	}
	return x
}

// wholeServer is the rule for HAProxy's "option httpchk" as it comes, OPTIONS /,
// and for OPTIONS *, which asks for the server and no page of it (RFC 9110
// §9.3.7). Few applications answer either: then it is a question about health.
var wholeServer = pathRule{route: RouteHealth}

// isRead reports whether a health question is asked with this method.
func isRead(method string) bool { return method == "GET" || method == "HEAD" || method == "OPTIONS" }

// appOwns reports whether a default health route is the application's. Where
// that shows only when it has answered, it notes so.
func (a Adapter) appOwns(h Head, x *exchange, rule *pathRule) bool {
	if rule == &wholeServer {
		x.fallback = true
		return false
	}
	ask := a.owns
	if ask == nil {
		ask = a.g.owned
	}
	owned, asked := ask(h, a.mere)
	x.fallback = !asked
	return owned
}

// takeSlot takes one of Config.MaxSessions, if there is such a limit.
func (g *Guard) takeSlot(x *exchange) bool {
	limit := int64(g.config.MaxSessions)
	if limit == 0 {
		return true
	}
	if g.slots.Add(1) > limit {
		g.slots.Add(-1)
		return false
	}
	x.slot = true
	return true
}

func (x *exchange) freeSlot() {
	if x.slot && !x.opened() {
		x.slot = false
		x.g.slots.Add(-1)
	}
}

// exchanges are those of probes that were answered before any handler ran, for
// use again: nobody has seen them.
var (
	exchanges = sync.Pool{New: func() any { return new(exchange) }}
	answers   = sync.Pool{New: func() any { return new(Answer) }}
)

func reset(x *exchange) *exchange {
	*x = exchange{}
	return x
}

// recycle gives up the exchange of a request that was begun and answered here.
func (r Request) recycle() {
	if r.begun && r.x != nil && r.x.kind == Probe && !r.x.found {
		if r.x.pooled {
			answers.Put(r.x.answer)
		}
		exchanges.Put(reset(r.x))
	}
}
