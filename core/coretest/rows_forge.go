package coretest

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/probetest"
)

// forgeries are values that would end a log line or begin another, look like an attribute,
// or control the terminal of the reader.
var forgeries = []string{
	"\nlevel=ERROR msg=forged class=session",
	"\r\nlevel=ERROR msg=forged\r\n",
	"\rlevel=ERROR msg=forged",
	"%0Alevel=ERROR%20msg=forged%0D%1B%5B2J",
	"x class=session forged=1",
	`x" class=session forged="1`,
	`x","class":"session","forged":"1`,
	`x\" forged=\"1\n`,
	"\x1b[2J\x1b]0;forged\x07\x1b[31m",
	"\u009b31m\u0085",                 // C1 controls
	"\x9b31m\xff\xfe\xc0\xaf\xed\xa0", // and bytes that are not UTF-8
	"\u202egnp.\u2066\u2028\u2029\ufeff",
	"\x00\x08\x7f\t",
}

// forgers are the places where a client may send any value.
var forgers = map[string]func(string) probetest.Request{
	"method":       func(s string) probetest.Request { return probetest.ByMethod("GET"+s, "/ws") },
	"path":         func(s string) probetest.Request { return probetest.WebSocket("/nowhere/" + s) },
	"escaped path": func(s string) probetest.Request { return probetest.WebSocket("/nowhere/" + escaped(s)) },
	"query":        func(s string) probetest.Request { return probetest.BadKey("/ws?" + s) },
	"protocol":     func(s string) probetest.Request { return probetest.Request{Path: "/ws", Proto: "HTTP/1.1" + s} },
	"host":         func(s string) probetest.Request { r := probetest.BadKey("/ws"); r.Host = s; return r },
	"name of a field": func(s string) probetest.Request {
		return probetest.BadKey("/ws").With(probetest.Field{Name: s, Value: "x"})
	},
	"fields":           forgedFields,
	"agent":            func(s string) probetest.Request { return agent(probetest.BadKey("/ws"), s) },
	"key":              replacedField("Sec-WebSocket-Key"),
	"version":          replacedField("Sec-WebSocket-Version"),
	"upgrade":          replacedField("Upgrade"),
	"connection":       replacedField("Connection"),
	"health's query":   func(s string) probetest.Request { return probetest.Kubelet("/readyz?verbose&" + s) },
	"health's agent":   func(s string) probetest.Request { return agent(probetest.Kubelet("/readyz"), "kube-probe/"+s) },
	"failing probe":    func(s string) probetest.Request { return probetest.GoogleHC("/nowhere/" + s) },
	"socket's prober":  func(s string) probetest.Request { return agent(probetest.ALB("/ws"), "ELB-HealthChecker/2.0"+s) },
	"nothing but this": func(s string) probetest.Request { return probetest.Request{Method: s, Path: s, Proto: s, Host: s} },
}

// forgedFields puts the value into every field that a client sets freely.
func forgedFields(s string) probetest.Request {
	r := probetest.BadKey("/ws")
	for _, name := range []string{
		"User-Agent", "Origin", "X-Forwarded-For", "Forwarded", "Via", "Cookie", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions",
	} {
		r = r.With(probetest.Field{Name: name, Value: s})
	}
	return r
}

func replacedField(name string) func(string) probetest.Request {
	return func(s string) probetest.Request {
		return probetest.WebSocket("/ws").Without(name).With(probetest.Field{Name: name, Value: s})
	}
}

func agent(r probetest.Request, name string) probetest.Request {
	return r.Without("User-Agent").With(probetest.Field{Name: "User-Agent", Value: name})
}

// escaped is s with every byte escaped, which servers undo (RFC 3986 §2.1).
func escaped(s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, "%%%02X", s[i])
	}
	return b.String()
}

// logAll makes every failure a line of its own.
func logAll(c *core.Config) { c.Collapse = time.Nanosecond }

// forgeRows: peers that attack the log.
func forgeRows() []row {
	const rule = "whatever a peer sends and in whatever place, it forges no line and controls no terminal; lines are short, and labels come from a closed set"
	return []row{
		{
			name: "forge/requests", layers: []Layer{Serve, Middleware}, rule: rule, config: logAll,
			run: func(e *env) {
				for _, request := range forgers {
					for _, value := range forgeries {
						// To a server it may be the start of a request; it then waits for the rest.
						e.times(1, func(ctx context.Context, t probetest.Target) (probetest.Result, error) {
							return probetest.Send(ctx, t, request(value).Bytes(t), probetest.HalfClose)
						})
					}
				}
				e.close()
				e.unforged(len(forgers))
			},
		}, {
			name: "forge/through a trusted proxy", rule: rule, config: func(c *core.Config) { logAll(c); behindProxy(c) },
			run: func(e *env) {
				for _, value := range forgeries {
					e.do(forgedFields(value))
					e.do(forgedFields("8.8.8.8, " + value))
				}
				e.close()
				e.unforged(len(forgeries))
			},
		}, {
			name: "forge/bytes", layers: exactly, rule: rule, config: logAll,
			run: func(e *env) {
				for _, value := range forgeries {
					for _, raw := range []string{value, value + "\r\n\r\n", "PROXY TCP4 " + value + "\r\n"} {
						e.times(1, func(ctx context.Context, t probetest.Target) (probetest.Result, error) {
							return probetest.Send(ctx, t, []byte(raw), probetest.FIN)
						})
						e.times(1, func(ctx context.Context, t probetest.Target) (probetest.Result, error) {
							return probetest.SendTCP(ctx, t, []byte(raw), probetest.HalfClose)
						})
					}
				}
				e.close()
				e.unforged(len(forgeries))
			},
		}, {
			name: "forge/tls", ports: secure, layers: attached, rule: rule, config: logAll,
			run: func(e *env) {
				for _, value := range forgeries {
					e.times(1, func(ctx context.Context, t probetest.Target) (probetest.Result, error) {
						return probetest.Result{}, offer(ctx, t, value)
					})
				}
				e.close()
				e.unforged(len(forgeries))
			},
		}, {
			name: "forge/goodbyes", layers: everywhere, rule: rule, config: logAll,
			run: func(e *env) {
				for i, value := range forgeries {
					s := e.open("/ws")
					e.echo(s, "hello") // its session is open now, on every layer
					code := []int{1000, 1002, 3000, 4999, 999, 65535}[i%6]
					if err := s.Send(e.ctx, probetest.CloseFrame(code, strings.ToValidUTF8(value, "?"))); err != nil {
						e.Error(err)
					}
					if _, err := s.Vanish(probetest.FIN); err != nil {
						e.Error(err)
					}
				}
				e.close()
				e.unforged(len(forgeries))
			},
		}, {
			name: "forge/sizes", layers: []Layer{Serve, Middleware}, config: logAll,
			rule: "a value as long as the server accepts, and a longer one, cause one class and a short line",
			run: func(e *env) {
				var all []probetest.Request
				for _, size := range []int{3 << 10, 900 << 10, 2 << 20} {
					for _, place := range []string{"path", "host", "agent"} {
						all = append(all, forgers[place](strings.Repeat(`A"`, size/2)))
					}
				}
				var next atomic.Int64
				e.atOnce(len(all), func(ctx context.Context, t probetest.Target) (probetest.Result, error) {
					return probetest.Do(ctx, t, all[next.Add(1)-1])
				})
				e.close()
				e.unforged(1)
				if s := e.guard.Snapshot(); e.layer.counted() && s.Closed[event.BadRequest] == 0 {
					e.Errorf("nothing was refused: %s", nonZero(s.Closed))
				}
			},
		},
	}
}

// offer begins a TLS handshake that offers a protocol of that name (RFC 7301), which the
// server does not know.
func offer(ctx context.Context, t probetest.Target, name string) error {
	nc, err := new(net.Dialer).DialContext(ctx, "tcp", t.Addr)
	if err != nil {
		return err
	}
	defer func() { _ = nc.Close() }()
	config := t.TLS.Clone()
	config.ServerName, config.NextProtos = "localhost", []string{name}
	if err := tls.Client(nc, config).HandshakeContext(ctx); err == nil {
		return fmt.Errorf("the server speaks %q", name)
	}
	return nil
}

// maxLine is how long a line may be. It has at most a dozen attributes of 200 bytes and a
// remedy, or three samples; a handler that escapes quoted values again up to doubles it.
const maxLine = 4 << 10

// unforged checks the labels, and that the log has so many lines and is sound as the text
// handler and the JSON handler of log/slog write it.
func (e *env) unforged(atLeast int) {
	e.Helper()
	all := e.log.all()
	if len(all) < atLeast {
		e.Errorf("%d lines, want at least %d: this row shows nothing", len(all), atLeast)
	}
	for _, l := range all {
		for _, how := range handlers {
			if wrong := how.wrong(l); wrong != "" {
				e.Errorf("%s: %s", how.name, wrong)
			}
		}
	}
	s := e.guard.Snapshot()
	known := append(core.Probers(), "unknown")
	for _, p := range s.Probes {
		if !slices.Contains(known, p.Prober) {
			e.Errorf("there are probes of %q", p.Prober)
		}
	}
	for name := range s.LastSeen {
		if !slices.Contains(known, name) {
			e.Errorf("last seen: %q", name)
		}
	}
	for _, ended := range s.SessionsEnded {
		if !slices.Contains([]string{"closed", "vanished", "server", "timeout", "panic", "ended"}, ended.End) ||
			!slices.Contains([]string{"1000", "1001", "1002", "1003", "1005", "1006", "1007", "1008", "1009", "1010", "1011", "1012", "1013", "1014", "1015", "other", "unknown"}, ended.Code) {
			e.Errorf("sessions ended: %+v", ended)
		}
	}
}
