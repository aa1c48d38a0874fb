package coretest

import (
	"log/slog"
	"strconv"
	"strings"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/probetest"
)

// own requests that status from the application on path.
func own(method, path string, status int, fields ...probetest.Field) probetest.Request {
	r := probetest.Curl(path + "?status=" + strconv.Itoa(status)).With(fields...)
	r.Method = method
	return r
}

// byKubelet makes r a request of a known prober.
func byKubelet(r probetest.Request) probetest.Request {
	return r.Without("User-Agent").With(probetest.Field{Name: "User-Agent", Value: "kube-probe/1.33"})
}

// answeredItself checks that the application answered r.
func (e *env) answeredItself(r probetest.Request, status int) {
	e.Helper()
	body := OwnBody
	if r.Method == "HEAD" {
		body = ""
	}
	if res := e.do(r); res.Status != status || res.Body != body {
		e.Errorf("%s %s is answered %d %q, want %d %q", r.Method, r.Path, res.Status, res.Body, status, body)
	}
}

// said returns the lines at Info and above with that message.
func (e *env) said(message string) (lines []line) {
	for _, l := range e.log.all() {
		if l.msg == message && l.level >= slog.LevelInfo {
			lines = append(lines, l)
		}
	}
	return lines
}

// probes counts the requests of probers with a good answer, or a bad one.
func (e *env) probes(failing bool) (n uint64) {
	for _, p := range e.guard.Snapshot().Probes {
		if p.Class == event.HTTPProbe && p.Failing == failing {
			n += p.N
		}
	}
	return n
}

// The lines about probes that the application answers.
const (
	lineFailing   = "the application's health route fails"
	linePassing   = "the application's health route passes again"
	lineOffSocket = "a probe of a WebSocket route: answered by the application, counted, no longer logged"
)

// routeRows: whether quietws or the application answers a path.
func routeRows() []row {
	return append(sharedRows(), appHealthRows()...)
}

// sharedRows: WebSocket routes that serve other requests too.
func sharedRows() []row {
	return []row{{
		name: "route/shared", layers: everywhere,
		rule: "other requests on a WebSocket route, as with GraphQL, Socket.IO and REST, are ordinary: their own answer, one line in the access log and none of ours",
		run: func(e *env) {
			n := 0
			for _, r := range []struct {
				method string
				status int
			}{
				{"POST", 422}, {"POST", 400}, {"POST", 405}, {"GET", 400}, {"GET", 401}, {"GET", 404}, {"GET", 405}, {"GET", 422},
				{"PUT", 409}, {"DELETE", 404}, {"HEAD", 404}, {"OPTIONS", 405}, {"PATCH", 426}, {"GET", 200}, {"POST", 500},
			} {
				e.answeredItself(own(r.method, SharedPath, r.status), r.status)
				n++
			}
			e.accessed("", n)
			e.became(Want{Class: event.HTTP}, n)
		},
	}, {
		name: "route/monitors of a shared route", layers: everywhere,
		rule: "a known prober gets the answer of a route that is not Handler's, before and after a session there; if that is 4xx one line says what to request instead",
		run: func(e *env) {
			ask := func() {
				e.answeredItself(byKubelet(own("POST", SharedPath, 422)), 422)
				e.answeredItself(byKubelet(own("GET", SharedPath, 200)), 200)
				e.answeredItself(byKubelet(own("GET", SharedPath, 404)), 404)
				e.answeredItself(byKubelet(own("HEAD", SharedPath, 400)), 400)
			}
			ask()
			e.target.Path = SharedPath
			e.scenario("handshake-valid", 1)
			ask()
			e.until("the access log has a line for each request", func() bool { return len(e.access.lines()) == 9 })
			e.close()
			lines := e.said(lineOffSocket)
			if len(lines) != 1 || lines[0].level != slog.LevelInfo || !strings.Contains(lines[0].attrs["remedy"], "Config.ProbePaths") {
				e.Errorf("the line is %v", lines)
			}
			for _, l := range e.log.logged() {
				if l.level > slog.LevelInfo {
					e.Errorf("%v", l)
				}
			}
		},
	}, {
		name: "route/prober on a library's route", layers: everywhere,
		rule: "a prober that is configured with the path of a library's route is answered as without quietws, because balancers may expect 400 or 426",
		run: func(e *env) {
			bare := e.bare()
			for range 3 {
				if got, want := e.do(probetest.ALB("/own")), bare.do(probetest.ALB("/own")); got.Status != want.Status || got.Body != want.Body {
					e.Errorf("answered %d %q, without quietws %d %q", got.Status, got.Body, want.Status, want.Body)
				}
			}
			e.until("they are counted", func() bool { return e.probes(true) == 3 })
			e.close()
			if logged := e.log.logged(); len(logged) != 1 || logged[0].msg != lineOffSocket || logged[0].attrs["prober"] != "aws-elb" {
				e.Errorf("logged %v, want one line", logged)
			}
		},
	}, {
		name: "route/stripped on a shared route", layers: everywhere, sees: []kind{{event.HandshakeRefused, event.ReasonUpgradeStripped}},
		rule: "a handshake that a proxy broke is explained also on a route that serves more than WebSocket",
		run: func(e *env) {
			r := probetest.NoUpgrade(SharedPath + "?status=400")
			for range 3 {
				e.answeredItself(r, 400)
			}
			e.became(refused(event.ReasonUpgradeStripped, 400), 3)
		},
	}, {
		name: "route/same path as Handler", layers: everywhere,
		rule: "another route on the same path as Handler, with another method, answers every client itself, probers too",
		run: func(e *env) {
			for range 2 {
				e.answeredItself(byKubelet(own("POST", BesidePath, 422)), 422)
				e.answeredItself(own("POST", BesidePath, 400), 400)
				e.target.Path = BesidePath
				e.scenario("handshake-valid", 1)
				e.do(probetest.Kubelet(BesidePath))
			}
			e.close()
			for _, l := range e.log.logged() {
				if l.level > slog.LevelInfo || l.attrs["method"] == "POST" {
					e.Errorf("%v", l)
				}
			}
		},
	}, {
		name: "route/probe path not ready", layers: everywhere,
		rule: "on one of Config.ProbePaths a known prober gets the answer of /readyz: 503 while a critical check fails",
		config: func(c *core.Config) {
			c.ProbePaths = []string{"/app"}
			c.Health = notReady{}
		},
		run: func(e *env) {
			for _, method := range []string{"GET", "HEAD", "OPTIONS"} {
				r := probetest.Kubelet("/app")
				r.Method = method
				res := e.do(r)
				if res.Status != 503 || method != "HEAD" && res.Body != "not yet\n" {
					e.Errorf("%s is answered %d %q", method, res.Status, res.Body)
				}
				hasField("Vary", "User-Agent")(e, res)
			}
			e.get("/app", 200, "app")
			e.accessed("200", 1)
		},
	}}
}

// notReady is a Health whose readiness fails.
type notReady struct{}

func (notReady) Answer(q core.HealthQuery) (core.Answer, bool) {
	return core.Answer{Status: 503, Header: []core.HeaderField{{Name: "Content-Length", Values: []string{"8"}}}, Body: "not yet\n"}, q.Route == core.RouteReady
}

// appHealthRows: the application's own health route.
func appHealthRows() []row {
	listed := func(c *core.Config) { c.AppHealth = []string{HealthPath} }
	waits := func(name, rule, path string, config func(*core.Config)) row {
		return row{name: name, rule: rule, layers: []Layer{Serve}, config: func(c *core.Config) {
			config(c)
			c.Drain.Fall = 1
		}, run: func(e *env) {
			ask := byKubelet(own("GET", path, 200))
			if res := e.do(ask); res.Status != 200 {
				e.Errorf("answered %d", res.Status)
			}
			report := make(chan core.DrainReport, 1)
			go func() {
				r, _ := e.guard.Drain(e.ctx)
				report <- r
			}()
			<-e.guard.Draining()
			if res := e.do(ask); res.Status != 503 {
				e.Errorf("answered %d", res.Status)
			}
			if r := <-report; len(r.Probers) != 1 || r.Probers[0].Prober != "kubelet" || r.Probers[0].Refused != 1 {
				e.Errorf("the drain waited for %+v", r.Probers)
			}
		}}
	}
	return []row{
		waits("route/app health waits for its probers", "a drain waits until the probers of Config.AppHealth have got 503 as often as they need", HealthPath, listed),
		waits("route/probe path waits for its probers", "the same for the probers of Config.ProbePaths", "/app", func(c *core.Config) { c.ProbePaths = []string{"/app"} }), {
			name: "route/app health", layers: everywhere, config: listed,
			rule: "the application answers a path of Config.AppHealth, whatever the answer is; each request is a probe: counted, not in the access log, one line at each change",
			run: func(e *env) {
				n := uint64(0)
				for _, status := range []int{200, 503, 503, 500, 200, 204, 503} {
					ask := own("GET", HealthPath, status)
					if n%2 == 0 {
						ask = byKubelet(ask)
					}
					if status == 204 {
						e.do(ask)
					} else {
						e.answeredItself(ask, status)
					}
					n++
				}
				e.answeredItself(own("POST", HealthPath, 200), 200) // not a health request
				e.until("they are counted", func() bool {
					return e.probes(true) == 4 && e.probes(false) == 3
				})
				e.accessed("200", 1)
				e.close()
				for message, times := range map[string]int{lineFailing: 2, linePassing: 1} {
					lines := e.said(message)
					if len(lines) != times {
						e.Errorf("%q %d times, want %d", message, len(lines), times)
					}
					for _, l := range lines {
						if l.level != slog.LevelInfo || l.attrs["remedy"] != "" || l.attrs["path"] != HealthPath {
							e.Errorf("%v", l)
						}
					}
				}
				for _, l := range e.log.logged() {
					if l.level > slog.LevelInfo {
						e.Errorf("%v", l)
					}
				}
				for _, a := range e.answers() {
					if a.path == HealthPath && (!a.before || !a.after) {
						if post := a == (asked{path: HealthPath}); !post {
							e.Errorf("a probe before the chain: %v, after it: %v", a.before, a.after)
						}
					}
				}
			},
		}, {
			name: "route/app health while draining", layers: everywhere, config: listed,
			rule: "from the start of a drain a path of Config.AppHealth gets 503 without the application, so that its probers notice",
			run: func(e *env) {
				e.answeredItself(byKubelet(own("GET", HealthPath, 200)), 200)
				e.draining(func() {
					for _, method := range []string{"GET", "HEAD", "OPTIONS"} {
						for _, r := range []probetest.Request{own(method, HealthPath, 200), byKubelet(own(method, HealthPath, 200))} {
							if res := e.do(r); res.Status != 503 || res.Body == OwnBody {
								e.Errorf("%s is answered %d %q", method, res.Status, res.Body)
							}
						}
					}
					e.answeredItself(own("POST", HealthPath, 201), 201)
				})
				e.close()
				if lines := append(e.said(lineFailing), e.said(linePassing)...); len(lines) > 0 {
					e.Errorf("a drain is no incident: %v", lines)
				}
			},
		}, {
			name: "route/own health route that is not listed", layers: everywhere,
			rule: "503 of an application's route to a known prober is intended: no failing probe at Warn, but one line at each change, with Config.AppHealth as its remedy",
			run: func(e *env) {
				for _, status := range []int{200, 503, 503, 200} {
					e.answeredItself(byKubelet(own("GET", HealthPath, status)), status)
				}
				e.until("they are counted", func() bool {
					return e.probes(true) == 2 && e.probes(false) == 2
				})
				e.close()
				failing := e.said(lineFailing)
				if len(failing) != 1 || failing[0].level != slog.LevelInfo || !strings.Contains(failing[0].attrs["remedy"], "Config.AppHealth") {
					e.Errorf("%q: %v", lineFailing, failing)
				}
				if n := len(e.said(linePassing)); n != 1 {
					e.Errorf("%q %d times", linePassing, n)
				}
				for _, l := range e.log.logged() {
					if l.level > slog.LevelInfo {
						e.Errorf("%v", l)
					}
				}
			},
		}}
}
