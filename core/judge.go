package core

import (
	"log/slog"
	"net/http"
	"sync"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/conn"
	"github.com/quietws/quietws/core/internal/head"
	"github.com/quietws/quietws/core/internal/journal"
	"github.com/quietws/quietws/core/internal/prober"
	"github.com/quietws/quietws/core/internal/remedy"
)

// Endpoint is for a request that has reached a WebSocket route. route is the route's
// pattern, as far as it is a path, or "" if it is not known.
//
// If origins is nil, a library serves the route, which may serve more than WebSocket.
// Endpoint refuses a handshake that RFC 6455 forbids and a library might accept, and one
// for which [Config.MaxSessions] has no room. Everything else is up to the route.
//
// Otherwise the route is an adapter's Handler, which serves only WebSocket. Known probers
// get the health answer, whatever their method. Every fault is refused with the status of
// its reason, and so is an Origin that origins does not allow. If a path is the whole
// pattern it is remembered, so that the outermost layer answers a prober there for
// methods without a route. Without a guard, Endpoint only checks origins, because nothing
// else on such a route does.
func (a Adapter) Endpoint(r Request, h Head, route string, origins *Origins) Request {
	own := origins != nil
	g := a.g
	if g == nil {
		if own && head.AsksToUpgrade(h) && !origins.allow(h.Field(head.FieldOrigin), h.Host()) {
			r.x = new(exchange)
			r.x.refuse(event.ReasonOriginForbidden)
		}
		return r
	}
	if r.question() {
		return r
	}
	where := atEndpoint
	if own {
		where = atHandler
		if path, form := a.path(h); route != "" && form.same(route, path) {
			g.paths.learn(route, h.Method())
		}
	}
	if r.x == nil {
		if r.x = a.judge(h, r.c, where); r.x == nil {
			return r
		}
		r.remember()
	}
	x := r.x
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.is(stateSettled) { // a layer in between, such as http.TimeoutHandler, has answered
		return Request{}
	}
	x.endpoint, x.own = true, x.own || own
	x.misplaced = !own && (route == "" || route == "/" && h.Path() != "/")
	if !x.asks {
		x.check(h)
	}
	forbidden := own && x.asks && !origins.allow(h.Field(head.FieldOrigin), h.Host())
	switch {
	case x.verdict == verdictRefuse, x.verdict == verdictProbe:
		return r
	case g.config.ObserveOnly:
		if forbidden { // on a route of ours nothing else checks it
			x.compared(h)
			x.refuse(event.ReasonOriginForbidden)
		}
		return r
	}
	if own && x.prober != 0 && !x.asks {
		x.fallback = false
		x.verdict, x.answer = verdictProbe, g.answerProber()
		return r
	}
	if x.fault == event.NoReason && forbidden {
		x.fault = event.ReasonOriginForbidden
		x.compared(h)
	}
	switch {
	case x.fault != event.NoReason && (own || x.asks && x.libraryAccepts()):
		x.refuse(x.fault)
	case x.acceptable && !g.takeSlot(x):
		x.refuse(event.ReasonSaturated)
	}
	return r
}

// endpointIsAround logs, once, that Endpoint is around the application: what it was
// asked there the application has no route for.
func (g *Guard) endpointIsAround(path string) {
	if !g.once.around.Swap(true) {
		g.journal.Note(slog.LevelWarn, "Endpoint is around the application", slog.String("path", journal.Word(path)),
			slog.Int("status", http.StatusNotFound), slog.String("remedy", aroundRemedy))
	}
}

const aroundRemedy = "put Endpoint on the route that serves WebSocket, in front of its handler; given to Use, it takes every route for a WebSocket route"

// check checks a handshake, or another request on a WebSocket route.
func (x *exchange) check(h Head) {
	x.fault, x.badConn = checkHandshake(h)
	if x.fault == event.ReasonUpgradeStripped {
		x.via = remedy.ProxyOf(h)
	}
	if x.asks && isForeign(h.Field(head.FieldOrigin), h.Host()) {
		x.compared(h)
	}
	x.acceptable = x.asks && (x.fault == event.NoReason || x.extended())
}

// libraryAccepts reports whether RFC 6455 forbids the fault and WebSocket libraries are
// known to accept it: gorilla/websocket accepts HTTP/1.0 and several keys;
// fasthttp/websocket, the library for a [Message], also a bad key. For other faults the
// library answers the client in its own words.
func (x *exchange) libraryAccepts() bool {
	switch x.fault {
	case event.ReasonHTTP10, event.ReasonDuplicateKey:
		return true
	case event.ReasonBadKey:
		return x.buffersReused
	}
	return false
}

// compared keeps what an Origin was compared with, for the log.
func (x *exchange) compared(h Head) {
	if x.extras == nil {
		x.extras = new(requestExtras)
	}
	x.foreign, x.extras.page, x.extras.host = true, keep(h, h.Field(head.FieldOrigin)), keep(h, h.Host())
}

func (x *exchange) refuse(r event.Reason) {
	x.verdict, x.fault, x.answer = verdictRefuse, r, refusal(r)
}

// place says how far a request had come when it was judged.
type place uint8

const (
	atServer   place = iota // no handler has run
	atEndpoint              // the WebSocket route of a library, and maybe of more
	atHandler               // a route of Handler
)

// intent is what a head asks for, before anything is allocated for it.
type intent struct {
	where   place
	path    string
	method  string
	rule    *pathRule     // what Config says about the path
	prober  prober.Prober // who it claims to be
	upgrade bool          // it asks to upgrade
	preface bool          // it is the start of an HTTP/2 preface

	// A WebSocket route would refuse it. Of requests that do not ask to upgrade, a
	// library refuses a plain GET; other methods have other handlers.
	refusable bool
}

func (a Adapter) intent(h Head, where place) (q intent) {
	var form pathForm
	q.where, q.method = where, h.Method()
	q.path, form = a.path(h)
	q.rule = a.g.paths.rule(form, q.path)
	q.upgrade = head.AsksToUpgrade(h)
	q.prober = prober.ByHead(h)
	if q.rule == nil && q.method == "OPTIONS" && (q.path == "*" || q.path == "/" && q.prober == prober.HAProxy) {
		q.rule = &wholeServer
	}
	q.preface = q.method == "PRI" && q.path == "*"
	if q.rule == nil && where != atHandler && !q.upgrade && !isRead(q.method) {
		q.prober = prober.None // data for the application is an ordinary request, whoever sends it
	}
	q.refusable = where == atHandler || where == atEndpoint && q.method == "GET"
	return q
}

// ordinary reports whether it is only a request for the application.
func (q *intent) ordinary() bool {
	return !q.upgrade && q.rule == nil && q.prober == prober.None && !q.refusable && !q.preface
}

// judge decides what a request is. It returns nil for an ordinary one.
func (a Adapter) judge(h Head, c *conn.Conn, where place) *exchange {
	q := a.intent(h, where)
	if q.ordinary() {
		return nil
	}
	x := a.candidate(h, c, &q)
	if q.rule == &wholeServer && !x.platform {
		if where == atServer {
			exchanges.Put(reset(x))
			return nil
		}
		q.rule = nil // on a WebSocket route it is like any other request
	}
	x.ruledBy(h, &q)
	if q.upgrade {
		x.check(h)
		x.verdict = verdictUpgrade
	}
	if !a.g.config.ObserveOnly && !a.decide(h, x, &q) {
		exchanges.Put(reset(x))
		return nil
	}
	return x
}

// candidate makes the exchange of a request, with what its head and its peer say.
func (a Adapter) candidate(h Head, c *conn.Conn, q *intent) *exchange {
	x := exchanges.Get().(*exchange)
	x.seat.Occupant = x
	x.g, x.c, x.asks, x.prober, x.preface = a.g, c, q.upgrade, q.prober, q.preface
	if q.rule != nil && q.rule.path == q.path {
		x.path = q.rule.path // equal, and the server never reuses its memory
	} else {
		x.path = keep(h, q.path)
	}
	_, onHTTP := h.(httpHead)
	x.buffersReused = !onHTTP
	x.setMethod(h, q.method)
	remote, platform := a.g.peer(h)
	x.peer, x.port, x.platform = remote.Addr(), remote.Port(), platform
	x.readForwarded(h)
	x.credited = q.prober != prober.None && (x.platform || q.prober.InOwnRange(x.address()))
	x.http1 = head.IsHTTP1(h)
	return x
}

// ruledBy notes what Config says about the path of x.
func (x *exchange) ruledBy(h Head, q *intent) {
	if x.probing = q.rule != nil; !x.probing {
		return
	}
	x.route = q.rule.route
	x.app = q.rule.app && !q.upgrade && isRead(q.method)
	ready := q.rule.route == RouteReady || q.rule.app
	x.automated = ready && (q.prober != prober.None || h.Field("User-Agent") == "") // HAProxy's built-in check sends no User-Agent
}

// decide sets the verdict on a candidate. It returns false if that turns out to be an
// ordinary request.
func (a Adapter) decide(h Head, x *exchange, q *intent) bool {
	g := a.g
	switch {
	case q.upgrade && g.ending.refusing.Load():
		x.refuse(event.ReasonDraining)
	case q.upgrade:
	case x.app:
		if g.isDraining() {
			x.verdict, x.answer = verdictProbe, &answerDraining
		}
	case q.rule != nil && q.rule.route != NoRoute && (q.rule.named || !a.appOwns(h, x, q.rule)):
		if !x.fallback {
			room := answers.Get().(*Answer)
			x.probeWith(g.answerRoute(q.rule.route, h, room), room, pooledAnswer)
		}
	case q.prober != prober.None && q.rule != nil && q.rule.probe && isRead(q.method):
		room := varied.Get().(*Answer)
		x.route, x.automated = RouteReady, true
		x.probeWith(g.answerProbePath(h, room), room, pooledVaried)
	case q.prober != prober.None && q.where == atServer && g.paths.servedAt(q.path)&^servedSocket != 0:
		if by := servedBy(q.method); g.paths.servedAt(q.path)&by == by {
			x.verdict, x.answer = verdictProbe, g.answerProber()
		} else { // the answer shows which route has another method
			x.fallback = true
		}
	case !q.refusable && !q.preface && !x.credited: // only a claim in a User-Agent, on a path of the application
		return false
	}
	return true
}

// wholeServer is the rule for HAProxy's default "option httpchk", OPTIONS /, and for
// OPTIONS *, which is about the server and not about one resource (RFC 9110 §9.3.7). Few
// applications answer either; then it is a question about health.
var wholeServer = pathRule{route: RouteHealth}

// isRead reports whether a health question may have this method.
func isRead(method string) bool { return method == "GET" || method == "HEAD" || method == "OPTIONS" }

// probeWith makes x a probe with the answer a, which is in room or shared.
func (x *exchange) probeWith(a, room *Answer, p pooled) {
	if x.verdict, x.answer = verdictProbe, a; a == room {
		x.pooled = p
	} else {
		p.pool().Put(room)
	}
}

// appOwns reports whether a default health route is the application's. If only the
// application's answer can show that, appOwns notes so.
func (a Adapter) appOwns(h Head, x *exchange, rule *pathRule) bool {
	if rule == &wholeServer {
		x.fallback = true
		return false
	}
	ask := a.owns
	if ask == nil {
		ask = a.g.paths.owned
	}
	owned, asked := ask(h, a.form&pathLook != 0)
	x.fallback, x.exact = !asked, owned
	return owned
}

// exchanges are those of probes that were answered before any handler ran. They can be
// reused, because no handler has seen them.
var (
	exchanges = sync.Pool{New: func() any { return new(exchange) }}
	answers   = sync.Pool{New: func() any { return new(Answer) }}
	varied    = sync.Pool{New: func() any { return new(Answer) }} // these do not share their headers
)

// pooled says which pool an answer came from.
type pooled uint8

const (
	notPooled pooled = iota
	pooledAnswer
	pooledVaried
)

func (p pooled) pool() *sync.Pool {
	if p == pooledVaried {
		return &varied
	}
	return &answers
}

func reset(x *exchange) *exchange {
	*x = exchange{}
	return x
}

// recycle gives up the exchange of a request that this layer began and answered.
func (r Request) recycle() {
	if r.begun && r.x != nil && r.x.verdict == verdictProbe && !r.x.found {
		if r.x.pooled != notPooled {
			r.x.pooled.pool().Put(r.x.answer)
		}
		exchanges.Put(reset(r.x))
	}
}
