package journal

import (
	"log/slog"
	"time"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/remedy"
)

// manner is how an event is told.
type manner uint8

const (
	tellNever     manner = iota // not even at Debug
	tellElsewhere               // no line: the server's own log has one; counted
	tellDebug                   // a line each, at Debug
	tellCounted                 // the same, but it is counted as kept quiet
	tellTurn                    // a line, at Info
	tellSight                   // the first of a class and prober at Info, the rest as tellCounted
	tellWhole                   // the first of a kind whole and at once, repeats collapsed
)

// Special says what the log needs to know of an event that is not in the event.
type Special uint8

const (
	Ordinary   Special = iota
	Elsewhere          // the server's own log has a line: counted and observed, but not printed
	AppFailing         // an HTTPProbe: the application's own health route began to fail
	AppPassing         // and passes again
	OffSocket          // an HTTPProbe: a library refused it on its WebSocket route, for the first time
)

// told is the column "told" of the table of classes: the level of an event,
// and how it is told. It is the only place that knows.
func told(e *event.Event, as Special) (slog.Level, manner) {
	if as == Elsewhere {
		return slog.LevelDebug, tellElsewhere
	}
	switch e.Class {
	case event.HTTP:
		return slog.LevelDebug, tellNever
	case event.SessionEnded, event.Hijacked:
		return slog.LevelDebug, tellDebug
	case event.HandlerPanic, event.UpgradeFailed:
		return slog.LevelError, tellWhole
	case event.HandshakeRefused:
		if refusedOnPurpose(e) || e.Reason == event.ReasonHTTP2 && e.Method == "" && !e.Platform { // no request, and from the open internet
			return slog.LevelDebug, tellCounted
		}
		return slog.LevelWarn, tellWhole
	case event.HTTPProbe, event.ProxyProbe, event.TLSProbe, event.TCPProbe:
		if as != Ordinary {
			return slog.LevelInfo, tellTurn
		}
		if e.Platform || e.Prober != "" {
			return slog.LevelInfo, tellSight
		}
		return slog.LevelDebug, tellCounted
	case event.ServerClosed:
		if e.Reason == event.ReasonLimit {
			return slog.LevelWarn, tellWhole
		}
		// What a drain or a shutdown closes is no probe and no news: their own
		// lines report it.
		return slog.LevelDebug, tellCounted
	case event.TLSFailed:
		if e.Reason == event.ReasonRefused || e.Reason == event.ReasonClientCertificate || e.Reason == event.ReasonVersion {
			return slog.LevelWarn, tellWhole
		}
	case event.BadRequest, event.IdleConnect:
	default: // ProbeFailing, WrongProtocol, and whatever has no class: unknown is loud
		return slog.LevelWarn, tellWhole
	}
	if !e.Platform {
		return slog.LevelDebug, tellCounted // the open internet must not write our log
	}
	return slog.LevelInfo, tellWhole
}

// PolicyWord is how an event of a class and reason is logged that a platform caused, for
// the README: a level, "quiet after the first", "quiet" or "–".
func PolicyWord(c event.Class, r event.Reason) string {
	level, how := told(&event.Event{Class: c, Reason: r, Platform: true}, Ordinary)
	switch how {
	case tellNever:
		return "–"
	case tellCounted:
		return "quiet"
	case tellSight:
		return "quiet after the first"
	}
	return map[slog.Level]string{slog.LevelDebug: "Debug", slog.LevelInfo: "Info", slog.LevelWarn: "Warn", slog.LevelError: "Error"}[level]
}

// refusedOnPurpose: the server goes down, or the application keeps somebody
// out, whatever else is wrong with what they sent. Neither is a fault of the
// set-up. A 403 for the Origin is: it keeps a page out that may be its own.
func refusedOnPurpose(e *event.Event) bool {
	switch e.Reason {
	case event.ReasonDraining:
		return true
	case event.ReasonOriginForbidden:
		return false
	}
	return e.Status == 401 || e.Status == 403 || e.Status == 429
}

// withoutRequest reports whether e is a connection that brought nothing to serve,
// or something broken, which anybody can open by the thousand. What a drain or a
// shutdown closes is not among them.
func withoutRequest(e *event.Event) bool {
	switch e.Class {
	case event.TCPProbe, event.TLSProbe, event.ProxyProbe, event.IdleConnect, event.BadRequest, event.WrongProtocol, event.TLSFailed:
		return true
	}
	return e.Class == event.ServerClosed && e.Reason == event.ReasonLimit
}

// The messages. Each is constant, so that a log can be searched and counted by
// them; what differs is in the attributes.
const (
	msgSeen            = "probe seen: counted, no longer logged"
	msgProbe           = "probe"
	msgAppFailing      = "the application's health route fails"
	msgAppPassing      = "the application's health route passes again"
	msgOffSocket       = "a probe of a WebSocket route: answered by the application, counted, no longer logged"
	msgSummary         = "connections summary"
	msgLost            = "log lines dropped"
	msgOverflow        = "more kinds of failure than are told apart"
	msgObserver        = "observer panicked"
	msgObserverAgain   = "observer panicked: repeated"
	msgCallback        = "callback panicked"
	msgCallbackAgain   = "callback panicked: repeated"
	msgFloodSource     = "flood of connections without a request from one source"
	msgFloodSourceOver = "flood of connections without a request from one source is over"
	msgFlood           = "flood of connections without a request"
	msgFloodOver       = "flood of connections without a request is over"
)

// messages has, per class, the message of an event and of its repeats.
var messages = map[event.Class]struct{ first, again string }{
	event.Undecided:        {"connection without a class", "connection without a class: repeated"},
	event.HandlerPanic:     {"handler panicked", "handler panicked: repeated"},
	event.UpgradeFailed:    {"websocket upgrade failed", "websocket upgrade failed: repeated"},
	event.SessionEnded:     {first: "session ended"},
	event.Hijacked:         {first: "hijacked connection ended"},
	event.HandshakeRefused: {"websocket handshake refused", "websocket handshake refused: repeated"},
	event.ProbeFailing:     {"probe failing", "probe failing: repeated"},
	event.HTTPProbe:        {first: msgProbe},
	event.ProxyProbe:       {first: msgProbe},
	event.WrongProtocol:    {"wrong protocol", "wrong protocol: repeated"},
	event.TLSFailed:        {"tls handshake failed", "tls handshake failed: repeated"},
	event.BadRequest:       {"bytes that never became a request", "bytes that never became a request: repeated"},
	event.ServerClosed:     {"connection closed before a request", "connection closed before a request: repeated"},
	event.IdleConnect:      {"connection without a request", "connection without a request: repeated"},
	event.TLSProbe:         {first: msgProbe},
	event.TCPProbe:         {first: msgProbe},
}

var specialMessages = [...]string{AppFailing: msgAppFailing, AppPassing: msgAppPassing, OffSocket: msgOffSocket}

// tell writes what there is to write about one event.
func (j *Journal) tell(now time.Time, e *event.Event, as Special) {
	if e.Class.String() == event.Undecided.String() { // or none of the set
		e.Class = event.Undecided
	}
	level, how := told(e, as)
	if withoutRequest(e) {
		j.flood(now, e)
	}
	switch how {
	case tellElsewhere:
		j.depict(now, e, false)
		j.suppress(e.Class)
	case tellDebug:
		j.debug(e)
	case tellCounted:
		j.depict(now, e, true)
		j.suppress(e.Class)
		j.debug(e)
	case tellTurn:
		j.depict(now, e, true)
		if as == OffSocket {
			j.seen.first(e.Class, e.Prober) // it says what the line of a first sight says
		}
		j.write(e.Time, level, specialMessages[as], lineAttrs(e)...)
	case tellSight:
		j.depict(now, e, true)
		if j.seen.first(e.Class, e.Prober) {
			attrs := lineAttrs(e)
			if hint := remedy.ForProbe(e.Class); hint != "" {
				attrs = append(attrs, slog.String("remedy", hint))
			}
			j.write(e.Time, level, msgSeen, attrs...)
			break
		}
		j.suppress(e.Class)
		j.debug(e)
	case tellWhole:
		j.depict(now, e, false)
		j.fail(now, level, e)
	}
	if e.Class == event.HTTPProbe {
		j.hushAfter(now)
	}
}

func (j *Journal) debug(e *event.Event) {
	if j.enabled(slog.LevelDebug) {
		j.write(e.Time, slog.LevelDebug, messages[e.Class].first, lineAttrs(e)...)
	}
}

// maxSights bounds the table of first sights. It has room for every prober of
// the table in the classes it can have.
const maxSights = 512

// pair is a class and the prober that it was seen with, "" for none.
type pair struct {
	class  event.Class
	prober string
}

func (p pair) word() string {
	if p.prober == "" {
		return "unknown"
	}
	return Word(p.prober)
}

// firstSights remembers which pairs have been told.
type firstSights map[pair]struct{}

// first reports whether this pair was not there before. What finds the table
// full is not told: it is in the summaries like everything else.
func (f *firstSights) first(c event.Class, prober string) bool {
	p := pair{c, prober}
	if _, known := (*f)[p]; known || len(*f) >= maxSights {
		return false
	}
	if *f == nil {
		*f = make(firstSights)
	}
	(*f)[p] = struct{}{}
	return true
}
