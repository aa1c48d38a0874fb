package coretest

import (
	"log/slog"
	"slices"

	"github.com/quietws/quietws/core/event"
)

// unlistened are the layers on which the guard does not accept the connections itself.
var unlistened = []Layer{Attach, Middleware, Inner}

// Echo returns Echo's limits.
func Echo() Framework { return Framework{"Echo", slices.Concat(onNetHTTP(), attachAlone())} }

// Gin returns Gin's limits.
func Gin() Framework { return Framework{"Gin", slices.Concat(onNetHTTP(), attachAlone())} }

// NetHTTP returns the limits of net/http. Routers on net/http whose handlers return no
// error have the same.
func NetHTTP() Framework {
	return Framework{"net/http", slices.Concat([]Limit{{
		Needs: ErrorHandler, Reason: "handlers of net/http return no error, and there is no error handler",
	}}, onNetHTTP(), attachAlone())}
}

// Fiber returns the limits of Fiber v2, fasthttp and contrib/websocket.
func Fiber() Framework { return Framework{"Fiber", slices.Concat(onFiber(), attachAlone())} }

// attachAlone are the limits of every server.
func attachAlone() []Limit {
	attach := []Layer{Attach}
	const unseen = "with Attach alone the bytes are not seen: "
	return []Limit{{
		Rows: []string{"tls/hello cut, silence"}, Layers: attach, Outcome: Unknown,
		Reason:  unseen + "a handshake that stops half way looks like none, `idle_connect`",
		Instead: func(Want) Want { return Want{Class: event.IdleConnect, Logged: LogFull, Level: slog.LevelInfo} },
	}, {
		Rows: []string{"tls/hello cut, rst"}, Layers: attach, Outcome: Unknown,
		Reason:  unseen + "a handshake cut by a reset looks like none, `tcp_probe`",
		Instead: func(Want) Want { return Want{Class: event.TCPProbe, Logged: LogOnce} },
	}, {
		Rows: []string{"tls/http on tls"}, Layers: attach, Outcome: Unknown,
		Reason: unseen + "plain HTTP is not recognized, `tls_failed`",
		Instead: func(w Want) Want {
			return Want{Class: event.TLSFailed, Reason: event.ReasonAborted, Logged: LogFull, Level: slog.LevelInfo, Answer: w.Status}
		},
	}, {
		Rows: []string{"session/vanish*"}, Layers: unlistened, Outcome: Unknown,
		Reason:  "without `Guard.Listener`, only the server's background read sees a client that leaves before the hijack: the end may be `ended` instead of `vanished`",
		Instead: func(w Want) Want { w.end, w.orEnd = "vanished", "ended"; return w },
	}}
}

// onNetHTTP are the limits of Echo, Gin and every other router on net/http.
func onNetHTTP() []Limit {
	unread := func(w Want) Want {
		return Want{Class: w.Class, Reason: event.ReasonUnknown, Logged: w.Logged, Level: w.Level, Answer: max(w.Status, w.Answer, 0)}
	}
	tooMany := func(r event.Reason, status int) func(Want) Want {
		return func(Want) Want {
			return Want{Class: event.BadRequest, Reason: r, Logged: LogFull, Level: slog.LevelInfo, Status: status, Answer: 431}
		}
	}
	const fields = "net/http reads 500 lines of a head since Go 1.27 (`http.Server.MaxHeaderValueCount`): `bad_request`, too_large"
	same := func(w Want) Want { return w }
	return []Limit{{
		Rows: []string{"junk/many fields"}, Layers: exactly, ports: plain, Outcome: Differs, Reason: fields,
		Instead: same, newer: tooMany(event.ReasonTooLarge, 431), answer: 431,
	}, {
		Rows: []string{"junk/many fields"}, Outcome: Differs, Reason: fields + ", where the reason is known",
		Instead: same, newer: tooMany(event.ReasonUnknown, 0), answer: 431,
	}, {
		Needs: WhyUnread, Layers: []Layer{Attach}, Outcome: Unknown, Instead: unread,
		Reason: "net/http does not report why it refused bytes that are not a request, and with Attach alone the bytes are not seen: the reason is `unknown`",
	}, {
		Rows: []string{"junk/request cut, silence"}, Layers: []Layer{Attach}, Outcome: Unknown, Instead: unread,
		Reason: "net/http does not report why it refused bytes that are not a request, and with Attach alone the bytes are not seen: the reason is `unknown`",
	}, {
		Needs: WhyUnread, ports: secure, Outcome: Unknown, Instead: unread,
		Reason: "net/http does not report why it refused bytes inside TLS: the reason is `unknown`",
	}}
}

// onFiber are the limits of Fiber only.
func onFiber() []Limit {
	const (
		contrib   = "contrib/websocket "
		anyOrigin = contrib + "accepts every Origin by default; `Handler` does not"
	)
	served := func(Want) Want { return Want{Class: event.HTTP} }
	session := func(Want) Want { return Want{Class: event.SessionEnded, Status: 101, access: "101"} }
	bad := func(r event.Reason, status int) func(Want) Want {
		return func(w Want) Want { w.Reason, w.Status = r, status; return w }
	}
	return []Limit{{
		Needs: HTTP2, Reason: "fasthttp speaks only HTTP/1.1",
	}, {
		Needs: ConnContext, Reason: "fasthttp has no such hook",
	}, {
		Rows: []string{"contain/*"}, Layers: []Layer{AttachListener, Attach},
		Reason: "fasthttp does not recover a panic of a handshake, which ends the process: `Guard.TLSListener` and `Serve` contain it",
	}, {
		Needs: EndOfSession, Layers: unlistened,
		Reason: "fasthttp does not report when a hijacked connection ends: sessions of the application's own library are followed with `Guard.Listener` or `Serve`, those of `Handler` always",
	}, {
		Rows: []string{"tls/http on tls"}, Layers: exactly, Outcome: Differs,
		Reason:  "fasthttp closes the connection without a plain answer",
		Instead: func(w Want) Want { w.Status = 0; return w },
	}, {
		Rows: []string{"tls/http on tls"}, Outcome: Unknown,
		Reason: "with Attach alone the bytes are not seen: plain HTTP is not recognized, `tls_failed`",
		Instead: func(w Want) Want {
			w.Class, w.Reason, w.Level, w.Status = event.TLSFailed, event.ReasonAborted, slog.LevelInfo, 0
			return w
		},
	}, {
		Rows: []string{"junk/request cut, silence"}, Outcome: Differs,
		Reason: "fasthttp answers 408 where net/http closes", Instead: bad(event.ReasonTimeout, 408),
	}, {
		Rows:   []string{"junk/nul", "junk/bad host", "junk/two hosts", "junk/no host"},
		Reason: "fasthttp serves it as an ordinary request, `http`; since 1.77 at the latest it refuses it like net/http", Instead: served,
		newer: bad(event.ReasonMalformed, 400),
	}, {
		Rows:   []string{"junk/expect", "junk/http 3"},
		Reason: "fasthttp serves it as an ordinary request, `http`", Instead: served,
	}, {
		Rows: []string{"junk/transfer encoding"}, Outcome: Differs,
		Reason: "fasthttp calls it malformed, 400", Instead: bad(event.ReasonMalformed, 400),
	}, {
		Rows:   []string{"junk/many fields"},
		Reason: "fasthttp reads 4 KiB of a head (`fiber.Config.ReadBufferSize`): `bad_request`, too_large",
		Instead: func(Want) Want {
			return Want{Class: event.BadRequest, Reason: event.ReasonTooLarge, Logged: LogFull, Level: slog.LevelInfo, Status: 431}
		},
	}, {
		Rows: []string{"endpoint/foreign origin"}, Layers: exactly, Reason: anyOrigin, Instead: session,
	}, {
		Rows: []string{"endpoint/foreign origin", "wire/foreign origin of the application's library"}, Reason: anyOrigin,
	}, {
		Rows: []string{"outcome/early data"}, Reason: "fasthttp/websocket serves a client that does not wait for the answer",
	}, {
		Rows:   []string{"panic/bare/*"},
		Reason: contrib + "recovers panics without a report: set its RecoverHandler to `fiberws.Recover`",
	}, {
		Rows:   []string{"wire/split connection/*"},
		Reason: contrib + "refuses it, so there is no bare server to compare with; with quietws it is served",
	}, {
		Rows: []string{"session/handler returns early/*"}, Reason: "fasthttp closes the connection when the function returns",
	}, {
		Rows: []string{"app/who answers is logged once"}, Outcome: Unknown, runs: true,
		Reason: "a health route of a middleware, such as Fiber's own healthcheck, is in no route table, and the line at the start says so",
	}}
}
