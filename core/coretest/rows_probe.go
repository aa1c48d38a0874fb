package coretest

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/probetest"
)

// often is how many times each prober connects in its row.
const often = 20

// probeRows: probers that send no request.
func probeRows() []row {
	const rule = "a probe is counted and logged once at Info"
	probe := func(name, does string, c event.Class) fact {
		return fact{
			row:  row{name: "probe/" + name, rule: rule, layers: attached},
			does: does, times: often, want: Want{Class: c, Logged: LogOnce, access: none},
		}
	}
	onTLS := func(f fact) fact { f.ports = secure; return f }
	local := func(name, does string) fact {
		f := probe(name, does, event.ProxyProbe)
		f.rule, f.layers = "PROXY v2 LOCAL alone is a balancer's own check", exactly
		f.want.Status = unsaid
		return f
	}
	idle := fact{
		row: row{name: "probe/silence", layers: attached, headTimeout: silence,
			rule: "a connection that is silent until the server's limit is not a probe: idle_connect, logged once"},
		does: "tcp-connect-silent", atOnce: 2,
		want: Want{Class: event.IdleConnect, Logged: LogFull, Level: slog.LevelInfo, access: none},
	}
	return append(asRows([]fact{
		idle,
		probe("connect, fin", "tcp-connect-fin", event.TCPProbe),
		probe("connect, rst", "tcp-connect-rst", event.TCPProbe),
		onTLS(probe("tls handshake, fin", "tls-handshake-fin", event.TLSProbe)),
		onTLS(probe("tls handshake, rst", "tls-handshake-rst", event.TLSProbe)),
		local("proxy v2 local, fin", "proxy-v2-local-fin"),
		local("proxy v2 local, rst", "proxy-v2-local-rst"),
	}), preambleRows()...)
}

// preambleRows: PROXY preambles other than LOCAL. It is a race whether the peer leaves
// before the answer is written, so two classes are right. Each is logged once.
func preambleRows() (rows []row) {
	for _, does := range []string{"proxy-v1-fin", "proxy-v1-rst", "proxy-v1-unknown-fin", "proxy-v1-unknown-rst", "proxy-v2-fin"} {
		rows = append(rows, row{
			name: "probe/" + does, layers: exactly,
			rule: "a preamble alone is a probe if its sender left before the answer, else the wrong protocol; each is logged once",
			run: func(e *env) {
				e.scenario(does, often)
				e.until("there are events", func() bool { return len(e.events.list()) >= often })
				e.close()
				for _, ev := range e.events.list() {
					if ev.Class != event.ProxyProbe && (ev.Class != event.WrongProtocol || ev.Reason != event.ReasonProxyPreamble) {
						e.Errorf("event %s", describe(ev))
					}
				}
				if got := len(e.events.list()); got != often {
					e.Errorf("%d events, want %d", got, often)
				}
				perClass := make(map[string]int)
				for _, l := range e.log.logged() {
					perClass[l.attrs["class"]]++
				}
				if perClass["proxy_probe"] > 1 || perClass["wrong_protocol"] > 2 {
					e.Errorf("lines per class: %v, want at most 1 of the first probe and 2 of the wrong protocol", perClass)
				}
			},
		})
	}
	return rows
}

// healthRows: probers that use HTTP.
func healthRows() []row {
	const rule = "a known prober on a health route is answered, counted under its name, logged once, and kept out of the access log"
	answered := func(prober string) Want {
		return Want{Class: event.HTTPProbe, Logged: LogOnce, Status: 200, prober: prober, access: none}
	}
	health := func(does, prober string) fact {
		return fact{row: row{name: "health/" + does, rule: rule, layers: everywhere}, does: does, times: often, want: answered(prober)}
	}
	onSocket := func(does, prober, path string) fact {
		f := health(does, prober)
		f.name += path
		f.rule = "a known prober that is configured with the path of Handler gets the health answer there, with every method, and no cache may keep it"
		f.path, f.want.access = path, first
		f.also = func(e *env, res probetest.Result) {
			hasField("Cache-Control", "no-store")(e, res)
			hasField("Vary", "User-Agent")(e, res)
		}
		return f
	}
	h2 := fact{
		row:  row{name: "health/http 2", rule: "health is answered over HTTP/2 as over HTTP/1", ports: secure, layers: everywhere, needs: HTTP2},
		want: answered("kubelet"),
		do: func(ctx context.Context, t probetest.Target) (probetest.Result, error) {
			return overHTTP2(ctx, t, "/readyz", http.Header{"User-Agent": {"kube-probe/1.33"}})
		},
	}
	failing := fact{
		row: row{name: "health/failing", layers: everywhere,
			rule: "a known prober that gets an error while the server is ready will take it out of service: Warn, with the remedy"},
		want: Want{Class: event.ProbeFailing, Logged: LogFull, Level: slog.LevelWarn, Status: 404, prober: "google-lb"},
		do: func(ctx context.Context, t probetest.Target) (probetest.Result, error) {
			return probetest.Do(ctx, t, probetest.GoogleHC("/nowhere"))
		},
	}
	rows := asRows([]fact{
		failing,
		health("health-kubelet", "kubelet"), health("health-alb", "aws-elb"), health("health-google", "google-lb"),
		health("health-route53", "aws-route53"), health("health-front-door-head", "azure-front-door"),
		health("health-haproxy-options", ""), health("health-tengine", ""), health("health-keepalived", "keepalived"),
		health("health-consul", "consul"), health("health-envoy", "envoy"), health("health-curl", ""),
		onSocket("websocket-path-alb", "aws-elb", "/ws"),
		h2,
	})
	return append(rows, methodRows()...)
}

// methodRows: the methods of the health routes.
func methodRows() []row {
	return []row{{
		name: "health/head on a websocket path", layers: everywhere,
		rule: "once a route of Handler is known a prober is answered there with HEAD too, even if the router has it only for GET",
		run: func(e *env) {
			s := e.open("/ws")
			if _, err := s.Close(e.ctx, 1000); err != nil {
				e.Error(err)
			}
			if res := e.do(probetest.FrontDoor("/ws")); res.Status != 200 {
				e.Errorf("HEAD /ws was answered %d, want 200", res.Status)
			}
			e.until("the prober is counted", func() bool { return len(e.events.of(event.HTTPProbe)) == 1 })
			e.accessed("101", 1)
		},
	}, {
		name: "health/methods", layers: everywhere,
		rule: "HEAD is like GET without a body, OPTIONS is answered for HAProxy, other methods get 405 with Allow",
		run: func(e *env) {
			for _, path := range []string{"/livez", "/readyz", "/startupz", "/healthz"} {
				for _, method := range []string{"GET", "HEAD", "OPTIONS", "POST", "DELETE"} {
					res := e.do(probetest.Request{Method: method, Path: path})
					want, body := 200, "ok\n"
					if method == "POST" || method == "DELETE" {
						want = 405
						if allow := res.Header.Get("Allow"); !strings.Contains(allow, "GET") || !strings.Contains(allow, "HEAD") {
							e.Errorf("%s %s: Allow is %q", method, path, allow)
						}
					}
					if method == "HEAD" {
						body = ""
					}
					if res.Status != want || want == 200 && res.Body != body {
						e.Errorf("%s %s: %d %q, want %d %q", method, path, res.Status, res.Body, want, body)
					}
				}
			}
			e.accessed(none, 0)
		},
	}}
}

// overHTTP2 requests path on a new connection.
func overHTTP2(ctx context.Context, t probetest.Target, path string, h http.Header) (probetest.Result, error) {
	tr := &http.Transport{TLSClientConfig: t.TLS.Clone(), Protocols: new(http.Protocols)}
	tr.Protocols.SetHTTP2(true)
	defer tr.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+t.Addr+path, nil)
	if err != nil {
		return probetest.Result{}, err
	}
	req.Header = h
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return probetest.Result{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	return probetest.Result{Proto: resp.Proto, Status: resp.StatusCode, Header: resp.Header}, nil
}

// transportOn speaks HTTP/2 on c.
func transportOn(c net.Conn) *http.Transport {
	tr := &http.Transport{
		DialTLSContext: func(context.Context, string, string) (net.Conn, error) { return c, nil },
		Protocols:      new(http.Protocols),
	}
	tr.Protocols.SetHTTP2(true)
	return tr
}
