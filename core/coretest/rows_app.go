package coretest

import (
	"strings"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/probetest"
)

// get requests path and checks the answer.
func (e *env) get(path string, status int, body string) {
	e.Helper()
	if res := e.do(probetest.Curl(path)); res.Status != status || body != "" && res.Body != body {
		e.Errorf("%s is answered %d %q, want %d %q", path, res.Status, res.Body, status, body)
	}
}

// healthPaths are the default ones.
var healthPaths = map[string]bool{"/livez": true, "/readyz": true, "/startupz": true, "/healthz": true}

// appRows: quietws in an existing application.
func appRows() []row {
	return []row{{
		name: "app/own readyz", layers: everywhere, app: App{OwnReady: true},
		rule: "the application keeps its own health route; quietws answers the others",
		run: func(e *env) {
			e.get("/readyz", 200, "own")
			e.get("/livez", 200, "ok\n")
			e.get("/healthz", 200, "ok\n")
			e.accessed("200", 1)
		},
	}, {
		name: "app/catch-all", layers: everywhere, app: App{CatchAll: true},
		rule: "a catch-all does not count as a health route, and keeps all other paths",
		run: func(e *env) {
			e.get("/readyz", 200, "ok\n")
			e.get("/livez", 200, "ok\n")
			e.get("/nowhere", 200, "catch-all")
			e.get("/key/one", 200, "key one")
		},
	}, {
		name: "app/catch-all and probes", layers: everywhere, app: App{CatchAll: true},
		rule: "health requests call a catch-all, and the access log, at most once for each path, with any method",
		run: func(e *env) {
			for range 5 {
				for path := range healthPaths {
					for _, method := range []string{"GET", "HEAD", "OPTIONS"} {
						if res := e.do(probetest.Request{Method: method, Path: path}.With(probetest.Field{Name: "Cookie", Value: "a=1"})); res.Status != 200 {
							e.Errorf("%s %s is answered %d", method, path, res.Status)
						}
					}
				}
			}
			if n := int(e.caught.Load()); n > len(healthPaths) {
				e.Errorf("the catch-all was called %d times", n)
			}
			e.accessed(none, 0)
		},
	}, {
		name: "app/catch-all that hangs", layers: everywhere, app: App{CatchAll: true}, caught: func(e *env) { <-e.free },
		rule: "no probe waits for a catch-all that hangs",
		run: func(e *env) {
			defer close(e.free)
			for range 3 {
				e.get("/readyz", 200, "ok\n")
				e.get("/livez", 200, "ok\n")
			}
		},
	}, {
		name: "app/catch-all that panics", layers: everywhere, app: App{CatchAll: true}, caught: func(*env) { panic(PanicText) },
		rule: "a catch-all that panics makes no probe fail",
		run: func(e *env) {
			for range 3 {
				e.get("/readyz", 200, "ok\n")
				e.get("/livez", 200, "ok\n")
			}
			if n := len(e.events.of(event.HandlerPanic)); n != 0 {
				e.Errorf("%d requests are reported as panics", n)
			}
		},
	}, {
		name: "app/own readyz and catch-all", layers: everywhere, app: App{OwnReady: true, CatchAll: true},
		rule: "both together",
		run: func(e *env) {
			e.get("/readyz", 200, "own")
			e.get("/livez", 200, "ok\n")
		},
	}, {
		name: "app/paths as the router reads them", layers: everywhere, app: App{OwnReady: true, CatchAll: true},
		rule: "an encoded letter, a capital letter or a slash at the end makes another path only if it does for the router",
		run: func(e *env) {
			bare := e.bare()
			for own, ours := range map[string]string{
				"/%72eadyz": "/%6civez", "/READYZ": "/LIVEZ", "/readyz/": "/livez/", "/readyz%2F": "/livez%2F", "/READY%7A/": "/LIVE%7A/",
			} {
				want := e.do(probetest.Request{Path: own})
				if was := bare.do(probetest.Request{Path: own}); was.Status != want.Status || was.Body != want.Body {
					e.Errorf("%s is answered %d %q, without quietws %d %q", own, want.Status, want.Body, was.Status, was.Body)
				}
				if want.Body == "own" { // the application's own route
					want.Body = "ok\n"
				} else {
					want = bare.do(probetest.Request{Path: ours})
				}
				e.get(ours, want.Status, want.Body)
			}
		},
	}, {
		name: "app/named route", layers: everywhere, app: App{CatchAll: true},
		rule:   "a path of Config.Routes is answered before the application; the application answers one that is off",
		config: func(c *core.Config) { c.Routes = core.Routes{Ready: "/app", Live: "-"} },
		run: func(e *env) {
			e.get("/app", 200, "ok\n")
			e.get("/livez", 200, "catch-all")
			e.get("/readyz", 200, "catch-all")
		},
	}, {
		name: "app/own readyz while draining", layers: attached, app: App{OwnReady: true},
		rule: "the application's own route stays its own while draining",
		run: func(e *env) {
			e.draining(func() { e.get("/readyz", 200, "own") })
		},
	}, {
		name: "app/who answers is logged once", layers: everywhere, app: App{OwnReady: true},
		rule: "one line at the start says who answers each health path",
		run: func(e *env) {
			e.get("/livez", 200, "ok\n")
			e.get("/readyz", 200, "own")
			e.close()
			n, ours := 0, "quietws"
			if e.limit != nil {
				ours = "quietws where the application has no route or middleware of its own"
			}
			for _, l := range e.log.all() {
				if who, ok := l.attrs["/readyz"]; ok {
					if n++; who != "application" || l.attrs["/livez"] != ours {
						e.Errorf("%v", l)
					}
				}
			}
			if n != 1 {
				e.Errorf("%d lines, want 1", n)
			}
		},
	}, {
		name: "app/its own log", layers: everywhere,
		rule: "lines of the application in the server's own log arrive unchanged and once",
		run: func(e *env) {
			e.get("/log", 200, "logged")
			e.scenario("tcp-connect-fin", 1)
			e.until("the line arrives", func() bool { return len(e.server.lines()) > 0 })
			n := 0
			for _, l := range e.server.lines() {
				if l == LogLine {
					n++
				}
			}
			if n != 1 {
				e.Errorf("the server's log is %q, want %q once", e.server.lines(), LogLine)
			}
		},
	}, {
		name: "app/its own hooks", layers: append([]Layer{Bare}, everywhere...),
		rule: "the hooks of the server that a user has set still run",
		run: func(e *env) {
			e.get("/app", 200, "app")
			e.until("the hooks run", func() bool {
				e.mu.Lock()
				defer e.mu.Unlock()
				for _, name := range e.a.Hooks {
					if e.hooks[name] == 0 && !strings.Contains(name, "Shutdown") {
						return false
					}
				}
				return true
			})
			e.close()
			e.stop()
			e.until("the hooks of the shutdown run", func() bool {
				e.mu.Lock()
				defer e.mu.Unlock()
				for _, name := range e.a.Hooks {
					if e.hooks[name] == 0 {
						return false
					}
				}
				return true
			})
		},
	}, {
		name: "app/error handler, ordinary", layers: everywhere, needs: ErrorHandler, app: App{ErrorHandler: true},
		rule: "the application's own error handler answers its errors",
		run: func(e *env) {
			e.get("/error", 500, "custom")
			e.accessed("500", 1)
		},
	}, {
		name: "app/error handler, session", layers: everywhere, needs: ErrorHandler | EndOfSession, sees: []kind{{class: event.SessionEnded}}, app: App{ErrorHandler: true},
		rule: "an error handler that ignores whether the response is written writes no byte into a session, and its 500 is in no log",
		run: func(e *env) {
			n := 0
			for _, path := range []string{"/ws/error", "/own/error", "/bare/error"} {
				e.target.Path = path
				for _, res := range e.times(2, openOnly) {
					n++
					if res.Status != 101 || strings.Contains(res.Body, "custom") {
						e.Errorf("%s: answered %d, then %q", path, res.Status, res.Body)
					}
				}
			}
			e.until("the sessions have ended", func() bool { return len(e.events.of(event.SessionEnded)) == n })
			e.accessed("101", n)
			e.close()
			if lines := e.server.lines(); len(lines) > 0 {
				e.Errorf("the server's log: %q", lines)
			}
		},
	}}
}

// accessRows: the framework's own access log.
func accessRows() []row {
	return []row{fact{
		row: row{name: "access/upgrade without endpoint", layers: everywhere,
			rule: "an upgrade is 101 in the access log for every library, with Endpoint or without"},
		does: "handshake-valid", path: "/bare",
		want: Want{Class: event.SessionEnded, Status: 101, access: "101"},
	}.asRow(), {
		name: "access/mixed", layers: everywhere,
		rule: "the access log has one line for each ordinary request and none for probes",
		run: func(e *env) {
			e.get("/readyz", 200, "")
			e.scenario("health-kubelet", 3)
			e.get("/app", 200, "app")
			e.scenario("tcp-connect-fin", 3)
			e.scenario("health-alb", 3)
			e.get("/app", 200, "app")
			e.accessed("200", 2)
			for _, l := range e.access.lines() {
				if l != "200 GET /app" {
					e.Errorf("the access log has %q", l)
				}
			}
		},
	}}
}

// stop shuts the server down, within the patience of the row.
func (e *env) stop() {
	e.Helper()
	e.step()
	ctx, cancel := contextWithPatience()
	defer cancel()
	if err := e.shutdown(ctx); err != nil {
		e.Errorf("the server's shutdown: %v", err)
	}
}
