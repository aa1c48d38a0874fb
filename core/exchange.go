package core

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"
)

// exchange is a request that is a candidate: a health route's, a known
// prober's, one that asks to upgrade or that came to a WebSocket route. Other
// requests are only counted, on their Conn.
type exchange struct {
	a       Adapter
	c       *Conn // nil where the connection is not known
	verdict Verdict
	session Session

	method, path string
	remote       netip.AddrPort
	from         *origin // what proxies said, nil if nothing
	prober       prober

	platform bool // the source may be a platform's
	credited bool // the prober may be believed: platform source or own range
	asks     bool // asks to upgrade
	endpoint bool // reached a WebSocket route, or came to the path of one
	owns     bool // Handler's: every refusal is ours
	fallback bool // a default health route; who answers it shows later
	probing  bool // a health route, or one of Config.ProbePaths
	preface  bool // the start of an HTTP/2 preface that the server took for a request
	foreign  bool // Origin names another host
	slot     bool // holds one of Config.MaxSessions
	fault    Reason
	field    string

	opened    atomic.Bool // left HTTP
	confirmed atomic.Bool // 101 was answered
	settled   atomic.Bool // the outcome is told
	panicked  atomic.Bool
	late      atomic.Bool  // the handler returned an error, and its answer is to come
	status    atomic.Int32 // what was answered, 0 not yet
	err       atomic.Pointer[error]

	w writer // net/http
}

// origin is what proxies said of where a request comes from.
type origin struct {
	client    netip.Addr // vouched for by Config.TrustedProxies
	forwarded string     // claimed
}

// Request is one request in the hands of an adapter. The zero Request is one
// that nothing is known of; its methods do nothing.
type Request struct {
	c     *Conn
	x     *exchange
	begun bool // this layer began it, and so ends it
}

// Adapter returns what an adapter of a framework needs.
func (g *Guard) Adapter() Adapter { return Adapter{g: g} }

// Adapter is the guard as adapters see it: the core decides, and an adapter
// writes and reports. For each request Begin, Verdict, then Opened if the
// connection left HTTP, and Done exactly once.
type Adapter struct {
	g    *Guard
	owns ownerFunc
}

// Guard returns the guard.
func (a Adapter) Guard() *Guard { return a.g }

// Owner returns a with a way to ask whether the application has a route for
// exactly the path of a request, whatever the method: a wildcard and a
// catch-all are none. asked is false where that cannot be known before the
// application has answered. f must be safe for concurrent use and not allocate.
func (a Adapter) Owner(f func(Head) (owned, asked bool)) Adapter {
	a.owns = f
	owner := ownerFunc(f)
	a.g.owner.Store(&owner)
	return a
}

// Begin judges a request by its head, before any handler has run. nc is its
// connection, or nil: where one is given that stands on a watched connection
// the request counts for that. A request that was begun by a layer outside this
// one is the same request: its Done there is what counts.
func (a Adapter) Begin(h Head, nc net.Conn) Request {
	var c *Conn
	if nc != nil {
		c = a.g.connOf(nc)
	}
	return a.begin(h, c, nil)
}

func (a Adapter) begin(h Head, c *Conn, outer *exchange) Request {
	if outer == nil && c != nil && !c.is(flagH2) {
		outer = c.current.Load()
	}
	if outer != nil {
		return Request{c: c, x: outer}
	}
	if !a.g.told.Load() {
		a.g.tellRoutes()
	}
	if c != nil && !c.begin() {
		c = nil
	}
	r := Request{c: c, x: a.judge(h, c, false), begun: true}
	r.remember(h)
	return r
}

// remember makes a candidate findable from its connection, which has but one
// request at a time over HTTP/1.
func (r Request) remember(h Head) {
	if r.x == nil || r.c == nil {
		return
	}
	if strings.HasPrefix(h.Proto(), "HTTP/1.") {
		r.c.current.Store(r.x)
	} else if !r.c.is(flagH2) {
		r.c.set(flagH2)
	}
}

// atEndpoint takes a request that reached a WebSocket route. own is true for a
// route that is wholly Handler's, origins then says which pages may open it.
func (a Adapter) atEndpoint(r Request, h Head, own bool, origins func(origin, host string) bool) Request {
	g := a.g
	g.learn(h.Path())
	if r.x == nil {
		r.x = a.judge(h, r.c, true)
		r.remember(h)
	}
	x := r.x
	x.endpoint, x.owns = true, own
	if x.verdict.Kind == Refuse || g.config.ObserveOnly {
		return r
	}
	if x.prober != 0 && !x.asks {
		x.verdict = Verdict{Kind: Probe, Answer: g.answerProber()}
		return r
	}
	if own && x.fault == NoReason && origins != nil && !origins(h.Field(fieldOrigin), h.Host()) {
		x.fault, x.field = ReasonOriginForbidden, fieldOrigin
	}
	if x.fault != NoReason && (own || x.asks && libraryAccepts(x.fault)) {
		x.refuse(x.fault, x.field)
	}
	return r
}

// libraryAccepts reports whether a fault is one that RFC 6455 forbids and that
// WebSocket libraries are known to let pass: gorilla/websocket HTTP/1.0 and
// several keys, fasthttp/websocket a bad key as well. Of other faults the
// library tells the client in its own words.
func libraryAccepts(fault Reason) bool {
	return fault == ReasonHTTP10 || fault == ReasonDuplicateKey || fault == ReasonBadKey
}

func (x *exchange) refuse(r Reason, field string) {
	a := refusal(r)
	x.verdict = Verdict{Kind: Refuse, Answer: a, Err: &HandshakeError{Status: a.Status, Reason: r, Field: field}}
}

// judge decides what a request is. It returns nil for an ordinary one. It is
// pure but for the slot that a handshake takes of Config.MaxSessions.
func (a Adapter) judge(h Head, c *Conn, endpoint bool) *exchange {
	g := a.g
	path := h.Path()
	rule, ruled := g.paths[path]
	asks := asksToUpgrade(h)
	p := proberByHead(h)
	method := h.Method()
	preface := method == "PRI" && path == "*"
	endpoint = endpoint || g.isEndpoint(path)
	if !asks && !ruled && p == 0 && !endpoint && !preface {
		return nil
	}
	x := &exchange{a: a, c: c, asks: asks, endpoint: endpoint, prober: p, preface: preface}
	x.session.g = g
	x.method, x.path = keep(h, method), keep(h, path)
	x.remote = h.Remote()
	x.source(h)
	x.credited = p != 0 && (x.platform || p.inOwnRange(x.address()))
	x.probing = ruled
	if asks || endpoint {
		x.fault, x.field = checkHandshake(h)
		x.foreign = !originAllowed(h.Field(fieldOrigin), h.Host(), nil)
	}
	if asks {
		x.verdict.Kind = Upgrade
	}
	if g.config.ObserveOnly {
		return x
	}
	switch {
	case asks && g.isDraining():
		x.refuse(ReasonDraining, "")
	case asks && !g.takeSlot(x):
		x.refuse(ReasonSaturated, "")
	case asks:
	case rule.route != NoRoute && (rule.named || !a.appOwns(h, x)):
		if !x.fallback {
			x.verdict = Verdict{Kind: Probe, Answer: g.answerRoute(rule.route, h)}
		}
	case p != 0 && (endpoint || rule.probe && isRead(method)):
		x.verdict = Verdict{Kind: Probe, Answer: g.answerProber()}
	case !endpoint && !preface && !x.credited:
		return nil // a claim in a User-Agent on a path of the application's
	}
	return x
}

// isRead reports whether a health question is asked with this method.
func isRead(method string) bool { return method == "GET" || method == "HEAD" || method == "OPTIONS" }

// appOwns reports whether a default health route is the application's. Where
// that shows only when it has answered, it notes so.
func (a Adapter) appOwns(h Head, x *exchange) bool {
	ask := a.owns
	if ask == nil {
		ask = a.g.owned
	}
	owned, asked := ask(h)
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

// Verdict says what to do. Its Answer is complete: write it as it stands.
func (r Request) Verdict() Verdict {
	if r.x == nil {
		return Verdict{}
	}
	return r.x.verdict
}

// Candidate reports whether the outcome of this request matters: only then need
// an adapter find out what is answered.
func (r Request) Candidate() bool { return r.x != nil }

// Fallback is asked when the status of an answer is known and not yet written,
// on a default health route whose owner could not be asked before. exact is
// true if a route of exactly this path answered. It returns the answer to write
// instead: 401, 403, 404 and 405 are no route's.
func (r Request) Fallback(h Head, status int, exact bool) (Answer, bool) {
	x := r.x
	if x == nil || !x.fallback || exact {
		return Answer{}, false
	}
	switch status {
	case 401, 403, 404, 405:
	default:
		return Answer{}, false
	}
	a := x.a.g.answerRoute(x.a.g.paths[h.Path()].route, h)
	x.fallback = false
	x.verdict = Verdict{Kind: Probe, Answer: a}
	return a, true
}

// Opened reports that the connection left HTTP, from inside Hijack on net/http.
// It returns the connection to use from now on: nc itself where it is watched,
// else one that is.
func (r Request) Opened(nc net.Conn) net.Conn {
	c, x := r.c, r.x
	if x != nil {
		c = x.c
	}
	if c == nil || c.is(flagShadow) {
		c = r.adopt(c, nc)
		nc = c
	}
	if x == nil || !x.asks {
		c.set(flagHijacked)
		return nc
	}
	x.c = c
	c.current.Store(x)
	x.session.opened = x.a.g.now()
	x.a.g.stats.sessions.Add(1)
	c.set(flagUpgraded)
	c.answer.Store(0) // the next write is the answer to the handshake
	x.opened.Store(true)
	if x.status.Load() == http.StatusSwitchingProtocols {
		x.confirm(http.StatusSwitchingProtocols)
	}
	return nc
}

// adopt makes the connection of a session watched that was not: from here on it
// sees what passes.
func (r Request) adopt(c *Conn, nc net.Conn) *Conn {
	if c == nil {
		g := r.x.a.g
		c = &Conn{Conn: nc, ln: g.adopted, accepted: g.now()}
		c.refs.Store(1)
		c.set(flagUncounted)
		g.conns.add(c)
		if r.begun {
			c.begin()
		}
		return c
	}
	c.clear(flagShadow)
	c.set(flagSeenLate)
	return c
}

// confirm notes what was answered to a handshake after the hijack. status 0 is
// an answer that cannot be read because TLS is above.
func (x *exchange) confirm(status int) {
	if status != 0 && status != http.StatusSwitchingProtocols {
		x.status.CompareAndSwap(0, int32(status))
		return
	}
	if x.confirmed.CompareAndSwap(false, true) {
		x.status.Store(http.StatusSwitchingProtocols)
		x.c.set(flagSession)
		x.a.g.stats.handshakes[handshakeAccepted][NoReason].Add(1)
	}
}

// Done ends the request: its handler has returned. status is what was answered,
// 0 if that is not known; err is the handler's.
func (r Request) Done(status int, err error) {
	if x := r.x; x != nil {
		if status != 0 {
			x.status.CompareAndSwap(0, int32(status))
		}
		if err != nil {
			x.err.CompareAndSwap(nil, &err)
			x.session.noteError(err)
		}
		if r.begun {
			x.settle()
		}
	}
	r.release()
}

// release ends the hold of an unfinished request on its connection.
func (r Request) release() {
	if !r.begun {
		return
	}
	c := r.c
	if r.x != nil {
		c = r.x.c
	}
	if c == nil {
		return
	}
	if r.x == nil {
		if !c.is(flagOrdinary) {
			c.set(flagOrdinary)
		}
	} else if !r.x.opened.Load() {
		c.current.CompareAndSwap(r.x, nil)
	}
	c.release()
}

// Panicked ends the request like Done, where its handler panicked with v. The
// adapter recovers, calls it, and panics with v again, unless the connection
// has left HTTP and the layer is the innermost one. It returns whether the
// connection had left HTTP.
func (r Request) Panicked(v any) (hijacked bool) {
	c, x := r.c, r.x
	if x != nil {
		c = x.c
		hijacked = x.opened.Load()
	}
	first := x == nil || x.panicked.CompareAndSwap(false, true)
	if c != nil {
		first = c.set(flagPanic) && first
	}
	if first {
		e := Event{Class: HandlerPanic, Panic: v, Stack: debug.Stack()}
		if x != nil {
			x.fill(&e)
		} else if c != nil {
			c.fill(&e)
		}
		// Where the server's log is ours its own line is swallowed; elsewhere
		// that line tells it, and this one would be the second.
		e.elsewhere = !hijacked && (c == nil || !c.is(flagAttached))
		r.guard().tell(e)
	}
	if hijacked {
		x.session.mark(func(s *Session) { s.panicked = true })
		_ = c.Close() // net/http never closes it
	}
	if r.begun {
		if x != nil {
			x.settled.Store(true)
			x.freeSlot()
		}
		r.release()
	}
	return hijacked
}

func (r Request) guard() *Guard {
	if r.x != nil {
		return r.x.a.g
	}
	return r.c.ln.g
}

func (x *exchange) freeSlot() {
	if x.slot && !x.opened.Load() {
		x.slot = false
		x.a.g.slots.Add(-1)
	}
}

// settle tells what became of a request, once, if that is known by now. What
// left HTTP is settled when its connection ends.
func (x *exchange) settle() {
	if x.opened.Load() && x.c != nil {
		return
	}
	if !x.settled.CompareAndSwap(false, true) {
		return
	}
	x.freeSlot()
	status := int(x.status.Load())
	if x.asks || x.endpoint && x.verdict.Kind != Probe {
		x.settleHandshake(status)
		return
	}
	x.settleProbe(status)
}

// settleProbe is for health routes and known probers.
func (x *exchange) settleProbe(status int) {
	g := x.a.g
	switch {
	case x.preface: // not a request: the first bytes decide, unless it was hijacked
		return
	case x.verdict.Kind != Probe && !x.credited: // its own health route, asked by a person
		x.mark(flagOrdinary)
		return
	}
	ok := status >= 200 && status < 400
	failing := !ok && x.credited && status != 0 && g.ready()
	if failing {
		x.mark(flagProbeFailing)
	} else {
		x.mark(flagProbe)
	}
	p := x.prober
	if !x.credited {
		p = 0
	}
	class := HTTPProbe
	if failing {
		class = ProbeFailing
	}
	g.stats.countProbe(class, p, !ok, x.credited)
	e := Event{Class: class, Status: status}
	x.fill(&e)
	g.tell(e)
}

// settleHandshake is for what asked to upgrade and for everything else on a
// WebSocket route.
func (x *exchange) settleHandshake(status int) {
	g := x.a.g
	reason, class := x.fault, HandshakeRefused
	gone := x.c != nil && x.c.peerGone()
	var err error
	if p := x.err.Load(); p != nil {
		err = *p
		gone = gone || errors.Is(err, context.Canceled)
	}
	switch {
	case x.verdict.Kind == Refuse:
		reason = x.verdict.Err.Reason
	case !x.asks && (status < 400 || status >= 500):
		x.mark(flagOrdinary) // the route serves more than WebSocket
		return
	case x.asks && !x.endpoint && status == http.StatusNotFound:
		reason = ReasonNoRoute
	case reason != NoReason && status != 0:
	case status == http.StatusForbidden && x.foreign:
		reason, x.field = ReasonOriginForbidden, fieldOrigin
	case status >= 500:
		class, reason = UpgradeFailed, ReasonServerError
	case status != 0:
		reason = ReasonApplication
	case gone:
		x.mark(flagOrdinary)
		return
	default:
		class, reason = UpgradeFailed, ReasonStatusUnknown
	}
	if class == UpgradeFailed && gone {
		x.mark(flagOrdinary)
		return
	}
	e := Event{Class: class, Reason: reason, Status: status, Err: err}
	if class == HandshakeRefused {
		x.markRefused(reason)
		e.Err = &HandshakeError{Status: status, Reason: reason, Field: x.field}
		g.stats.handshakes[handshakeRefused][reason].Add(1)
	} else {
		x.mark(flagUpgradeFailed)
		g.stats.handshakes[handshakeFailed][reason].Add(1)
	}
	x.fill(&e)
	g.tell(e)
}

// settleSession is called when the connection of a session ends, before its
// class is decided.
func (x *exchange) settleSession(c *Conn) {
	g := x.a.g
	g.stats.sessions.Add(-1)
	if x.slot {
		x.slot = false
		g.slots.Add(-1)
	}
	code, panicked, byServer := x.session.end()
	status := int(x.status.Load())
	if !x.confirmed.Load() {
		switch {
		case panicked:
		case status != 0: // the library answered after the hijack, and not 101
			x.settleHandshake(status)
		default:
			c.set(flagUpgradeFailed)
			g.stats.handshakes[handshakeFailed][ReasonNothingWritten].Add(1)
			e := Event{Class: UpgradeFailed, Reason: ReasonNothingWritten}
			if p := x.err.Load(); p != nil {
				e.Err = *p
			}
			x.fill(&e)
			g.tell(e)
		}
		return
	}
	end := endedUnknown
	switch {
	case panicked:
		end = endedPanic
	case byServer:
		end = endedServer
	case code != 0 && code != 1006:
		end = endedClosed
	case code == 1006, c.peerGone():
		end = endedVanished
	case endKind(c.readEnd.Load()) == endTimeout:
		end = endedTimeout
	}
	g.stats.ended[end][closeCodeIndex(code)].Add(1)
	e := Event{Class: SessionEnded, Status: status, Session: SessionEnd{
		End: sessionEnds[end], Code: code, Duration: g.now() - x.session.opened,
		BytesIn: c.in.Load(), BytesOut: c.out.Load(),
	}}
	x.fill(&e)
	g.tell(e)
}

func (x *exchange) mark(flag uint32) {
	if x.c != nil {
		x.c.set(flag)
	}
}

// markRefused keeps the most telling reason of a connection: the first in the
// order of the reasons.
func (x *exchange) markRefused(r Reason) {
	if x.c == nil {
		return
	}
	for {
		old := x.c.refused.Load()
		if old != 0 && Reason(old) <= r || x.c.refused.CompareAndSwap(old, uint32(r)) {
			break
		}
	}
	x.c.set(flagRefused)
}

// fill adds to e what is known of the request.
func (x *exchange) fill(e *Event) {
	e.Remote, e.Method, e.Path, e.Platform = x.remote, x.method, x.path, x.platform
	if x.from != nil {
		e.Client, e.Forwarded = x.from.client, x.from.forwarded
	}
	if x.credited {
		e.Prober = x.prober.String()
	}
}

// source finds out where a request comes from.
func (x *exchange) source(h Head) {
	g := x.a.g
	if f := h.Field("X-Forwarded-For"); f != "" {
		x.from = g.forwarded(x.remote.Addr(), f)
	}
	x.platform = g.platform(x.address())
}

// address is the client's where a trusted proxy names it, else the peer's.
func (x *exchange) address() netip.Addr {
	if x.from != nil && x.from.client.IsValid() {
		return x.from.client
	}
	return x.remote.Addr()
}

// forwarded reads X-Forwarded-For from its end: each address is vouched for by
// the one after it, as long as that is a trusted proxy.
func (g *Guard) forwarded(peer netip.Addr, field string) *origin {
	o := &origin{forwarded: cut(strings.Clone(field))}
	if !contains(g.config.TrustedProxies, peer) {
		return o
	}
	for rest := field; rest != ""; {
		i := strings.LastIndexByte(rest, ',')
		a, err := netip.ParseAddr(strings.TrimSpace(rest[i+1:]))
		if err != nil {
			break
		}
		o.client = a.Unmap()
		if i < 0 || !contains(g.config.TrustedProxies, o.client) {
			break
		}
		rest = rest[:i]
	}
	if o.client.IsValid() {
		o.forwarded = ""
	}
	return o
}

func cut(s string) string {
	if len(s) > maxText {
		return strings.Clone(s[:maxText])
	}
	return s
}

// keep returns s so that it outlives the request. net/http never reuses the
// strings of a request.
func keep(h Head, s string) string {
	if len(s) > maxText {
		return cut(s)
	}
	if _, ok := h.(httpHead); ok {
		return s
	}
	return strings.Clone(s)
}

// tell hands an event to the journal.
func (g *Guard) tell(e Event) {
	e.Time = time.Now()
	if e.Remedy == "" {
		e.Remedy = remedy(e.Class, e.Reason, e.Prober)
	}
	g.journal.post(e)
}

// DrainCode is the close code of the goodbye at a drain.
func (a Adapter) DrainCode() int { return a.g.config.Drain.Code }
