package coretest

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/probetest"
)

// sessionRows: how sessions end.
func sessionRows() (rows []row) {
	for _, path := range []string{"/ws", "/own", "/bare"} {
		vanish := func(name, does string) row {
			return fact{
				row: row{name: "session/" + name + path, layers: everywhere,
					rule: "a client that vanishes is not an error: no line, no 500, one line with 101 in the access log"},
				does: does, path: path,
				want: Want{Class: event.SessionEnded, Status: 101, end: "vanished", code: 1006, access: "101"},
			}.asRow()
		}
		rows = append(rows, vanish("vanish, fin", "session-vanish-fin"), vanish("vanish, rst", "session-vanish-rst"))
	}
	early := func(path string) row {
		return row{
			name: "session/handler returns early" + path, layers: everywhere, needs: EndOfSession, sees: []kind{{class: event.SessionEnded}},
			rule: "a handler may return while its goroutine keeps the session, which is open until its connection ends",
			run: func(e *env) {
				s := e.open(path)
				e.echo(s, "one")
				e.echo(s, "two")
				if got := e.guard.Snapshot(); got.SessionsOpen != 1 || e.layer.counted() && got.Open != 1 {
					e.Errorf("open: %d sessions on %d connections, want 1 and 1", got.SessionsOpen, got.Open)
				}
				if _, err := s.Close(e.ctx, 1000); err != nil {
					e.Error(err)
				}
				e.until("the session has ended", func() bool { return len(e.events.of(event.SessionEnded)) == 1 })
				e.close()
				if logged := e.log.logged(); len(logged) > 0 {
					e.Errorf("logged: %v", logged)
				}
			},
		}
	}
	rows = append(rows, fact{
		row: row{name: "session/hijacked", layers: attached, rule: "a connection that leaves HTTP without a handshake is hijacked, which is not a fault"},
		do:  getOnly("/hijack"),
		also: func(e *env, res probetest.Result) {
			if res.Body != HijackText {
				e.Errorf("the peer got %d %q", res.Status, res.Body)
			}
		},
		want: Want{Class: event.Hijacked, Status: unsaid},
	}.asRow())
	return append(rows, early("/own/early"), early("/bare/early"), row{
		name: "session/figures", layers: exactly,
		rule: "the end of a session has its duration and its bytes in both directions",
		run: func(e *env) {
			s := e.open("/ws")
			e.echo(s, strings.Repeat("x", 1000))
			if _, err := s.Close(e.ctx, 1000); err != nil {
				e.Error(err)
			}
			e.close()
			for _, ev := range e.events.of(event.SessionEnded) {
				if end := ev.Session; end.BytesIn < 1000 || end.BytesOut < 1000 || end.Duration <= 0 {
					e.Errorf("session: %+v", end)
				}
				if ev.Path != "/ws" || !ev.Remote.IsValid() {
					e.Errorf("event %s", describe(ev))
				}
			}
		},
	})
}

// panicRows: handlers that panic or fail.
func panicRows() (rows []row) {
	panicked := Want{Class: event.HandlerPanic, Logged: LogFull, Level: slog.LevelError, Status: 101, access: "101"}
	for _, at := range []struct{ path, end string }{
		{"/ws/panic", "Handler ends the session"},
		{"/own/panic", "the deferred Close ended the connection before the panic was seen"},
		{"/own/panic-open", "the guard closes the connection, which net/http never does after a hijack"},
	} {
		rows = append(rows, panicRow(at.path, "a panic in a session is one connection of one class, logged with its stack and hidden from the peer; "+at.end, everywhere, panicked))
	}
	for _, path := range []string{"/bare/panic", "/bare/panic-open"} {
		p := panicked
		p.access = "" // no layer is inside the access log
		rows = append(rows, panicRow(path, "the outermost layer sees a panic without Endpoint too", attached, p))
	}
	rows = append(rows, row{
		name: "panic/other sessions", layers: attached,
		rule: "a handler that panics, in a request or in a session, harms no other session, and the server goes on",
		run: func(e *env) {
			var stand []*probetest.Session
			for _, path := range []string{"/ws", "/own", "/bare"} {
				stand = append(stand, e.open(path))
			}
			for _, path := range []string{"/panic", "/ws/panic", "/own/panic", "/own/panic-open"} {
				e.target.Path = path
				run := openOnly
				if path == "/panic" {
					run = getOnly(path)
				}
				e.times(10, run)
			}
			stand = append(stand, e.open("/ws"))
			for _, s := range stand {
				e.echo(s, "still here")
				if _, err := s.Close(e.ctx, 1000); err != nil {
					e.Error(err)
				}
			}
			if e.layer == Attach {
				return // which side ended is not known everywhere
			}
			e.close()
			if s := e.guard.Snapshot(); s.Closed[event.HandlerPanic] != 40 || s.Closed[event.SessionEnded] != uint64(len(stand)) {
				e.Errorf("want 40 panics and %d sessions: %s", len(stand), nonZero(s.Closed))
			}
		},
	})
	ordinary := Want{Class: event.HandlerPanic, Logged: LogFull, Level: slog.LevelError}
	h2 := fact{
		row: row{name: "panic/http 2", rule: "the same over HTTP/2, where the server itself would write a line for each", ports: secure, layers: attached, needs: HTTP2},
		do: func(ctx context.Context, t probetest.Target) (probetest.Result, error) {
			if res, err := overHTTP2(ctx, t, "/panic", http.Header{}); err == nil && res.Status < 500 {
				return res, fmt.Errorf("answered %d", res.Status)
			}
			return probetest.Result{}, nil
		},
		want: ordinary,
	}
	rows = append(rows, h2.asRow(), lentRow())
	rows = append(rows, panicRow("/panic", "a panic of an ordinary handler is logged once, by the guard and not by the server too", attached, ordinary))
	for _, path := range []string{"/ws/error", "/own/error", "/bare/error"} {
		rows = append(rows, fact{
			row: row{name: "panic/error returned by " + path, layers: everywhere,
				rule: "an error returned after the hijack is the session's end: no line at Error, no 500 into the session, 101 in the access log"},
			do: openOnly, path: path,
			want: Want{Class: event.SessionEnded, Status: 101, access: "101"},
		}.errorRow())
	}
	return rows
}

// errorRow is asRow for sessions whose end differs by library.
func (f fact) errorRow() row {
	r := f.row
	r.sees = []kind{{class: f.want.Class}}
	if f.library() {
		r.needs = EndOfSession
	}
	r.run = func(e *env) {
		e.target.Path = f.path
		results := e.times(3, f.do)
		e.until("the sessions have ended", func() bool { return len(e.events.of(f.want.Class)) >= 3 })
		e.close()
		for _, ev := range e.events.of(f.want.Class) {
			if ev.Session.End != "ended" && ev.Session.End != "closed" {
				e.Errorf("the session ended %q, and it was the handler", ev.Session.End)
			}
		}
		for _, res := range results {
			if res.Status != 101 {
				e.Errorf("the peer was answered %d, not 101", res.Status)
			}
			if strings.Contains(res.Body, "HTTP/1.1") {
				e.Errorf("there is a second answer in the session: %q", res.Body)
			}
		}
		if logged := e.log.logged(); len(logged) > 0 {
			e.Errorf("%d lines, want none", len(logged))
		}
		if lines := e.server.lines(); len(lines) > 0 {
			e.Errorf("the server's log: %q", lines)
		}
		e.counted(f.want, 3)
		e.accessed(f.want.access, 3)
	}
	return r
}

func panicRow(path, rule string, layers []Layer, w Want) row {
	var needs Need
	if (fact{path: path}).library() {
		needs = EndOfSession
	}
	return row{
		name: "panic" + path, rule: rule, layers: layers, needs: needs, sees: []kind{{class: event.HandlerPanic}},
		run: func(e *env) {
			const n = 3
			e.target.Path = path
			run := openOnly
			if w.Status == 0 {
				run = getOnly(path)
			}
			for _, res := range e.times(n, run) {
				if strings.Contains(res.Body, "coretest:") {
					e.Errorf("the text of the panic went to the peer: %q", res.Body)
				}
			}
			e.became(w, n)
			e.accessed(w.access, n)
			for _, ev := range e.events.of(event.HandlerPanic) {
				if ev.Panic != any(PanicText) || !strings.Contains(string(ev.Stack), "goroutine") {
					e.Errorf("the event has panic %v and a stack of %d bytes", ev.Panic, len(ev.Stack))
				}
			}
			if logged := e.log.logged(); len(logged) > 0 && (!strings.Contains(logged[0].attrs["panic"], PanicText) || logged[0].attrs["stack"] == "") {
				e.Errorf("the line has no panic or no stack: %v", logged[0])
			}
		},
	}
}

// lentRow: a log that is slower than the requests.
func lentRow() row {
	var held sync.Map
	const text = "the-first-request-and-no-other"
	return row{
		name: "panic/its own text", layers: attached, sees: []kind{{class: event.HandlerPanic}},
		rule: "the value of a panic is logged as it was, even if the log is slow and the framework reuses the buffer of its text",
		config: func(c *core.Config) {
			s := &stuck{c.Logger.Handler(), make(chan struct{})}
			held.Store(c.Logger.Handler(), s.free)
			c.Logger = slog.New(s)
		},
		run: func(e *env) {
			const n = 10
			for range n {
				e.times(1, getOnly("/panic/lent/"+text))
				other := strings.Repeat("X", len("panic/lent/"+text)-len("key/"))
				e.get("/key/"+other, 200, "key "+other)
			}
			free, _ := held.LoadAndDelete(slog.Handler(e.log))
			close(free.(chan struct{}))
			e.close()
			events := e.events.of(event.HandlerPanic)
			if len(events) != n {
				e.Errorf("%d events, want %d", len(events), n)
			}
			for _, ev := range events {
				if got := fmt.Sprint(ev.Panic); got != text {
					e.Errorf("the observer got %q", got)
				}
			}
			for _, l := range e.log.logged() {
				if said := l.attrs["panic"] + l.attrs["samples"]; !strings.Contains(said, text) || strings.Contains(said, "XX") {
					e.Errorf("the log: %v", l)
				}
			}
		},
	}
}
