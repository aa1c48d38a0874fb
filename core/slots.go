package core

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/quietws/quietws/core/event"
)

// slots are the places of Config.MaxSessions. A handshake takes one while it can still
// succeed. It gives it back if it is not answered 101, at the latest when its handler
// returns. A session gives it back when it ends.
type slots struct {
	taken atomic.Int64
	mu    sync.Mutex
	lent  map[*exchange]net.Conn // the places of sessions whose end is not reported
}

// takeSlot takes a place for x, if there is a limit and x has none. It reports whether x
// may go on.
func (g *Guard) takeSlot(x *exchange) bool {
	limit := int64(g.config.MaxSessions)
	if limit == 0 || g.config.ObserveOnly || x.is(stateSlot) {
		return true
	}
	if g.slots.taken.Add(1) > limit {
		g.slots.taken.Add(-1)
		if !g.slots.reclaim() || g.slots.taken.Add(1) > limit {
			return false
		}
	}
	x.set(stateSlot)
	return true
}

// freeSlot gives back the place of x, if it has one.
func (x *exchange) freeSlot() {
	if !x.is(stateSlot) {
		return
	}
	s := &x.g.slots
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free(x)
}

func (s *slots) free(x *exchange) {
	if x.state.And(^stateSlot)&stateSlot != 0 {
		s.taken.Add(-1)
		delete(s.lent, x)
	}
}

// lendSlot keeps the place of x until nc is closed, for a session whose end is not
// reported. It returns false if that cannot be seen.
func (x *exchange) lendSlot(nc net.Conn) bool {
	if !x.is(stateSlot) {
		return true
	}
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	if _, known := closedConn(nc); !known {
		return false
	}
	s := &x.g.slots
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lent == nil {
		s.lent = make(map[*exchange]net.Conn)
	}
	if x.is(stateSlot) {
		s.lent[x] = nc
	}
	return true
}

// reclaim gives back the places of connections that are now closed, and reports whether
// there were any. It is called only if no place is left, so it looks at no more
// connections than the limit.
func (s *slots) reclaim() (some bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for x, nc := range s.lent {
		if closed, _ := closedConn(nc); closed {
			s.free(x)
			some = true
		}
	}
	return some
}

// closedConn reports whether nc was closed on this side, and whether that is known: a
// server may reuse other kinds of connection for another client.
func closedConn(nc net.Conn) (closed, known bool) {
	switch nc.(type) {
	case *net.TCPConn, *net.UnixConn:
	default:
		return false, false
	}
	raw, err := nc.(syscall.Conn).SyscallConn()
	if err == nil {
		err = raw.Control(func(uintptr) {})
	}
	return errors.Is(err, net.ErrClosed), true
}

// admit reports whether an answer with that status may be sent. An answer that opens a
// session needs a place, unless its route has taken one. If there is none, x is refused,
// and its answer must be sent instead.
func (x *exchange) admit(status int) bool {
	if !x.opens(status) || x.g.takeSlot(x) {
		return true
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.is(stateSettled) {
		return true
	}
	x.refuse(event.ReasonSaturated)
	return false
}
