package journal

import (
	"log/slog"
	"net/netip"

	"github.com/quietws/quietws/core/event"
)

// sourceOf returns the address that an event is from, the zero Addr if there is none.
// The zone is left out: in a forwarded address it is any text that the sender wrote.
func sourceOf(e *event.Event) netip.Addr {
	a := e.Client
	if !a.IsValid() {
		a = e.Remote.Addr()
	}
	return a.Unmap().WithZone("")
}

// A sourceSet counts different addresses up to a limit.
type sourceSet struct {
	seen map[netip.Addr]struct{}
	more bool // there were more than the limit
}

// add adds a. It ignores the zero Addr, which all peers on a unix socket have.
func (s *sourceSet) add(a netip.Addr, limit int) {
	if !a.IsValid() {
		return
	}
	if _, known := s.seen[a]; known {
		return
	}
	if len(s.seen) >= limit {
		s.more = true
		return
	}
	if s.seen == nil {
		s.seen = make(map[netip.Addr]struct{})
	}
	s.seen[a] = struct{}{}
}

func (s *sourceSet) attrs(to []slog.Attr) []slog.Attr {
	to = append(to, slog.Int("sources", len(s.seen)))
	if s.more {
		to = append(to, slog.Bool("more_sources", true))
	}
	return to
}
