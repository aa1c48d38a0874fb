package journal

import (
	"log/slog"

	"github.com/quietws/quietws/core/event"
)

// A policy says how an event is logged.
type policy uint8

const (
	logNever     policy = iota // no line, not even at Debug
	logElsewhere               // no line: the server's own log has one; counted
	logDebug                   // one line each, at Debug
	logCounted                 // one line each, at Debug, and counted as quiet
	logChange                  // one line, at Info: something changed
	logOnce                    // the first of a class and prober at Info, the rest as logCounted
	logFull                    // the first of a kind in full and at once, repeats collapsed
)

// Special says what the log has to know about an event that is not in the event.
type Special uint8

const (
	Ordinary   Special = iota
	Elsewhere          // the server's own log has a line: counted and observed, but not logged
	AppFailing         // an HTTPProbe: the application's own health route began to fail
	AppPassing         // an HTTPProbe: and it passes again
	OffSocket          // an HTTPProbe: a library refused it on its WebSocket route, for the first time
)

// policyOf returns the level of an event and how it is logged, which is the column
// "logged" of the table of classes. No other function decides this.
func policyOf(e *event.Event, as Special) (slog.Level, policy) {
	if as == Elsewhere {
		return slog.LevelDebug, logElsewhere
	}
	switch e.Class {
	case event.HTTP:
		return slog.LevelDebug, logNever
	case event.SessionEnded, event.Hijacked:
		return slog.LevelDebug, logDebug
	case event.HandlerPanic, event.UpgradeFailed:
		return slog.LevelError, logFull
	case event.HandshakeRefused:
		if refusedOnPurpose(e) || e.Reason == event.ReasonHTTP2 && e.Method == "" && !e.Platform { // no request, and from the open internet
			return slog.LevelDebug, logCounted
		}
		return slog.LevelWarn, logFull
	case event.HTTPProbe, event.ProxyProbe, event.TLSProbe, event.TCPProbe:
		if as != Ordinary {
			return slog.LevelInfo, logChange
		}
		if e.Platform || e.Prober != "" {
			return slog.LevelInfo, logOnce
		}
		return slog.LevelDebug, logCounted
	case event.ServerClosed:
		if e.Reason == event.ReasonLimit {
			return slog.LevelWarn, logFull
		}
		// A drain and a shutdown have lines of their own for what they close.
		return slog.LevelDebug, logCounted
	case event.TLSFailed:
		if e.Reason == event.ReasonRefused || e.Reason == event.ReasonClientCertificate || e.Reason == event.ReasonVersion {
			return slog.LevelWarn, logFull
		}
	case event.BadRequest, event.IdleConnect:
	default: // ProbeFailing, WrongProtocol, and any event without a class: unknown is loud
		return slog.LevelWarn, logFull
	}
	if !e.Platform {
		return slog.LevelDebug, logCounted // the open internet must not write our log
	}
	return slog.LevelInfo, logFull
}

// PolicyWord returns a word for how an event of this class and reason from a platform is
// logged, for the README: a level, "quiet after the first", "quiet" or "–".
func PolicyWord(c event.Class, r event.Reason) string {
	level, how := policyOf(&event.Event{Class: c, Reason: r, Platform: true}, Ordinary)
	switch how {
	case logNever:
		return "–"
	case logCounted:
		return "quiet"
	case logOnce:
		return "quiet after the first"
	}
	return map[slog.Level]string{slog.LevelDebug: "Debug", slog.LevelInfo: "Info", slog.LevelWarn: "Warn", slog.LevelError: "Error"}[level]
}

// refusedOnPurpose reports whether a refusal is intended: the server shuts down, or the
// application does not let this client in. Then nothing is wrong with the setup. A 403
// for the Origin is not one of these: the page may be the site's own.
func refusedOnPurpose(e *event.Event) bool {
	switch e.Reason {
	case event.ReasonDraining:
		return true
	case event.ReasonOriginForbidden:
		return false
	}
	return e.Status == 401 || e.Status == 403 || e.Status == 429
}

// withoutRequest reports whether e is a connection that brought no request, or a broken
// one: any client can open thousands of them. A connection that a drain or a shutdown
// closed does not count.
func withoutRequest(e *event.Event) bool {
	switch e.Class {
	case event.TCPProbe, event.TLSProbe, event.ProxyProbe, event.IdleConnect, event.BadRequest, event.WrongProtocol, event.TLSFailed:
		return true
	}
	return e.Class == event.ServerClosed && e.Reason == event.ReasonLimit
}

// The messages. They are constant, so that a log can be searched for them; whatever
// differs is in the attributes.
const (
	msgSeen            = "probe seen: counted, no longer logged"
	msgProbe           = "probe"
	msgAppFailing      = "the application's health route fails"
	msgAppPassing      = "the application's health route passes again"
	msgOffSocket       = "a probe of a WebSocket route: answered by the application, counted, no longer logged"
	msgSummary         = "connections summary"
	msgLost            = "log lines dropped"
	msgOverflow        = "more kinds of failure than are counted separately"
	msgObserver        = "observer panicked"
	msgObserverAgain   = "observer panicked: repeated"
	msgCallback        = "callback panicked"
	msgCallbackAgain   = "callback panicked: repeated"
	msgFloodSource     = "flood of connections without a request from one source"
	msgFloodSourceOver = "flood of connections without a request from one source is over"
	msgFlood           = "flood of connections without a request"
	msgFloodOver       = "flood of connections without a request is over"
)

// messages has, for each class, the message of an event and that of its repeats.
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
