package health

import (
	"context"

	"github.com/quietws/quietws/core"
)

// Guard is what the checks in this file ask, a *[core.Guard]. What it knows is
// of this process alone, so that a check of it may be of any kind; a restart
// ends every session, though, which is why Live is seldom right. Without a guard,
// nil, they pass.
type Guard interface{ Snapshot() core.Snapshot }

// counted is g's, the empty one without a guard: then the checks pass.
func counted(g Guard) core.Snapshot {
	if g == nil {
		return core.Snapshot{}
	}
	return g.Snapshot()
}

// Sessions returns a check that fails while limit WebSocket sessions or more
// are open. A little below [core.Config.MaxSessions] it takes the server out of
// rotation before anybody has to be refused:
//
//	health.Check{Name: "sessions", Func: health.Sessions(guard, 950)}
func Sessions(g Guard, limit int) func(context.Context) error {
	return Below(func() float64 { return float64(counted(g).SessionsOpen) }, float64(limit), "sessions")
}

// Handshakes returns a check that fails while, of the good handshakes since its
// run before, limit or more as a share from 0 to 1 were not completed by this
// server's own fault: a handler that answers 500, a hijack that fails. It counts
// what [core.Snapshot] has as HandshakesBroken, on routes that are known to be
// WebSocket's: those of Endpoint and Handler, and paths on which a session was
// opened. What anybody can bring about does not count, or anybody could take the
// server out of rotation: refused handshakes, one sent to an ordinary page that
// answers 5xx, one whose client does not wait for the answer.
// With fewer than least good ones there is nothing to judge and the check
// passes. Give each check its own.
//
// Where it fails for readiness no more handshakes come from the balancer, and
// it passes again: FailAfter and PassAfter set how fast that swings.
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
