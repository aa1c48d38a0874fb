package coretest

import (
	"net/netip"
	"strings"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/probetest"
)

// behindProxy makes the row's own address that of a trusted proxy, so that X-Forwarded-For
// can set any client address.
func behindProxy(c *core.Config) {
	c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
}

// fromInternet is a client with a public address.
var fromInternet = probetest.Field{Name: "X-Forwarded-For", Value: "8.8.8.8"}

// trustRows: what a User-Agent and X-Forwarded-For may do.
func trustRows() []row {
	kubelet := probetest.Kubelet("/app")
	return []row{{
		name: "trust/spoofed on the application's path", layers: everywhere, config: behindProxy,
		rule: "a prober's User-Agent from a public address hides no request from the access log, and is not counted as a probe",
		run: func(e *env) {
			e.do(kubelet.With(fromInternet))
			e.accessed("200", 1)
			e.notProbe("/app")
			e.close()
			if s := e.guard.Snapshot(); len(s.Probes) > 0 || len(s.LastSeen) > 0 || e.layer.counted() && s.Closed[event.HTTP] != 1 {
				e.Errorf("probes %v, last seen %v, classes %s; want one http", s.Probes, s.LastSeen, nonZero(s.Closed))
			}
			if list := e.events.list(); len(list) > 0 {
				e.Errorf("event %s", describe(list[0]))
			}
		},
	}, {
		name: "trust/spoofed and failing", layers: everywhere, config: behindProxy,
		rule: "a client at a public address that claims to be a prober cannot cause a line by requesting an unknown path",
		run: func(e *env) {
			e.do(probetest.GoogleHC("/nowhere").With(fromInternet))
			e.close()
			if logged := e.log.logged(); len(logged) > 0 {
				e.Errorf("logged: %v", logged[0])
			}
		},
	}, {
		name: "trust/spoofed on a health route", layers: everywhere, config: behindProxy,
		rule: "every client may ask for health, but an untrusted one does not count as the prober that it claims to be",
		run: func(e *env) {
			if res := e.do(probetest.Kubelet("/readyz").With(fromInternet)); res.Status != 200 {
				e.Errorf("answered %d", res.Status)
			}
			e.until("it is counted", func() bool { return len(e.events.of(event.HTTPProbe)) == 1 })
			e.close()
			if ev := e.events.list()[0]; ev.Prober != "" || ev.Platform || ev.Client != netip.MustParseAddr("8.8.8.8") {
				e.Errorf("event %s client=%v", describe(ev), ev.Client)
			}
			if s := e.guard.Snapshot(); len(s.LastSeen) > 0 {
				e.Errorf("last seen: %v", s.LastSeen)
			}
		},
	}, {
		name: "trust/spoofed on the WebSocket path", layers: []Layer{Inner}, config: behindProxy,
		rule: "an untrusted client that claims to be a prober on a WebSocket path gets the harmless answer, and stays in the access log",
		run: func(e *env) {
			for range 2 {
				if res := e.do(probetest.ALB("/ws").With(fromInternet)); res.Status != 200 {
					e.Errorf("answered %d", res.Status)
				}
			}
			e.accessed("200", 2)
			if s := e.guard.Snapshot(); len(s.LastSeen) > 0 {
				e.Errorf("last seen: %v", s.LastSeen)
			}
		},
	}, {
		name: "trust/prober on the application's path", layers: everywhere,
		rule: "the application answers and logs a real prober on one of its routes",
		run: func(e *env) {
			if res := e.do(kubelet); res.Status != 200 || res.Body != "app" {
				e.Errorf("answered %d %q", res.Status, res.Body)
			}
			e.accessed("200", 1)
			e.notProbe("/app")
		},
	}, {
		name: "trust/probe path", layers: everywhere,
		rule:   "on one of Config.ProbePaths a known prober gets the health answer and is kept out of the access log; for other clients nothing changes",
		config: func(c *core.Config) { c.ProbePaths = []string{"/app"} },
		run: func(e *env) {
			if res := e.do(kubelet); res.Status != 200 || res.Body != "ok\n" {
				e.Errorf("the prober was answered %d %q", res.Status, res.Body)
			}
			e.accessed(none, 1)
			if res := e.do(probetest.Curl("/app")); res.Body != "app" {
				e.Errorf("another client got %d %q", res.Status, res.Body)
			}
			e.accessed("200", 1)
		},
	}, {
		name: "trust/handshake of a prober", layers: everywhere,
		rule: "a request to upgrade is never a probe, whatever its User-Agent is; its session has the prober's name",
		run: func(e *env) {
			s := e.open("/ws", probetest.Field{Name: "User-Agent", Value: "kube-probe/1.33"})
			e.echo(s, "hello")
			if _, err := s.Close(e.ctx, 1000); err != nil {
				e.Error(err)
			}
			e.became(Want{Class: event.SessionEnded, Status: 101, prober: "kubelet", end: "closed", code: 1000}, 1)
			e.accessed("101", 1)
			e.notProbe("/ws")
		},
	}, {
		name: "trust/trusted proxy", layers: everywhere, config: behindProxy,
		rule: "the client's address comes only from a trusted proxy, and the TCP peer is always logged",
		run: func(e *env) {
			e.do(probetest.BadKey("/ws").With(probetest.Field{Name: "X-Forwarded-For", Value: "6.6.6.6, 8.8.8.8"}))
			e.until("it is logged", func() bool { return len(e.log.logged()) == 1 })
			if a := e.log.logged()[0].attrs; a["client"] != "8.8.8.8" || !strings.HasPrefix(a["remote"], "127.0.0.1:") || a["forwarded"] != "" {
				e.Errorf("the line says client=%q remote=%q forwarded=%q", a["client"], a["remote"], a["forwarded"])
			}
		},
	}, {
		name: "trust/untrusted proxy", layers: everywhere,
		rule: "X-Forwarded-For from an untrusted peer is a claim, and logged as one",
		run: func(e *env) {
			e.do(probetest.BadKey("/ws").With(fromInternet))
			e.until("it is logged", func() bool { return len(e.log.logged()) == 1 })
			if a := e.log.logged()[0].attrs; a["client"] != "" || !strings.Contains(a["forwarded"], "8.8.8.8") {
				e.Errorf("the line says client=%q forwarded=%q", a["client"], a["forwarded"])
			}
		},
	}, {
		name: "trust/is probe, before and after", layers: everywhere,
		rule: "IsProbe and Quiet return the same before and after the chain, from the first request on",
		run: func(e *env) {
			e.do(probetest.Curl("/readyz"))
			e.do(probetest.Kubelet("/healthz"))
			e.do(probetest.Request{Method: "POST", Path: "/livez", Header: []probetest.Field{{Name: "Content-Length", Value: "0"}}})
			e.do(probetest.Curl("/app"))
			e.do(kubelet)
			e.do(probetest.BadKey("/ws"))
			e.scenario("handshake-valid", 1)
			e.close()
			want := map[string]bool{"/readyz": true, "/healthz": true, "/livez": true, "/app": false, "/ws": false}
			for _, a := range e.answers() {
				if probe, known := want[a.path]; known && (a.before != probe || a.after != probe) {
					e.Errorf("%s: a probe before the chain: %v, after it: %v, want %v", a.path, a.before, a.after, probe)
				}
			}
		},
	}, {
		name: "trust/nothing echoed", layers: []Layer{Serve, Middleware},
		rule: "a refusal is short and constant: it echoes no byte of the peer, and the log quotes and cuts what the peer sent",
		run: func(e *env) {
			const secret = "s3cr3t"
			long := strings.Repeat(secret+"\x01", 100)
			f := func(n, v string) probetest.Field { return probetest.Field{Name: n, Value: v} }
			path := "/ws?" + secret
			for name, pair := range map[string][2]probetest.Request{
				"version":  {probetest.Version8(path), probetest.WebSocket(path).Without("Sec-WebSocket-Version").With(f("Sec-WebSocket-Version", secret))},
				"key":      {probetest.BadKey(path), probetest.NoKey(path).With(f("Sec-WebSocket-Key", secret))},
				"origin":   {probetest.Foreign(path), probetest.WebSocket(path).With(f("Origin", "https://"+secret+".example"))},
				"upgrade":  {probetest.PlainGet(path), probetest.PlainGet(path).With(f("Upgrade", secret), f("Cookie", secret))},
				"protocol": {probetest.BadKey(path), probetest.BadKey(path).With(f("Sec-WebSocket-Protocol", secret), f("User-Agent", secret))},
			} {
				a, b := e.do(pair[0]), e.do(pair[1])
				if a.Status != b.Status || a.Body != b.Body || len(a.Body) > 200 || a.Body == "" {
					e.Errorf("%s: answers %d %q and %d %q differ or are not short", name, a.Status, a.Body, b.Status, b.Body)
				}
				for field, values := range b.Header {
					if strings.Contains(strings.Join(values, ","), secret) {
						e.Errorf("%s: the answer's %s is %q", name, field, values)
					}
				}
			}
			e.do(probetest.WebSocket("/nowhere/" + strings.ReplaceAll(long, "\x01", "%0A")))
			e.close()
			for _, l := range e.log.all() {
				for k, v := range l.attrs {
					if k == "stack" || k == "samples" {
						continue
					}
					if k == "path" && len(v) > 1000 || strings.ContainsAny(v, "\x01\n\r") {
						e.Errorf("the line says %s=%q", k, v)
					}
				}
			}
		},
	}}
}

// notProbe checks that no middleware saw a probe on path.
func (e *env) notProbe(path string) {
	e.Helper()
	for _, a := range e.answers() {
		if a.path == path && (a.before || a.after) {
			e.Errorf("%s: a probe before the chain: %v, after it: %v; want neither", path, a.before, a.after)
		}
	}
}

// answers are the calls of [Setup.Asked].
func (e *env) answers() []asked {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]asked(nil), e.asked...)
}
