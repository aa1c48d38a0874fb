package core

import (
	"context"
	"net/http"
	"time"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/conn"
	"github.com/quietws/quietws/core/internal/journal"
	"github.com/quietws/quietws/core/internal/prober"
	"github.com/quietws/quietws/core/internal/remedy"
	"github.com/quietws/quietws/core/internal/usererror"
)

// settle logs what became of a request, once, if that is known by now. A request that
// left HTTP is settled when its connection ends.
func (x *exchange) settle() {
	if x.opened() && x.c != nil {
		return
	}
	x.mu.Lock()
	first := x.set(stateSettled) // it does not change after this
	x.mu.Unlock()
	if !first {
		return
	}
	if x.is(stateLate) {
		r := Request{c: x.c, x: x, begun: true}
		defer r.release()
	}
	if !x.opened() {
		x.freeSlot()
	}
	status := int(x.status.Load())
	if x.misplaced && status == http.StatusNotFound {
		x.endpoint = false
		if !x.asks {
			x.g.endpointIsAround(x.path)
		}
	}
	switch {
	case x.is(stateStream):
		x.settleStream(status)
	case x.asks || x.own && x.verdict != verdictProbe || x.speaks && !x.credited && !x.app:
		x.settleHandshake(status)
	default:
		x.settleProbe(status)
	}
}

// settleProbe settles requests for health routes and from known probers.
func (x *exchange) settleProbe(status int) {
	g := x.g
	switch {
	case x.preface: // not a request, unless it was hijacked
		if x.c != nil {
			x.c.Note(conn.Preface)
		}
		return
	case x.verdict != verdictProbe && !x.credited && !x.app: // the application's health route, requested by a browser
		x.mark(conn.Ordinary)
		return
	}
	if !x.credited && x.platform && x.verdict == verdictProbe && prober.Contains(g.config.ProbeSources, x.address()) {
		x.prober, x.credited = prober.Configured, true
	}
	p := x.prober
	if !x.credited {
		p = 0
	}
	ok := status >= 200 && status < 400
	change := x.changeOf(status, ok)
	if ok && change == journal.Ordinary && g.journal.InBurst(x.address(), p, uint8(x.route)) { // everything below was done a moment ago
		x.mark(conn.Probe)
		g.stats.countProbe(event.HTTPProbe, p, false)
		return
	}
	class, outcome := event.HTTPProbe, conn.Probe
	if !ok && x.credited && status != 0 && !x.ownFailure(status) && !x.offSocket(status) && g.ready() {
		class, outcome = event.ProbeFailing, conn.ProbeFailing
	}
	x.mark(outcome)
	if (x.route == RouteReady && x.verdict == verdictProbe || x.app) && (x.platform || x.credited) {
		g.polled(pollerKey{x.address(), x.prober}, x.automated, status)
	}
	g.stats.countProbe(class, p, !ok)
	e := event.Event{Class: class, Status: status, Time: time.Now()}
	switch {
	case change == journal.AppFailing && !x.app:
		e.Remedy = remedy.OwnHealth
	case change == journal.OffSocket:
		e.Remedy = remedy.OffSocket
	case class == event.ProbeFailing && status == 503: // the application or a layer outside may have answered
		e.Remedy = remedy.OwnHealth + "; else " + remedy.For(class, event.NoReason, x.prober.String())
	}
	if x.credited {
		g.sawProber(p, e.Time)
	}
	x.fill(&e)
	g.logEventAs(&e, change)
}

// settleHandshake settles requests that asked to upgrade, and all others on a WebSocket
// route.
func (x *exchange) settleHandshake(status int) {
	g := x.g
	reason, class := x.fault, event.HandshakeRefused
	gone := x.c != nil && x.c.PeerGone()
	err := x.handlerErr()
	gone = gone || usererror.Is(err, context.Canceled)
	switch {
	case x.verdict == verdictRefuse:
	case !x.asks && (status < 400 || status >= 500):
		x.mark(conn.Ordinary) // the route serves more than WebSocket
		return
	case x.asks && !x.endpoint && status == http.StatusNotFound:
		reason = event.ReasonNoRoute
	case reason != event.NoReason && status != 0:
	case status == http.StatusForbidden && x.foreign:
		reason = event.ReasonOriginForbidden
	case x.noHijack && (status < 400 || status >= 500), status == http.StatusSwitchingProtocols: // 101 was promised, but the connection is still HTTP
		class, reason = event.UpgradeFailed, event.ReasonHijackFailed
	case status >= 500:
		class, reason = event.UpgradeFailed, event.ReasonServerError
	case status != 0:
		reason = event.ReasonApplication
	case gone:
		x.mark(conn.Ordinary)
		return
	default:
		class, reason = event.UpgradeFailed, event.ReasonStatusUnknown
	}
	if class == event.UpgradeFailed && gone {
		x.mark(conn.Ordinary)
		return
	}
	e := event.Event{Class: class, Reason: reason, Status: status, Err: err}
	if class == event.HandshakeRefused {
		if reason == event.ReasonUpgradeStripped {
			e.Proxy, e.Remedy = x.via.String(), x.via.Remedy()
		}
		x.markRefused(reason)
		e.Err = x.handshakeError(reason, status)
		g.stats.handshakes[handshakeRefused][reason].Add(1)
	} else {
		if reason == event.ReasonHijackFailed && x.buffersReused {
			e.Remedy = remedy.Replayed
		}
		x.mark(conn.UpgradeFailed)
		g.stats.handshakes[handshakeFailed][reason].Add(1)
		if g.paths.servedAt(x.path) != 0 || x.endpoint || status == http.StatusSwitchingProtocols {
			g.stats.broken.Add(1)
		}
	}
	x.fill(&e)
	g.logEvent(&e)
}

// handshakeError describes a refusal.
func (x *exchange) handshakeError(reason event.Reason, status int) *event.HandshakeError {
	e := &event.HandshakeError{Status: status, Reason: reason, Field: faultyField(reason, x.badConn)}
	if reason == event.ReasonOriginForbidden && x.extras != nil {
		e.Origin, e.Host = x.extras.page, x.extras.host
	}
	return e
}

// Leave implements conn.Occupant: the connection of x is over, and its class not yet
// decided.
func (x *exchange) Leave() {
	if x.opened() {
		x.settleSession()
	}
}

// settleSession logs how a session ended.
func (x *exchange) settleSession() {
	g, c := x.g, x.c
	if !x.loaned {
		x.freeSlot()
	}
	g.stats.sessions.Add(-1) // a session that is counted as ended has freed its slot
	code, byServer := x.end()
	panicked := x.is(statePanicked)
	status := int(x.status.Load())
	var e event.Event // one for both branches, or the stack would have two
	x.awaitOver()
	if !x.is(stateConfirmed) {
		switch {
		case panicked:
		case status != 0: // the library answered after the hijack, but not 101
			x.settleHandshake(status)
		case c.GoneAtWrite(): // the client left before it could be answered
			c.Mark(conn.Ordinary)
		default:
			c.Mark(conn.UpgradeFailed)
			g.stats.handshakes[handshakeFailed][event.ReasonNothingWritten].Add(1)
			if !x.early { // libraries hang up on a client that does not wait for the answer
				g.stats.broken.Add(1)
			}
			if x.set(stateUnanswered) {
				e = x.unanswered()
				g.logEvent(&e)
			}
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
	case code == 1006, c.PeerGone():
		end = endedVanished
	case c.TimedOut():
		end = endedTimeout
	}
	if end == endedVanished {
		code = 1006 // RFC 6455 §7.1.5: an end without a close frame
	}
	g.stats.ended[end][closeCodeIndex(code)].Add(1)
	e.Class, e.Status, e.Session = event.SessionEnded, status, event.SessionEnd{
		End: sessionEnds[end], Code: code, Duration: g.now() - x.openedAt,
		BytesIn: c.In.Load(), BytesOut: c.Out.Load(),
	}
	e.Err = x.handlerErr()
	x.fill(&e)
	g.logEvent(&e)
}
