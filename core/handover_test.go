package core

import (
	"net"
	"net/http"
	"testing"

	"github.com/quietws/quietws/core/internal/conn/conntest"
)

// hijackedConn is what fasthttp hands over.
type hijackedConn struct{ net.Conn }

func (h hijackedConn) UnsafeConn() net.Conn { return h.Conn }

// What becomes of a handshake that was answered 101 on a server that hands connections
// over later. If the server reports its states, they decide.
func TestHandover(t *testing.T) {
	const accepted, failed, refused = "accepted", "failed", "refused"
	for _, row := range []struct {
		rule     string
		listened bool // on a connection of the guard's listener
		attached bool // the server reports its states
		own      bool // the route is that of Handler
		status   int
		then     []http.ConnState
		runs     bool   // the goroutine that gets the connection runs
		first    bool   // and runs before the states are reported
		result   string // how the handshake is counted
		session  bool   // it gets a session
		open     int64  // open sessions after that
	}{
		{rule: "no 101: it stays HTTP", listened: true, attached: true, status: 404, then: []http.ConnState{http.StateClosed}, result: refused},
		{rule: "handed over: a session", listened: true, attached: true, status: 101, then: []http.ConnState{http.StateHijacked}, runs: true, result: accepted, session: true, open: 1},
		{rule: "the session may come first", listened: true, attached: true, status: 101, runs: true, first: true, then: []http.ConnState{http.StateHijacked}, result: accepted, session: true, open: 1},
		{rule: "closed instead of handed over: failed", listened: true, attached: true, status: 101, then: []http.ConnState{http.StateClosed}, result: failed},
		{rule: "states are not reported: it is believed", listened: true, status: 101, runs: true, result: accepted, session: true, open: 1},
		{rule: "the connection is not known: accepted, but not followed", status: 101, runs: true, result: accepted},
		{rule: "the connection is not known, and the route is Handler's", own: true, status: 101, runs: true, result: accepted, session: true, open: 1},
		{rule: "the connection is not known, and it does not come", own: true, status: 101},
		{rule: "only its states are seen: its end is not", attached: true, status: 101, then: []http.ConnState{http.StateHijacked}, result: accepted},
	} {
		t.Run(row.rule, func(t *testing.T) {
			g := quietGuard(t, Config{MaxSessions: 5})
			a := g.Adapter()
			nc := &conntest.Script{}
			m := newLetter(handshake(onPath("/nowhere")), nil)
			switch {
			case row.listened:
				m.conn = watched(g, nc)
				if row.attached {
					a.ConnState(m.conn, http.StateNew)
				}
			case row.attached:
				g.attach(nc, g.servers.adopted)
				m.conn = nc
			}
			q := a.BeginMessage(m)
			if row.own {
				q = a.Endpoint(q, m, "/nowhere", &Origins{Any: true})
			}
			kept := q
			q.handOver(row.status)
			run := func(now bool) {
				if !row.runs || !now {
					return
				}
				s := kept.SessionOn(hijackedConn{nc})
				if (s != nil) != row.session {
					t.Errorf("the session is %v", s)
				}
				if s != nil && !row.listened && s.c.Conn.(*lentConn).Conn != net.Conn(nc) {
					t.Errorf("it is on %T, which the server uses again", s.c.Conn)
				}
			}
			run(row.first)
			for _, state := range row.then {
				a.ConnState(m.conn, state)
			}
			run(!row.first)
			snap := g.Snapshot()
			var got string
			for _, h := range snap.Handshakes {
				if got += h.Result; h.N != 1 {
					t.Errorf("%s %d times", h.Result, h.N)
				}
			}
			if got != row.result && (row.open == 0 || got != "") { // an open session may not be confirmed yet
				t.Errorf("the handshake is counted as %q, want %q", got, row.result)
			}
			if int64(snap.SessionsOpen) != row.open {
				t.Errorf("%d sessions are open, want %d", snap.SessionsOpen, row.open)
			}
			if want := row.open; g.slots.taken.Load() != want {
				t.Errorf("%d places are taken, want %d", g.slots.taken.Load(), want)
			}
			if x := kept.x; row.open > 0 {
				_ = x.c.Close()
				a.ConnState(m.conn, http.StateClosed)
				if snap := g.Snapshot(); snap.SessionsOpen != 0 || len(snap.Handshakes) != 1 || snap.Handshakes[0].Result != row.result {
					t.Errorf("at the end: %d open, %v", snap.SessionsOpen, snap.Handshakes)
				}
			}
		})
	}
}
