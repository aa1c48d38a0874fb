package core

import (
	"net/http"
	"strings"
	"time"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/conn"
)

// Over HTTP/2, a handshake can fail before a handler sees a request. It depends on what a
// proxy does with a WebSocket client if there is no SETTINGS_ENABLE_CONNECT_PROTOCOL (RFC
// 8441 §3). HAProxy resets a stream that it never opened, which ends the connection. Envoy
// sends its extended CONNECT all the same, and the server resets it. A proxy that passes
// Upgrade on gets an error from the server. Two facts show this: the server's line about a
// connection error, and a stream that began without a call of a handler.

// refusedOverHTTP2 logs that a handshake failed on c before a handler could see it. said
// is what the server's log says of it, "" for nothing.
func (g *Guard) refusedOverHTTP2(c *conn.Conn, said string) {
	var err error = &event.HandshakeError{Reason: event.ReasonHTTP2}
	if said != "" {
		err = serverSaid{err, "http2: " + said}
	}
	e := event.Event{Class: event.HandshakeRefused, Reason: event.ReasonHTTP2, Err: err, Time: time.Now()}
	g.fill(c, &e)
	g.stats.handshakes[handshakeRefused][event.ReasonHTTP2].Add(1)
	g.logEvent(&e)
}

// serverSaid is an error in the words of the server's own log.
type serverSaid struct {
	error
	text string
}

func (e serverSaid) Error() string { return e.text }
func (e serverSaid) Unwrap() error { return e.error }

// brokenHTTP2 gets the rest of the server's line about an error of an HTTP/2 connection,
// which names the peer. It reports whether the guard logs that error.
func (g *Guard) brokenHTTP2(rest string) bool {
	c := g.watch.Conns.Find(addrIn(rest))
	if c == nil {
		return false
	}
	_, said, _ := strings.Cut(rest, ": ")
	c.MarkRefused(event.ReasonHTTP2)
	g.refusedOverHTTP2(c, strings.TrimSpace(said))
	return true
}

// lineBrokenH2 is the beginning, up to the address, of the line that net/http and
// golang.org/x/net/http2 print about an error of an HTTP/2 connection.
const lineBrokenH2 = "http2: server connection error from "

// extended reports whether a request is an extended CONNECT (RFC 8441 §4), the handshake
// of HTTP/2. A 2xx accepts it.
func (x *exchange) extended() bool {
	return x.asks && !x.http1 && x.methodWord() == http.MethodConnect
}

func (x *exchange) acceptsStream(status int) bool {
	return status >= 200 && status <= 299 && x.extended()
}

// openStream notes that an extended CONNECT was accepted: its stream is a session until
// the handler returns.
func (x *exchange) openStream() {
	if !x.set(stateStream) {
		return
	}
	x.openedAt = x.g.now()
	x.g.stats.sessions.Add(1)
	x.accepted()
}

// settleStream logs how such a session ended. The bytes of its stream are not known,
// because the connection is shared.
func (x *exchange) settleStream(status int) {
	x.g.stats.sessions.Add(-1)
	end, code := endedUnknown, 0
	if x.is(statePanicked) {
		end = endedPanic
	} else if code, _ = x.end(); code != 0 && code != 1006 {
		end = endedClosed
	} else if code == 1006 || x.c != nil && x.c.PeerGone() {
		end, code = endedVanished, 1006
	}
	x.g.stats.ended[end][closeCodeIndex(code)].Add(1)
	e := event.Event{Class: event.SessionEnded, Status: status, Session: event.SessionEnd{End: sessionEnds[end], Code: code, Duration: x.g.now() - x.openedAt}}
	e.Err = x.handlerErr()
	x.fill(&e)
	x.g.logEvent(&e)
}
