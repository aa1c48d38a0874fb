package coretest

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/probetest"
)

// ownShutdown are the layers on which the application serves and shuts down itself.
var ownShutdown = []Layer{AttachListener, Attach}

// serverRows: the life of servers, and what their end does.
func serverRows() []row {
	return []row{{
		name: "serve/says where", sees: nil,
		rule: "the first line says where Serve listens",
		run: func(e *env) {
			e.get("/app", 200, "app")
			e.until("a line", func() bool { return len(e.log.all()) > 0 })
			if l := e.log.all()[0]; l.level != slog.LevelInfo || l.msg != "serving" || l.attrs["address"] != e.target.Addr {
				e.Errorf("the first line is %v, want serving with address=%s", l, e.target.Addr)
			}
		},
	}, {
		name:   "drain/notice",
		rule:   "a platform goes on sending for 1.5 seconds after SIGTERM: no handshake is lost",
		config: func(c *core.Config) { c.Drain.Fall = 0 },
		run: func(e *env) {
			e.do(probetest.Kubelet("/livez")) // so it does not necessarily ask /readyz
			var wg sync.WaitGroup
			wg.Go(e.stop)
			<-e.guard.Draining()
			send := time.NewTicker(100 * time.Millisecond)
			defer send.Stop()
			for range 15 {
				s := e.open("/ws")
				e.echo(s, "hello")
				if _, err := s.Close(e.ctx, 1000); err != nil {
					e.Error(err)
				}
				<-send.C
			}
			wg.Wait()
		},
	}, {
		name: "drain/shutdown waits for no session", layers: ownShutdown, needs: EndOfSession,
		rule: "the application's own shutdown takes no longer than without the guard: it waits for no session",
		run: func(e *env) {
			s := e.open("/bare")
			e.echo(s, "hello")
			e.say(nil) // nor for a connection without a request yet
			e.accepted()
			begin := time.Now()
			e.stop()
			if took := time.Since(begin); took > quickly {
				e.Errorf("the shutdown took %v", took)
			}
			e.echo(s, "and it goes on")
			for _, l := range e.log.all() {
				if l.level >= slog.LevelWarn {
					e.Errorf("there is nothing to warn of: %v", l)
				}
			}
			if _, err := s.Close(e.ctx, 1000); err != nil {
				e.Error(err)
			}
		},
	}, {
		name: "drain/shutdown cuts nothing", layers: ownShutdown, needs: EndOfSession, sees: []kind{{class: event.SessionEnded}},
		rule:   "sessions that outlive the application's own shutdown go on past Drain.Timeout, as without the guard; Guard.Drain closes them",
		config: func(c *core.Config) { c.Drain.Timeout = 100 * time.Millisecond },
		run: func(e *env) {
			s := e.open("/bare")
			e.echo(s, "hello")
			e.stop()
			e.until("the drain is reported", func() bool {
				return slices.ContainsFunc(e.log.all(), func(l line) bool {
					return l.msg == "drained" && l.attrs["sessions"] == "1" && l.attrs["dropped"] == "0" && l.attrs["open"] == "1"
				})
			})
			e.echo(s, "and it goes on")
			if r, err := e.guard.Drain(e.ctx); err != nil || r.Sessions != 1 || r.Dropped != 1 || r.Closed != 0 {
				e.Errorf("the report is %+v, %v; want one dropped", r, err)
			}
			if _, err := s.Read(e.ctx); err == nil || e.ctx.Err() != nil {
				e.Errorf("the session goes on after Guard.Drain: %v", err)
			}
			_, _ = s.Vanish(probetest.FIN)
		},
	}, {
		name: "drain/two servers", layers: ownShutdown, sees: []kind{{class: event.SessionEnded}},
		rule: "if one guard has two servers, the shutdown of one says goodbye to its own sessions, and the other stays ready; the shutdown of the last is the drain",
		run: func(e *env) {
			mine, first := e.open("/ws"), e.shutdown
			e.echo(mine, "hello")
			e.start()
			others := e.open("/ws")
			e.echo(others, "hello")
			silent := e.say(nil)
			goodbye := func(s *probetest.Session, shutdown func()) {
				var wg sync.WaitGroup
				wg.Go(shutdown)
				if f, err := s.Read(e.ctx); err != nil || f.Code() != 1001 {
					e.Errorf("the session got %v and code %d, want a close frame of 1001", err, f.Code())
				}
				_, _ = s.Close(e.ctx, 1001)
				wg.Wait()
			}
			goodbye(mine, func() {
				ctx, cancel := context.WithTimeout(e.ctx, patience)
				defer cancel()
				if err := first(ctx); err != nil {
					e.Errorf("the shutdown of the first: %v", err)
				}
			})
			e.until("its own drain is reported", func() bool {
				return slices.ContainsFunc(e.log.all(), func(l line) bool {
					return l.msg == "drained" && l.attrs["sessions"] == "1" && l.attrs["closed"] == "1" && l.attrs["server"] != ""
				})
			})
			e.get("/readyz", 200, "")
			e.echo(others, "still here")
			answer := make([]byte, 12)
			if _, err := silent.Write(probetest.Request{Path: "/app"}.Bytes(e.target)); err != nil {
				e.Error(err)
			}
			if _, err := io.ReadFull(silent, answer); err != nil || string(answer[9:]) != "200" {
				e.Errorf("a connection to the other server that had asked nothing yet is answered %q, %v", answer, err)
			}
			_ = silent.Close()
			s := e.open("/ws")
			e.echo(s, "hello")
			if _, err := s.Close(e.ctx, 1000); err != nil {
				e.Error(err)
			}
			select {
			case <-e.guard.Draining():
				e.Error("the guard drains, and a server of its goes on")
			default:
			}
			goodbye(others, e.stop)
			<-e.guard.Draining()
		},
	}}
}
