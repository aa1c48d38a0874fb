package coretest

import (
	"context"
	"log/slog"
	"strings"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/probetest"
)

// goneRows: clients that do not wait for the answer to their handshake.
func goneRows() (rows []row) {
	for _, path := range []string{"/ws", "/own", "/bare"} {
		for _, end := range []probetest.End{probetest.FIN, probetest.RST} {
			rows = append(rows, gone(path, end))
		}
	}
	return rows
}

// gone sends full handshakes and leaves at once, with end. It is a race what the server
// sees first, but often it cannot send its answer.
func gone(path string, end probetest.End) row {
	return row{
		name: "session/gone before the answer, " + end.String() + path, layers: exactly,
		rule: "a client that leaves before its handshake is answered is a vanished session or, if it could not be answered, a request: not a failure of the server",
		run: func(e *env) {
			const n = 40
			e.times(n, func(ctx context.Context, t probetest.Target) (probetest.Result, error) {
				return probetest.Send(ctx, t, probetest.WebSocket(path).Bytes(t), end)
			})
			e.close()
			s := e.guard.Snapshot()
			if got := s.Closed[event.SessionEnded] + s.Closed[event.HTTP]; got != n {
				e.Errorf("%d sessions and requests, want %d: %s", got, n, nonZero(s.Closed))
			}
			for _, l := range e.log.all() {
				if l.level >= slog.LevelWarn {
					e.Errorf("logged: %v", l)
				}
			}
			for _, l := range e.access.lines() {
				if !strings.HasPrefix(l, "101 ") {
					e.Errorf("the access log says %q", l)
				}
			}
		},
	}
}
