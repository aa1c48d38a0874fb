package coretest

import (
	"context"
	"net/http"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/probetest"
)

// mixedRows: connections that do more than one thing.
func mixedRows() []row {
	after := func(name, rule string, c event.Class, events int, requests ...probetest.Request) row {
		return row{
			name: "mixed/" + name, rule: rule, layers: attached,
			run: func(e *env) {
				e.times(1, func(ctx context.Context, t probetest.Target) (probetest.Result, error) {
					var raw []byte
					for _, r := range requests {
						raw = append(raw, r.Bytes(t)...)
					}
					return probetest.Exchange(ctx, t, raw, probetest.HalfClose)
				})
				e.close()
				if s := e.guard.Snapshot(); s.Closed[c] != 1 {
					e.Errorf("classes: %s, want one %v", nonZero(s.Closed), c)
				}
				if got := len(e.events.list()); got != events {
					e.Errorf("%d events, want %d", got, events)
				}
			},
		}
	}
	app, health := probetest.Request{Path: "/app"}, probetest.Request{Path: "/readyz"}
	nowhere := probetest.WebSocket("/nowhere")
	return []row{
		after("health, application", "one ordinary request makes a connection http", event.HTTP, 1, health, app),
		after("health, health", "a connection with only health answers is http_probe", event.HTTPProbe, 2, health, health),
		after("application, refused", "a refused handshake decides the class of its connection", event.HandshakeRefused, 1, app, nowhere),
		after("application, panic", "a panic decides the class of its connection", event.HandlerPanic, 1, app, probetest.Request{Path: "/panic"}),
		{
			name: "mixed/http 2", ports: secure, layers: attached, needs: HTTP2,
			rule: "many requests over one HTTP/2 connection are one connection, with the same classes",
			run: func(e *env) {
				c := e.dial("h2")
				tr := transportOn(c)
				for _, path := range []string{"/readyz", "/app", "/key/one", "/app"} {
					req, err := http.NewRequestWithContext(e.ctx, http.MethodGet, "https://"+e.target.Addr+path, nil)
					if err != nil {
						e.Fatal(err)
					}
					resp, err := tr.RoundTrip(req)
					if err != nil {
						e.Fatal(err)
					}
					if _ = resp.Body.Close(); resp.StatusCode != 200 || resp.ProtoMajor != 2 {
						e.Errorf("%s: %s over %s", path, resp.Status, resp.Proto)
					}
				}
				tr.CloseIdleConnections()
				e.close()
				if s := e.guard.Snapshot(); s.Closed[event.HTTP] != 1 {
					e.Errorf("classes: %s", nonZero(s.Closed))
				}
			},
		}, {
			name: "mixed/http 2, nothing asked", ports: secure, layers: attached, needs: HTTP2,
			rule: "a prober that negotiates HTTP/2 and closes is a tls_probe",
			run: func(e *env) {
				for range 3 {
					_ = e.dial("h2").Close()
				}
				e.became(Want{Class: event.TLSProbe, Logged: LogOnce}, 3)
			},
		},
	}
}
