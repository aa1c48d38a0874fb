package journal

import (
	"net/netip"
	"testing"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/journal/logtest"
)

func TestSourceOf(t *testing.T) {
	for _, r := range []struct {
		rule  string
		event event.Event
		want  netip.Addr
	}{
		{"the TCP peer", event.Event{Remote: logtest.From(1), Forwarded: "192.0.2.1"}, logtest.From(1).Addr()},
		{"the client, where a proxy vouches for it", event.Event{Remote: logtest.From(1), Client: logtest.From(2).Addr()}, logtest.From(2).Addr()},
		{"without the zone, which is a stranger's text", event.Event{Client: netip.MustParseAddr("fe80::1%x y")}, netip.MustParseAddr("fe80::1")},
		{"IPv4 in IPv6 is IPv4", event.Event{Remote: netip.MustParseAddrPort("[::ffff:10.0.0.1]:7")}, netip.MustParseAddr("10.0.0.1")},
		{"none, if there are no addresses", event.Event{}, netip.Addr{}},
	} {
		if got := sourceOf(&r.event); got != r.want {
			t.Errorf("%s: %v, want %v", r.rule, got, r.want)
		}
	}
}

func TestSourceSet(t *testing.T) {
	var s sourceSet
	s.add(netip.Addr{}, 2)
	if len(s.seen) != 0 {
		t.Error("the zero address counts as a source; all peers on a unix socket have it")
	}
	for i := range 2 {
		s.add(logtest.From(i).Addr(), 2)
		s.add(logtest.From(i).Addr(), 2)
	}
	if len(s.seen) != 2 || s.more {
		t.Errorf("two addresses, each twice: %d, more %v", len(s.seen), s.more)
	}
	s.add(logtest.From(7).Addr(), 2)
	if len(s.seen) != 2 || !s.more {
		t.Errorf("a third with a limit of two: %d, more %v", len(s.seen), s.more)
	}
}
