package core

import (
	"net/netip"
	"sync"

	"github.com/quietws/quietws/core/internal/prober"
)

// peerCache remembers what the addresses of the latest peers were found to be.
// To net/http an address is a text, which would be parsed and compared with the
// ranges of the table for each request of a connection.
type peerCache [16]struct {
	mu       sync.Mutex
	text     [maxPeerText]byte // a copy: who keeps a part of a string keeps all of it
	length   int
	addr     netip.AddrPort
	platform bool
}

// maxPeerText is more than the longest address has.
const maxPeerText = 64

// peer returns the address of h's peer, and whether a platform may have it.
func (g *Guard) peer(h Head) (addr netip.AddrPort, platform bool) {
	if addr, platform = g.peerOf(h); !addr.IsValid() {
		platform = onUnix(h)
	}
	return addr, platform
}

func (g *Guard) peerOf(h Head) (addr netip.AddrPort, platform bool) {
	text := ""
	if r, ok := h.(httpHead); ok {
		text = r.r.RemoteAddr
	}
	n := len(text)
	if n < 2 || n > maxPeerText {
		addr = h.Remote()
		return addr, g.platform(addr.Addr())
	}
	at := &g.peers[(text[n-1]+4*text[n-2])%16] // the last digits of the port
	if !at.mu.TryLock() {
		addr = h.Remote()
		return addr, g.platform(addr.Addr())
	}
	defer at.mu.Unlock()
	if string(at.text[:at.length]) != text {
		at.length, at.addr = copy(at.text[:], text), h.Remote()
		at.platform = g.platform(at.addr.Addr())
	}
	return at.addr, at.platform
}

// proberAt is prober.ByAddr, and knows what the operator has said.
func (g *Guard) proberAt(a netip.Addr) prober.Prober {
	p := prober.ByAddr(a)
	if p == prober.None && prober.Contains(g.config.ProbeSources, a) {
		p = prober.Configured
	}
	return p
}
