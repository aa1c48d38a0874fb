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

// slots are the places of Config.MaxSessions. A handshake takes one where it can
// still succeed, and gives it back when it was not answered 101, at the latest when
// its handler returns; a session when it ends.
type slots struct {
	taken atomic.Int64
	mu    sync.Mutex
	lent  map[*exchange]net.Conn // to sessions of whose end nobody tells
}

// takeSlot takes a place for x, if there is a limit and x has none. It reports
// whether there was one.
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

// freeSlot gives back the place that x has.
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

// lendSlot keeps the place of x until nc is closed, and reports whether that can
// be seen: the session on nc is one of whose end nobody tells.
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

// reclaim gives back the places of connections that are closed by now, and reports
// whether there were some. It is called only where there is no place left, and so
// looks at no more than the limit.
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

// closedConn reports whether nc was closed on this side, and whether that is
// known: a server may use another kind of connection again for another client.
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

// admit reports whether an answer of that status may go out: one that opens a
// session needs a place, unless its route has taken it. Where there is none x is
// refused, and its answer is to go out instead.
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
