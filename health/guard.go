package health

import (
	"context"

	"github.com/quietws/quietws/core"
)

// Guard is a *[core.Guard], which the checks in this file ask. It knows only this process,
// so a check of it may be of any kind. Live is seldom right, though, because a restart ends
// every session. If the guard is nil the checks pass.
type Guard interface{ Snapshot() core.Snapshot }

// counted is the snapshot of g, the zero one if g is nil.
func counted(g Guard) core.Snapshot {
	if g == nil {
		return core.Snapshot{}
	}
	return g.Snapshot()
}

// Sessions returns a check that fails while limit or more WebSocket sessions are open.
// With a limit a little below [core.Config.MaxSessions] it takes the server out of rotation
// before a client must be refused:
//
//	health.Check{Name: "sessions", Func: health.Sessions(guard, 950)}
func Sessions(g Guard, limit int) func(context.Context) error {
	return Below(func() float64 { return float64(counted(g).SessionsOpen) }, float64(limit), "sessions")
}

// Handshakes returns a check that fails while too many good handshakes failed by this
// server's own fault, such as a handler that answers 500 or a failed hijack. limit is the
// share, from 0 to 1, of the good handshakes since the last run. The check counts
// HandshakesBroken of [core.Snapshot]: failures on known WebSocket routes, which are those
// of Endpoint and Handler and paths on which a session was opened. Failures that a client
// can cause do not count, or any client could take the server out of rotation: refused
// handshakes, a handshake for an ordinary page that answers 5xx, and a client that does not
// wait for the answer. With fewer than least good handshakes the check passes. Give each
// check its own Handshakes.
//
// If it fails as a Ready check, the balancer sends no more handshakes and it passes again:
// FailAfter and PassAfter set how fast that alternates.
func Handshakes(g Guard, limit float64, least uint64) func(context.Context) error {
	return ShareBelow(func() (failed, good uint64) {
		s := counted(g)
		good = s.HandshakesBroken
		for _, h := range s.Handshakes {
			if h.Result == "accepted" {
				good += h.N
			}
		}
		return s.HandshakesBroken, good
	}, limit, least)
}
