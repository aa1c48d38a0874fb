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

// Endpoint is for a request that has reached a WebSocket route whose pattern is route,
// as far as it is a path, "" if it is not known.
//
// Where origins is nil the route is a library's, and may serve more than WebSocket: a
// handshake that RFC 6455 forbids and a library might let pass is refused, and one for
// which [Config.MaxSessions] has no room. Everything else is the route's.
//
// Otherwise the route is an adapter's Handler, which serves nothing but WebSocket: known
// probers get the health answer, whatever their method, every fault is refused, with the
// status of its reason, and so is an Origin that origins does not allow. A path that is
// the whole pattern is remembered, so that the outermost layer answers a prober there by
// the methods that no route has. Without a guard only origins counts: on such a route
// nothing else looks at it.
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
	x.adrift = !own && (route == "" || route == "/" && h.Path() != "/")
	if !x.asks {
		x.check(h)
	}
	forbidden := own && x.asks && !origins.allow(h.Field(head.FieldOrigin), h.Host())
	switch {
	case x.kind == verdictRefuse, x.kind == verdictProbe:
		return r
	case g.config.ObserveOnly:
		if forbidden { // on a route of ours nobody else looks
			x.compared(h)
			x.refuse(event.ReasonOriginForbidden)
		}
		return r
	}
	if own && x.prober != 0 && !x.asks {
		x.fallback = false
		x.kind, x.answer = verdictProbe, g.answerProber()
		return r
	}
	if x.fault == event.NoReason && forbidden {
		x.fault = event.ReasonOriginForbidden
		x.compared(h)
	}
	switch {
	case x.fault != event.NoReason && (own || x.asks && x.libraryAccepts()):
		x.refuse(x.fault)
	case x.hopeful && !g.takeSlot(x):
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

const aroundRemedy = "give Endpoint to the route that serves WebSocket, in front of its handler, and not to Use, where it takes every route for one"

// check looks at a handshake, or at what is none on a WebSocket route.
func (x *exchange) check(h Head) {
	var field string
	x.fault, field = checkHandshake(h)
	x.badConn = field == head.FieldConnection
	if x.fault == event.ReasonUpgradeStripped {
		x.via = remedy.ProxyOf(h)
	}
	if x.asks && isForeign(h.Field(head.FieldOrigin), h.Host()) {
		x.compared(h)
	}
	x.hopeful = x.asks && (x.fault == event.NoReason || x.extended())
}

// libraryAccepts reports whether the fault is one that RFC 6455 forbids and that
// WebSocket libraries are known to let pass: gorilla/websocket HTTP/1.0 and
// several keys, fasthttp/websocket, the one for a [Message], a bad key as well. Of
// other faults the library tells the client in its own words.
func (x *exchange) libraryAccepts() bool {
	switch x.fault {
	case event.ReasonHTTP10, event.ReasonDuplicateKey:
		return true
	case event.ReasonBadKey:
		return x.lent
	}
	return false
}

// compared keeps what an Origin was compared with, for the line that tells it.
func (x *exchange) compared(h Head) {
	if x.from == nil {
		x.from = new(origin)
	}
	x.foreign, x.from.page, x.from.host = true, keep(h, h.Field(head.FieldOrigin)), keep(h, h.Host())
}

func (x *exchange) refuse(r event.Reason) {
	x.kind, x.fault, x.answer = verdictRefuse, r, refusal(r)
}

// place is how far a request has come when it is judged.
type place uint8

const (
	atServer   place = iota // no handler has run
	atEndpoint              // the WebSocket route of a library, and maybe of more
	atHandler               // a route of Handler's
)

// judge decides what a request is. It returns nil for an ordinary one.
func (a Adapter) judge(h Head, c *conn.Conn, where place) *exchange {
	g := a.g
	path, form := a.path(h)
	rule := g.paths.rule(form, path)
	asks := head.AsksToUpgrade(h)
	p := prober.ByHead(h)
	method := h.Method()
	if rule == nil && method == "OPTIONS" && (path == "*" || path == "/" && p == prober.HAProxy) {
		rule = &wholeServer
	}
	preface := method == "PRI" && path == "*"
	if p != 0 && rule == nil && where != atHandler && !asks && !isRead(method) {
		p = 0 // what is sent to the application is a request of the application's, whoever sends it
	}
	// Of what does not ask to upgrade a library refuses a plain GET, and what
	// comes by another method has another handler.
	refusable := where == atHandler || where == atEndpoint && method == "GET"
	if !asks && rule == nil && p == 0 && !refusable && !preface {
		return nil
	}
	x := exchanges.Get().(*exchange)
	x.g, x.c, x.asks, x.prober, x.preface = g, c, asks, p, preface
	if rule != nil && rule.path == path {
		x.path = rule.path // the same, and nobody's to use again
	} else {
		x.path = keep(h, path)
	}
	_, onHTTP := h.(httpHead)
	x.lent = !onHTTP
	x.setMethod(h, method)
	remote, platform := g.peer(h)
	x.peer, x.port, x.platform = remote.Addr(), remote.Port(), platform
	x.source(h)
	x.credited = p != 0 && (x.platform || p.InOwnRange(x.address()))
	x.http1 = head.IsHTTP1(h)
	if rule == &wholeServer && !x.platform {
		if where == atServer {
			exchanges.Put(reset(x))
			return nil
		}
		rule = nil // on a WebSocket route it is a request as any other
	}
	if x.probing = rule != nil; x.probing {
		x.route = rule.route
		x.app = rule.app && !asks && isRead(method)
		x.machine = (rule.route == RouteReady || rule.app) && (p != 0 || h.Field("User-Agent") == "") // HAProxy's own check has none
	}
	if asks {
		x.check(h)
		x.kind = verdictUpgrade
	}
	if g.config.ObserveOnly {
		return x
	}
	switch {
	case asks && g.ending.refusing.Load():
		x.refuse(event.ReasonDraining)
	case asks:
	case x.app:
		if g.isDraining() {
			x.kind, x.answer = verdictProbe, &answerDraining
		}
	case rule != nil && rule.route != NoRoute && (rule.named || !a.appOwns(h, x, rule)):
		if !x.fallback {
			room := answers.Get().(*Answer)
			x.probeWith(g.answerRoute(rule.route, h, room), room, pooledAnswer)
		}
	case p != 0 && rule != nil && rule.probe && isRead(method):
		room := varied.Get().(*Answer)
		x.route, x.machine = RouteReady, true
		x.probeWith(g.answerProbePath(h, room), room, pooledVaried)
	case p != 0 && where == atServer && g.paths.servedAt(path)&^servedSocket != 0:
		if by := servedBy(method); g.paths.servedAt(path)&by == by {
			x.kind, x.answer = verdictProbe, g.answerProber()
		} else { // of another method nobody knows yet whose it is
			x.fallback = true
		}
	case !refusable && !preface && !x.credited:
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

// probeWith makes x a probe whose answer is a, which is in room or shared.
func (x *exchange) probeWith(a, room *Answer, p pooled) {
	if x.kind, x.answer = verdictProbe, a; a == room {
		x.pooled = p
	} else {
		p.pool().Put(room)
	}
}

// appOwns reports whether a default health route is the application's. Where
// that shows only when it has answered, it notes so.
func (a Adapter) appOwns(h Head, x *exchange, rule *pathRule) bool {
	if rule == &wholeServer {
		x.fallback = true
		return false
	}
	ask := a.owns
	if ask == nil {
		ask = a.g.paths.owned
	}
	owned, asked := ask(h, a.form&pathMere != 0)
	x.fallback, x.exact = !asked, owned
	return owned
}

// exchanges are those of probes that were answered before any handler ran, for
// use again: nobody has seen them.
var (
	exchanges = sync.Pool{New: func() any { return new(exchange) }}
	answers   = sync.Pool{New: func() any { return new(Answer) }}
	varied    = sync.Pool{New: func() any { return new(Answer) }} // their headers are their own
)

// pooled says which pool an answer is of.
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

// recycle gives up the exchange of a request that was begun and answered here.
func (r Request) recycle() {
	if r.begun && r.x != nil && r.x.kind == verdictProbe && !r.x.found {
		if r.x.pooled != notPooled {
			r.x.pooled.pool().Put(r.x.answer)
		}
		exchanges.Put(reset(r.x))
	}
}
