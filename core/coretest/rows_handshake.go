package coretest

import (
	"context"
	"log/slog"
	"strings"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/probetest"
)

// everywhere is every layer with a guard.
var everywhere = []Layer{Serve, AttachListener, Attach, Middleware, Inner}

// refused is a refused handshake that is logged at Warn.
func refused(r event.Reason, status int) Want {
	return Want{Class: event.HandshakeRefused, Reason: r, Logged: LogFull, Level: slog.LevelWarn, Status: status}
}

// compared is w with the compared Origin and Host in the line.
func compared(w Want) Want { w.compared = true; return w }

// closed1000 is a session that the client closed.
var closed1000 = Want{Class: event.SessionEnded, Status: 101, end: "closed", code: 1000, access: "101"}

// hasField returns a check of one field of the answer.
func hasField(name, value string) func(*env, probetest.Result) {
	return func(e *env, res probetest.Result) {
		if got := strings.Join(res.Header.Values(name), ", "); !strings.EqualFold(got, value) {
			e.Errorf("the answer's %s is %q, want %q", name, got, value)
		}
	}
}

// listsField is hasField for one item of a list.
func listsField(name, item string) func(*env, probetest.Result) {
	return func(e *env, res probetest.Result) {
		for got := range strings.SplitSeq(strings.Join(res.Header.Values(name), ","), ",") {
			if strings.EqualFold(strings.TrimSpace(got), item) {
				return
			}
		}
		e.Errorf("the answer's %s is %q, which does not list %q", name, res.Header.Values(name), item)
	}
}

// handshakeRows: Handler, which owns its route.
func handshakeRows() []row {
	upgrade := hasField("Upgrade", "websocket")
	handler := func(name, rule, does string, w Want, also func(*env, probetest.Result)) fact {
		return fact{row: row{name: "handler/" + name, rule: rule, layers: everywhere}, does: does, want: w, also: also}
	}
	http2 := handler("http 2", "a handshake's key over HTTP/2 is a proxy's fault and is explained (RFC 9113 §8.6)",
		"handshake-http-2", refused(event.ReasonHTTP2, 501), nil)
	http2.ports, http2.needs = secure, HTTP2
	return asRows([]fact{
		handler("upgrade stripped", "Sec-WebSocket-Key without Upgrade is a handshake from which a proxy removed it: 426 with Upgrade (RFC 9110 §15.5.22)",
			"handshake-no-upgrade", refused(event.ReasonUpgradeStripped, 426), upgrade),
		handler("connection stripped", "the same without Connection",
			"handshake-no-connection", refused(event.ReasonUpgradeStripped, 426), upgrade),
		handler("through nginx", "nginx's default proxy_pass removes Upgrade and speaks HTTP/1.0: the first fault is the one that is logged",
			"handshake-through-nginx", refused(event.ReasonUpgradeStripped, 426), upgrade),
		handler("http 1.0", "a handshake is HTTP/1.1 or newer (RFC 6455 §4.2.1 item 1)",
			"handshake-http-1-0", refused(event.ReasonHTTP10, 426), nil),
		http2,
		handler("post", "a handshake is a GET (RFC 6455 §4.2.1 item 1); 405 has the allowed method (RFC 9110 §15.5.6)",
			"handshake-post", refused(event.ReasonBadMethod, 405), listsField("Allow", "GET")),
		handler("head", "the same for HEAD",
			"handshake-head", refused(event.ReasonBadMethod, 405), listsField("Allow", "GET")),
		handler("plain get", "a browser that opens the address gets 426 with Upgrade",
			"handshake-plain-get", refused(event.ReasonNotUpgrade, 426), upgrade),
		handler("version", "a version other than 13 gets an answer with the supported one (RFC 6455 §4.4)",
			"handshake-version-8", refused(event.ReasonBadVersion, 400), hasField("Sec-WebSocket-Version", "13")),
		handler("no key", "a handshake has a key (RFC 6455 §4.2.1 item 5)",
			"handshake-no-key", refused(event.ReasonMissingKey, 400), nil),
		handler("two keys", "a handshake has one key (RFC 6455 §11.3.1)",
			"handshake-two-keys", refused(event.ReasonDuplicateKey, 400), nil),
		handler("bad key", "the key is base64 of 16 bytes (RFC 6455 §4.2.1 item 5)",
			"handshake-bad-key", refused(event.ReasonBadKey, 400), nil),
		handler("foreign origin", "pages of another origin are refused unless the application allows them (RFC 6455 §4.2.2 item 4)",
			"handshake-foreign-origin", compared(refused(event.ReasonOriginForbidden, 403)), nil),

		handler("valid", "a good handshake without Origin is a session",
			"handshake-valid", closed1000, nil),
		handler("split connection", "the lines of a field are one list (RFC 9110 §5.3)",
			"handshake-split-connection", closed1000, nil),
		handler("odd case", "names and tokens are compared in any letter case (RFC 6455 §4.2.1)",
			"handshake-odd-case", closed1000, nil),
		handler("token lists", "Upgrade and Connection are lists (RFC 6455 §4.2.1 items 3, 4)",
			"handshake-token-lists", closed1000, nil),
		odd("version twice", "a field with the same value twice is served as the library does it",
			probetest.WebSocket("/ws").With(probetest.Field{Name: "Sec-WebSocket-Version", Value: "13"})),
		odd("default port in Host", "the default port of the scheme is the same host (RFC 6454 §4)", defaultPort),
		closeUpgrade("handler/close, upgrade", "/ws", "close, Upgrade"), closeUpgrade("handler/close, upgrade split", "/ws", "Upgrade", "close"),
	})
}

// defaultPort has the same origin; some proxies add the default port to Host.
var defaultPort = func() probetest.Request {
	r := probetest.WebSocket("/ws").With(probetest.Field{Name: "Origin", Value: "https://app.example"})
	r.Host = "app.example:443"
	return r
}()

// odd is a handshake that looks unusual and that Handler serves.
func odd(name, rule string, r probetest.Request) fact {
	return fact{
		row: row{name: "handler/" + name, rule: rule, layers: everywhere}, path: r.Path, want: closed1000,
		do: func(ctx context.Context, t probetest.Target) (probetest.Result, error) {
			return probetest.Handshake(ctx, t, r)
		},
	}
}

// endpointRows: Endpoint, behind which a library of the application decides.
func endpointRows() []row {
	endpoint := func(name, rule, does string, w Want) fact {
		return fact{row: row{name: "endpoint/" + name, rule: rule, layers: everywhere}, does: does, path: "/own", want: w}
	}
	// The library chooses the status of its answer. theirs checks that the line has that
	// status.
	theirs := func(name, rule, does string, r event.Reason) row {
		f := endpoint(name, rule, does, refused(r, 0))
		row := f.row
		row.sees, row.asks = []kind{{event.HandshakeRefused, r}}, true
		row.run = func(e *env) {
			e.target.Path = f.path
			const n = 5
			results := e.scenario(f.does, n)
			w := f.want
			if e.limit != nil {
				w = e.limit.Instead(w)
			} else if w.Status, w.compared = results[0].Status, r == event.ReasonOriginForbidden; w.Status < 400 || w.Status >= 500 {
				e.Errorf("the peer was answered %d, want a status of 4xx", w.Status)
			}
			e.became(w, n)
		}
		return row
	}
	http2 := theirs("http 2", "a key over HTTP/2 is explained, whatever the library answers", "handshake-http-2", event.ReasonHTTP2)
	http2.ports, http2.needs = secure, HTTP2
	return append([]row{
		http2,
		theirs("upgrade stripped", "what the library refuses is explained too", "handshake-no-upgrade", event.ReasonUpgradeStripped),
		theirs("plain get", "a plain request that the WebSocket route refuses is logged", "handshake-plain-get", event.ReasonNotUpgrade),
		theirs("version", "what the library refuses is explained too", "handshake-version-8", event.ReasonBadVersion),
		theirs("no key", "what the library refuses is explained too", "handshake-no-key", event.ReasonMissingKey),
		theirs("foreign origin", "the library checks Origin; its 403 is recognized", "handshake-foreign-origin", event.ReasonOriginForbidden),
	}, asRows([]fact{
		endpoint("http 1.0", "RFC 6455 §4.2.1 item 1 forbids it but libraries accept it: refused before them",
			"handshake-http-1-0", refused(event.ReasonHTTP10, 426)),
		endpoint("two keys", "RFC 6455 §11.3.1 forbids it but libraries accept it: refused before them",
			"handshake-two-keys", refused(event.ReasonDuplicateKey, 400)),
		endpoint("bad key", "RFC 6455 §4.2.1 item 5 forbids it but libraries accept it: refused before them",
			"handshake-bad-key", refused(event.ReasonBadKey, 400)),
		endpoint("post", "a handshake is a GET", "handshake-post", refused(event.ReasonBadMethod, 405)),

		endpoint("valid", "a good handshake is a session, and 101 in the access log with every library",
			"handshake-valid", ownClosed),
		endpoint("split connection", "the lines of a field are one list (RFC 9110 §5.3)", "handshake-split-connection", ownClosed),
		endpoint("odd case", "names and tokens are compared in any letter case", "handshake-odd-case", ownClosed),
		endpoint("token lists", "Upgrade and Connection are lists", "handshake-token-lists", ownClosed),
		closeUpgrade("endpoint/close, upgrade", "/own", "close, Upgrade"), closeUpgrade("endpoint/close, upgrade split", "/own", "Upgrade", "close"),
		closeUpgrade("library/close, upgrade", "/bare", "close, Upgrade"),
	})...)
}

// ownClosed is a session of the application's own library that the peer closed.
// Its handler returns the error with the code in it.
var ownClosed = Want{Class: event.SessionEnded, Status: 101, end: "closed", code: 1000, access: "101"}

// closeUpgrade: a client that will not use the connection for a second request. fasthttp
// then runs no hijack, depending on its version if "close" is in the line of Upgrade or in
// its own line.
func closeUpgrade(name, path string, lines ...string) fact {
	w := closed1000
	if path == "/bare" {
		w.access, w.end = "", "" // no layer is inside the access log, and the library chooses the code
	}
	return fact{
		row:  row{name: name, layers: attached, rule: "a handshake with Connection: close, Upgrade is a session"},
		path: path, want: w,
		do: func(ctx context.Context, t probetest.Target) (probetest.Result, error) {
			r := probetest.WebSocket(path).Without("Connection")
			for _, line := range lines {
				r = r.With(probetest.Field{Name: "Connection", Value: line})
			}
			return probetest.Handshake(ctx, t, r)
		},
	}
}

// outcomeRows: the results of good handshakes.
func outcomeRows() []row {
	at := func(name, rule, path string, w Want) fact {
		return fact{row: row{name: "outcome/" + name, rule: rule, layers: everywhere}, does: "handshake-valid", path: path, want: w}
	}
	failed := Want{Class: event.UpgradeFailed, Reason: event.ReasonServerError, Logged: LogFull, Level: slog.LevelError, Status: 500}
	intended := Want{Class: event.HandshakeRefused, Reason: event.ReasonApplication, Logged: LogNothing, Status: 401}
	return asRows([]fact{
		at("server error", "a good handshake that gets 5xx is the server's failure: Error", "/fail", failed),
		at("framework error", "the status that the framework gives an error counts", "/error", failed),
		at("hijack failed", "a 101 whose connection stays HTTP is a failed upgrade", "/promise",
			Want{Class: event.UpgradeFailed, Reason: event.ReasonHijackFailed, Logged: LogFull, Level: slog.LevelError, Status: 101}),
		at("no route", "a handshake for a path without a handler is logged with its remedy", "/nowhere", refused(event.ReasonNoRoute, 404)),
		at("unauthorized", "401, 403 and 429 of the application are intended: Debug", "/forbidden", intended),
		{
			row: row{name: "outcome/unauthorized, stripped", layers: everywhere,
				rule: "a refusal of the application counts as intended, even if a proxy changed the handshake: Debug"},
			does: "handshake-no-upgrade", path: "/forbidden",
			want: Want{Class: event.HandshakeRefused, Reason: event.ReasonUpgradeStripped, Logged: LogNothing, Status: 401},
		},
		at("plain answer", "a handshake that a handler answers with 200 was refused by the application", "/app", refused(event.ReasonApplication, 200)),
		{
			row: row{name: "outcome/early data", layers: everywhere,
				rule: "gorilla closes a connection whose client sent a frame before the answer: a hijack without an answer is a failed upgrade"},
			does: "handshake-early-data", path: "/own",
			want: Want{Class: event.UpgradeFailed, Reason: event.ReasonNothingWritten, Logged: LogFull, Level: slog.LevelError},
		},
	})
}
