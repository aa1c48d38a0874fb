package core

import (
	"context"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/conn"
	"github.com/quietws/quietws/core/internal/journal"
	"github.com/quietws/quietws/core/internal/prober"
	"github.com/quietws/quietws/core/internal/remedy"
	"github.com/quietws/quietws/core/internal/usererror"
)

// exchange is a request that is a candidate: a request for a health route, from a known
// prober, that asks to upgrade, or that reached a WebSocket route. Other requests are
// only counted, on their connection.
//
// Its life:
//
//	judged ─┬─► settled                            answered, and its handler has returned
//	        ├─► late ──► settled                   its error is answered after its chain
//	        ├─► handing over ─┬─► settled          its server closed the connection instead
//	        │                 ▼
//	        └──────────────► opened ──► confirmed  left HTTP; 101 was written
//	                           └────────────┴─► over its connection, or its stream, has ended
//
// [Request] moves it on to settled and late, Request.handOver to handing over,
// Request.open to opened, Confirm to confirmed, and end to over. A phase is a bit of
// state that is never cleared, with one exception: handing over is a hold on the
// connection and ends with it.
type exchange struct {
	// Written when the request is judged, by the goroutine that serves it, and not changed
	// after that. Only prober and credited may change once more, when a nameless prober at
	// one of Config.ProbeSources is settled.

	g             *Guard
	path          string
	peer          netip.Addr // the TCP peer, and its port
	port          uint16
	prober        prober.Prober
	method        uint8 // an index of methods; 0 for another method, which is in extras
	route         Route
	platform      bool // the source may be a platform's
	credited      bool // the prober is believed: platform source, or its own range
	asks          bool // asks to upgrade
	app           bool // one of Config.AppHealth
	automated     bool // asks for readiness as a program does: as a known prober, or without a User-Agent
	probing       bool // for a health route, or a path that Config names
	preface       bool // the server took the start of an HTTP/2 preface for a request
	buffersReused bool // the server reuses the request's buffers
	http1         bool // HTTP/1.0 or 1.1
	found         bool // its connection points to it, so a drain finds it

	// Written by the goroutine that serves the request: at the WebSocket route, under mu,
	// and when the answer is known.

	extras     *requestExtras // what few requests have; nil if nothing
	answer     *Answer        // for verdictProbe and verdictRefuse
	pooled     pooled         // the pool that the answer came from, if it is not shared
	verdict    verdict
	fault      event.Reason
	via        remedy.Proxy // the proxy that removed Upgrade, by its traces
	badConn    bool         // the fault is in Connection, not in Upgrade
	endpoint   bool         // reached a WebSocket route
	misplaced  bool         // reached an Endpoint that is not on a route of this path
	own        bool         // the route is an adapter's Handler
	fallback   bool         // which side answers shows later: a default health route, or a method that Handler's route may not have
	exact      bool         // the application is known to have a route of exactly this path
	noHijack   bool         // the server refused to hand over the connection
	foreign    bool         // Origin names a host other than Host, or one that is not allowed
	speaks     bool         // a plain GET whose answer shows that the route speaks WebSocket
	acceptable bool         // a handshake that can succeed
	loaned     bool         // keeps its slot until the connection is closed
	early      bool         // its client sent frames before it had the answer

	w response // net/http only

	// Written when the connection becomes known, at the latest at the hijack.

	c    *conn.Conn // nil where it is not known
	seat conn.Seat  // by which c finds it

	// Atomic.

	state  atomic.Uint32 // the bits below
	status atomic.Int32  // what was answered; 0: nothing yet
	wrong  atomic.Pointer[trouble]

	// Under mu: the session that it has become. openedAt is written before stateOpened is
	// set, and only read after that.

	mu       sync.Mutex
	onDrain  func()
	more     *drainMore
	cancel   context.CancelCauseFunc
	openedAt time.Duration // since the guard's epoch
	code     int32         // the close code; 0: unknown
	drained  bool          // it got its goodbye
	running  int16         // the number of OnDrain functions that run now
	over     bool
	byServer bool // this server ended it: the drain or its deadline
}

// The bits of exchange.state: first the phases, then other facts.
const (
	stateLate        uint32 = 1 << iota // the handler returned an error that is not answered yet
	stateHandingOver                    // a hijack was requested and has not come yet
	stateOpened                         // the connection left HTTP
	stateConfirmed                      // 101 was answered
	stateSettled                        // the outcome is logged and counted

	statePanicked
	stateHeld       // its server reports when the handler has returned
	stateReturned   // and has reported it
	stateAwaited    // hijacked, and not answered yet
	stateReplaced   // net/http: our answer replaced the application's
	stateUnanswered // a missing answer was logged
	stateSlot       // holds one of Config.MaxSessions
	stateStream     // an extended CONNECT was accepted: its stream is a session
)

func (x *exchange) is(state uint32) bool { return x.state.Load()&state != 0 }

// set sets state, and reports whether it was clear before.
func (x *exchange) set(state uint32) bool { return x.state.Or(state)&state == 0 }

func (x *exchange) opened() bool { return x.is(stateOpened) }

// Confirm notes what was answered to a handshake after the hijack. status 0 is an answer
// that cannot be read, because TLS is above.
func (x *exchange) Confirm(status int) {
	if status == 0 && x.layer() != "" {
		return // frames: the 101 was held back
	}
	x.awaitOver()
	if status != 0 && status != http.StatusSwitchingProtocols {
		x.status.CompareAndSwap(0, int32(status))
		return
	}
	if x.set(stateConfirmed) {
		x.status.Store(http.StatusSwitchingProtocols)
		x.accepted()
	}
}

// accepted counts an accepted handshake.
func (x *exchange) accepted() {
	x.mark(conn.Session)
	if !x.endpoint {
		x.g.paths.learn(x.path, "")
	}
	if x.foreign { // the application allows it
		x.extras.page, x.extras.host = "", ""
	}
	x.g.stats.handshakes[handshakeAccepted][event.NoReason].Add(1)
}

// trouble is what went wrong before a request was answered. Few requests have it.
type trouble struct {
	err    error  // the handler's first error
	layers string // the ResponseWriters between the handler and the server
}

// trouble updates x.wrong.
func (x *exchange) trouble(add func(*trouble)) {
	for {
		old, now := x.wrong.Load(), trouble{}
		if old != nil {
			now = *old
		}
		add(&now)
		if x.wrong.CompareAndSwap(old, &now) {
			return
		}
	}
}

// handlerErr is the first error of the handler, nil if it has returned none.
func (x *exchange) handlerErr() error {
	if t := x.wrong.Load(); t != nil {
		return t.err
	}
	return nil
}

// layer names the ResponseWriters between the handler and the server, "" if none is
// known.
func (x *exchange) layer() string {
	if t := x.wrong.Load(); t != nil {
		return t.layers
	}
	return ""
}

// remote is the TCP peer.
func (x *exchange) remote() netip.AddrPort { return netip.AddrPortFrom(x.peer, x.port) }

// noteError keeps the first error of the handler.
func (x *exchange) noteError(err error) {
	if x.handlerErr() == nil {
		err := usererror.Fix(err, x.buffersReused)
		x.trouble(func(t *trouble) {
			if t.err == nil {
				t.err = err
			}
		})
	}
	x.noteCode(err)
}

// cannotHijack notes that the connection cannot be hijacked through w, so that a 101
// written before has not been sent.
func (x *exchange) cannotHijack(w http.ResponseWriter) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.is(stateSettled) {
		return
	}
	x.noHijack = true
	x.status.CompareAndSwap(http.StatusSwitchingProtocols, 0)
	x.heldBy(hiding(w))
}

func (x *exchange) mark(o conn.Outcome) {
	if x.c != nil {
		x.c.Mark(o)
	}
}

// markRefused keeps the most specific reason of a connection: the first in the order of
// the reasons.
func (x *exchange) markRefused(r event.Reason) {
	if x.c != nil {
		x.c.MarkRefused(r)
	}
}

// fill adds to e what is known of the request.
func (x *exchange) fill(e *event.Event) {
	e.Remote, e.Method, e.Path, e.Platform = x.remote(), x.methodWord(), x.path, x.platform
	if e.Status == 0 {
		e.Status = int(x.status.Load())
	}
	if x.extras != nil {
		e.Client, e.Forwarded = x.extras.client, x.extras.forwarded
	}
	if x.credited {
		e.Prober = x.prober.String()
	}
	if layer := x.layer(); layer != "" && e.Class == event.UpgradeFailed {
		e.Remedy = remedy.BehindLayer(e.Reason, layer)
	}
}

// logEvent hands an event to the journal. It takes a pointer because a session's stack,
// at its end, has no room for another copy of an Event.
func (g *Guard) logEvent(e *event.Event) { g.logEventAs(e, journal.Ordinary) }

// logEventAs is logEvent for an event that is logged in a special way.
func (g *Guard) logEventAs(e *event.Event, as journal.Special) {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	if e.Remedy == "" {
		e.Remedy = remedy.For(e.Class, e.Reason, e.Prober)
	}
	g.journal.PostAs(e, as)
}
