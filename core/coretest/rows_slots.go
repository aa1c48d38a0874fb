package coretest

import (
	"strconv"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/probetest"
)

// slotRows: Config.MaxSessions.
func slotRows() []row {
	one := func(c *core.Config) { c.MaxSessions = 1 }
	return []row{{
		name: "slots/one above the limit", layers: everywhere, config: one, sees: []kind{{event.HandshakeRefused, event.ReasonSaturated}},
		rule: "one session above Config.MaxSessions is refused with 503 and Retry-After, with every library: by its route before the library is called, or by the library's 101; a session that ends makes room",
		run: func(e *env) {
			n := 0
			for _, path := range []string{"/ws", "/own", "/bare"} {
				held := e.openSoon(path)
				e.echo(held, "hello")
				for _, other := range []string{"/ws", "/own", "/bare"} {
					n++
					res := e.do(probetest.WebSocket(other))
					if after, err := strconv.Atoi(res.Header.Get("Retry-After")); res.Status != 503 || err != nil || after < 1 {
						e.Errorf("while %s has a session %s is answered %d with Retry-After %q", path, other, res.Status, res.Header.Get("Retry-After"))
					}
				}
				e.echo(held, "still here")
				if _, err := held.Close(e.ctx, 1000); err != nil {
					e.Error(err)
				}
			}
			e.until("each refusal is counted", func() bool {
				for _, h := range e.guard.Snapshot().Handshakes {
					if h.Result == "refused" && h.Reason == event.ReasonSaturated {
						return h.N >= uint64(n)
					}
				}
				return false
			})
			access := 0
			for _, l := range e.access.lines() {
				if l[:4] != "503 " && l[:4] != "101 " {
					e.Errorf("the access log says %q", l)
				}
				access++
			}
			if access == 0 {
				e.Error("the access log is empty")
			}
		},
	}, {
		name: "slots/what cannot become a session", layers: everywhere, config: one,
		rule: "a request that cannot become a session, and one that ends as something else, takes no place of Config.MaxSessions",
		run: func(e *env) {
			for _, path := range []string{"/ws", "/own", "/bare", SharedPath, "/fail", "/forbidden", "/nowhere", "/promise"} {
				for _, r := range []probetest.Request{
					probetest.WebSocket(path), probetest.NoUpgrade(path), probetest.HTTP10(path), probetest.BadKey(path),
					probetest.PlainGet(path), posted(path),
				} {
					e.do(r)
				}
			}
			s := e.openSoon("/ws")
			e.echo(s, "hello")
			if _, err := s.Close(e.ctx, 1000); err != nil {
				e.Error(err)
			}
		},
	}, {
		name: "slots/slow requests", layers: everywhere, config: one,
		rule: "requests in progress that can never become sessions, such as a POST with a Sec-WebSocket-Key and no body, leave the places to others",
		run: func(e *env) {
			for _, path := range []string{SharedPath, HealthPath, "/nowhere"} {
				r := posted(path).With(probetest.Field{Name: "Content-Length", Value: "100"})
				c := e.dial()
				if _, err := c.Write(r.Bytes(e.target)); err != nil {
					e.Fatal(err)
				}
				defer func() { _ = c.Close() }()
			}
			s := e.open("/ws")
			e.echo(s, "hello")
			if _, err := s.Close(e.ctx, 1000); err != nil {
				e.Error(err)
			}
		},
	}}
}

// posted is a handshake with POST.
func posted(path string) probetest.Request {
	r := probetest.WebSocket(path)
	r.Method = "POST"
	return r
}

// openSoon opens a session as soon as there is room for it.
func (e *env) openSoon(path string) (s *probetest.Session) {
	e.Helper()
	t := e.target
	t.Path = path
	e.until("there is room for a session on "+path, func() bool {
		e.opened++
		var err error
		s, _, err = probetest.Open(e.ctx, t)
		return err == nil
	})
	return s
}
