package core

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"

	"github.com/quietws/quietws/core/internal/journal"
	"github.com/quietws/quietws/core/internal/prober"
)

// requestExtras is what few requests have: mainly what proxies said of the client.
type requestExtras struct {
	client     netip.Addr // confirmed by Config.TrustedProxies
	forwarded  string     // X-Forwarded-For where it is only a claim
	method     string     // a method that is not in methods
	page, host string     // Origin, and the Host that it was compared with
}

// readForwarded finds the client of a request that came through a proxy.
func (x *exchange) readForwarded(h Head) {
	f := h.Field("X-Forwarded-For")
	if f == "" {
		return
	}
	method := ""
	if x.extras != nil {
		method = x.extras.method
	}
	x.extras = x.g.forwarded(x.peer, f)
	x.extras.method = method
	// A request that was forwarded for an unknown client is not the platform's, even if
	// the last proxy is.
	x.platform = x.extras.client.IsValid() && x.g.platform(x.extras.client)
}

// isUnix reports whether a, an address without an IP, is that of a unix socket on this
// machine.
func isUnix(a net.Addr) bool {
	u, ok := a.(*net.UnixAddr)
	return ok && u != nil
}

// onUnix reports whether a request whose peer has no address came over a unix socket. A
// text that a layer outside has set as the address ("unknown") does not count.
func onUnix(h Head) bool {
	switch v := h.(type) {
	case httpHead:
		local, _ := v.r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		peer := v.r.RemoteAddr
		return isUnix(local) && (peer == "" || peer[0] == '@' || peer[0] == '/')
	case Message:
		nc := v.Conn()
		return nc != nil && isUnix(nc.RemoteAddr())
	}
	return false
}

// address is the client's where a trusted proxy names it, else the peer's.
func (x *exchange) address() netip.Addr {
	if x.extras != nil && x.extras.client.IsValid() {
		return x.extras.client
	}
	return x.peer
}

// forwarded reads X-Forwarded-For from its end. Each address is confirmed by the one
// after it, as long as that is a trusted proxy.
func (g *Guard) forwarded(peer netip.Addr, field string) *requestExtras {
	o := &requestExtras{forwarded: cut(strings.Clone(field))}
	if !prober.Contains(g.config.TrustedProxies, peer) {
		return o
	}
	for rest := field; rest != ""; {
		i := strings.LastIndexByte(rest, ',')
		a, ok := forwardedAddr(rest[i+1:])
		if !ok {
			break
		}
		o.client = a
		if i < 0 || !prober.Contains(g.config.TrustedProxies, a) {
			break
		}
		rest = rest[:i]
	}
	if o.client.IsValid() {
		o.forwarded = ""
	}
	return o
}

// longestForwarded is more than an IPv6 address in brackets with its port needs.
const longestForwarded = 64

// forwardedAddr parses one item of X-Forwarded-For: an address, optionally with a port as
// Azure Application Gateway writes it, or an IPv6 address with or without brackets. A
// zone has no meaning outside its host, so it is dropped.
func forwardedAddr(item string) (netip.Addr, bool) {
	item = strings.TrimSpace(item)
	if len(item) > longestForwarded {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(item, "["), "]"))
	if err != nil {
		ap, err := netip.ParseAddrPort(item)
		if err != nil {
			return netip.Addr{}, false
		}
		a = ap.Addr()
	}
	return a.Unmap().WithZone(""), true
}

// cut limits what is kept of anything that the peer sent. It keeps one byte more than the
// log prints, so that the log can see that the text was longer.
func cut(s string) string {
	if len(s) > journal.MaxText {
		return strings.Clone(s[:journal.MaxText+1])
	}
	return s
}

// methods are those of RFC 9110 §9 and RFC 5789, and that of an HTTP/2 preface.
var methods = [...]string{"", "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "PRI"}

func (x *exchange) setMethod(h Head, method string) {
	for i, m := range methods {
		if m == method {
			x.method = uint8(i)
			return
		}
	}
	x.extras = &requestExtras{method: keep(h, method)}
}

func (x *exchange) methodWord() string {
	if x.method == 0 && x.extras != nil {
		return x.extras.method
	}
	return methods[x.method]
}

// keep returns s so that it outlives the request. net/http never reuses the strings of a
// request.
func keep(h Head, s string) string {
	if len(s) > journal.MaxText {
		return cut(s)
	}
	if r, ok := h.(httpHead); ok && len(r.r.RequestURI) <= journal.MaxText { // any part of the URI keeps all of it in memory
		return s
	}
	return strings.Clone(s)
}

// peerCache remembers the addresses of the latest peers, and whether a platform may have
// them. In net/http an address is text: without the cache it would be parsed, and
// compared with the ranges of the prober table, for each request of a connection.
type peerCache [16]struct {
	mu       sync.Mutex
	text     [maxPeerText]byte // a copy: a part of a string keeps all of it in memory
	length   int
	addr     netip.AddrPort
	platform bool
}

// maxPeerText is longer than any address.
const maxPeerText = 64

// peer returns the address of h's peer, and whether it may be a platform's.
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

// proberAt is prober.ByAddr, and also knows Config.ProbeSources.
func (g *Guard) proberAt(a netip.Addr) prober.Prober {
	p := prober.ByAddr(a)
	if p == prober.None && prober.Contains(g.config.ProbeSources, a) {
		p = prober.Configured
	}
	return p
}
