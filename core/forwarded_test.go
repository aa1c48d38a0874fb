package core

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"unsafe"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/journal"
)

func prefixes(s ...string) (p []netip.Prefix) {
	for _, one := range s {
		p = append(p, netip.MustParsePrefix(one))
	}
	return p
}

// X-Forwarded-For is read from its end: each address is confirmed by the one after it, as
// long as that is a trusted proxy. An address that is not confirmed is only a claim.
func TestForwarded(t *testing.T) {
	proxies := prefixes("10.0.0.0/8", "2001:db8::/32")
	for _, row := range []struct {
		rule, peer, field string
		trusted           []netip.Prefix
		client            string // "": none is confirmed
		forwarded         string
	}{
		{"no proxy is trusted", "10.0.0.1", "192.0.2.1", nil, "", "192.0.2.1"},
		{"the peer is not trusted", "192.0.2.9", "10.0.0.1", proxies, "", "10.0.0.1"},
		{"junk", "10.0.0.1", "unknown", proxies, "", "unknown"},
		{"an obfuscated name, RFC 7239 §6.3", "10.0.0.1", "_hidden", proxies, "", "_hidden"},
		{"junk at the end hides what is before it", "10.0.0.1", "192.0.2.1, nonsense", proxies, "", "192.0.2.1, nonsense"},
		{"nothing between the commas", "10.0.0.1", ",", proxies, "", ","},
		{"a host name", "10.0.0.1", "example.com", proxies, "", "example.com"},
		{"a prefix", "10.0.0.1", "192.0.2.0/24", proxies, "", "192.0.2.0/24"},
		{"an invalid port", "10.0.0.1", "192.0.2.1:99999", proxies, "", "192.0.2.1:99999"},

		{"one proxy", "10.0.0.1", "192.0.2.1", proxies, "192.0.2.1", ""},
		{"white space", "10.0.0.1", " \t192.0.2.1 ", proxies, "192.0.2.1", ""},
		{"the client's own claim does not count", "10.0.0.1", "127.0.0.1, 192.0.2.1", proxies, "192.0.2.1", ""},
		{"a chain", "10.0.0.1", "192.0.2.1, 10.0.0.3, 10.0.0.2", proxies, "192.0.2.1", ""},
		{"a chain ends at the first that is not trusted", "10.0.0.1", "192.0.2.1, 203.0.113.5, 10.0.0.2", proxies, "203.0.113.5", ""},
		{"junk in the chain: the last confirmed address", "10.0.0.1", "nonsense, 10.0.0.2", proxies, "10.0.0.2", ""},
		{"all of them are trusted: the first", "10.0.0.1", "10.0.0.3,10.0.0.2", proxies, "10.0.0.3", ""},
		{"IPv6", "2001:db8::1", "2001:db9::7", proxies, "2001:db9::7", ""},
		{"an IPv6 proxy in the chain", "10.0.0.1", "192.0.2.1, 2001:db8::5", proxies, "192.0.2.1", ""},
		{"IPv4 in IPv6's clothes", "10.0.0.1", "::ffff:192.0.2.1", proxies, "192.0.2.1", ""},
		{"a trusted proxy as IPv4-mapped IPv6", "10.0.0.1", "192.0.2.1, ::ffff:10.0.0.2", proxies, "192.0.2.1", ""},
		// Azure Application Gateway and App Service write the port as well.
		{"a port", "10.0.0.1", "192.0.2.1:51423", proxies, "192.0.2.1", ""},
		{"a chain with ports", "10.0.0.1", "192.0.2.1:51423, 10.0.0.2:443", proxies, "192.0.2.1", ""},
		{"a link-local proxy, whose zone is a local name", "fe80::1%eth0", "192.0.2.1", prefixes("fe80::/10"), "192.0.2.1", ""},
		{"IPv6 in brackets", "10.0.0.1", "[2001:db9::7]", proxies, "2001:db9::7", ""},
		{"IPv6 in brackets with a port", "10.0.0.1", "[2001:db9::7]:51423", proxies, "2001:db9::7", ""},
	} {
		g := quietGuard(t, Config{TrustedProxies: row.trusted})
		o := g.forwarded(netip.MustParseAddr(row.peer), row.field)
		client := ""
		if o.client.IsValid() {
			client = o.client.String()
		}
		if client != row.client || o.forwarded != row.forwarded {
			t.Errorf("%s: client %q and claim %q, want %q and %q", row.rule, client, o.forwarded, row.client, row.forwarded)
		}
	}
}

// What a peer can achieve with it is limited.
func TestForwardedIsBounded(t *testing.T) {
	g := quietGuard(t, Config{TrustedProxies: prefixes("10.0.0.0/8")})
	long := strings.Repeat("9", 1<<20)
	if o := g.forwarded(netip.MustParseAddr("192.0.2.1"), long); len(o.forwarded) > journal.MaxText+1 {
		t.Errorf("a claim of %d bytes is kept", len(o.forwarded))
	}
	// A zone is only the sender's text, and useless here.
	if o := g.forwarded(netip.MustParseAddr("10.0.0.1"), "fe80::1%"+long); o.client.Zone() != "" {
		t.Errorf("a zone of %d bytes is kept", len(o.client.Zone()))
	}
	chain := strings.Repeat("10.0.0.2,", 1<<16)
	if o := g.forwarded(netip.MustParseAddr("10.0.0.1"), chain+"10.0.0.2"); o.client != netip.MustParseAddr("10.0.0.2") {
		t.Errorf("a chain of trusted proxies: client %v", o.client)
	}
}

// The source is the client that a trusted proxy names, else the peer. Only the source
// decides whether a prober is believed.
func TestClientOfARequest(t *testing.T) {
	for _, row := range []struct {
		rule, remote, forwarded string
		address                 string
		platform                bool
	}{
		{"from the internet", "203.0.113.9:4711", "", "203.0.113.9", false},
		{"from the internet, claiming to be inside", "203.0.113.9:4711", "10.0.0.5", "203.0.113.9", false},
		{"through the proxy, from the internet", "10.1.0.1:4711", "203.0.113.9", "203.0.113.9", false},
		{"through the proxy, from inside", "10.1.0.1:4711", "10.0.0.5", "10.0.0.5", true},
		{"through the proxy, from one of ProbeSources", "10.1.0.1:4711", "198.51.100.7", "198.51.100.7", true},
		{"from one of ProbeSources, as IPv4-mapped IPv6", "[::ffff:198.51.100.7]:4711", "", "198.51.100.7", true},
		{"from a proxy that is not trusted: the proxy itself, but not as a platform, because it forwards", "10.2.0.1:4711", "203.0.113.9", "10.2.0.1", false},
		{"loopback", "127.0.0.1:4711", "", "127.0.0.1", true},
		{"a unix socket", "@", "", "invalid IP", true},
		{"a client on a named unix socket", "/run/proxy.sock", "", "invalid IP", true},
		{"a unix socket, and a layer outside that knows better", "unknown", "", "invalid IP", false},
		{"a unix socket, for an unknown client", "@", "203.0.113.9", "invalid IP", false},
	} {
		g := quietGuard(t, Config{TrustedProxies: prefixes("10.1.0.0/16"), ProbeSources: prefixes("198.51.100.0/24")})
		r := handshake(func(r *http.Request) { r.RemoteAddr = row.remote })
		if row.forwarded != "" {
			r.Header.Set("X-Forwarded-For", row.forwarded)
		}
		if strings.Contains(row.rule, "unix") {
			r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(&net.UnixAddr{Name: "/run/app.sock", Net: "unix"})))
		}
		x := g.Adapter().judge(httpHead{r}, nil, atServer)
		if x == nil {
			t.Fatalf("%s: a handshake is not a candidate", row.rule)
		}
		if got := x.address().String(); got != row.address || x.platform != row.platform {
			t.Errorf("%s: source %s, platform %v, want %s, %v", row.rule, got, x.platform, row.address, row.platform)
		}
	}
}

// An invalid address belongs to no prober: no User-Agent is believed for it.
func TestNoAddressNoProber(t *testing.T) {
	g := quietGuard(t, Config{})
	tcp := context.WithValue(t.Context(), http.LocalAddrContextKey, net.Addr(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 80}))
	for _, remote := range []string{"unknown", "203.0.113.7:1234, 10.0.0.1", "[::1", "_hidden", "", "@", "/etc"} {
		for _, ctx := range []context.Context{t.Context(), tcp} {
			r := handshake(with("User-Agent", "kube-probe/1.33"), func(r *http.Request) { r.RemoteAddr = remote }).WithContext(ctx)
			if x := g.Adapter().judge(httpHead{r}, nil, atServer); x.platform || x.credited {
				t.Errorf("RemoteAddr %q: platform %v, believed %v", remote, x.platform, x.credited)
			}
		}
	}
}

func TestKeepIsBounded(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	for name, h := range map[string]Head{"net/http": httpHead{handshake()}, "another": pathHead("/")} {
		if got := keep(h, long); len(got) > journal.MaxText+1 {
			t.Errorf("%s: a path of %d bytes is kept", name, len(got))
		}
		if got := keep(h, "/ws"); got != "/ws" {
			t.Errorf("%s: /ws became %q", name, got)
		}
	}
}

// Nothing else of a request's strings is kept: net/http cuts path, query and method out
// of one line, so one of them would keep the whole line.
func TestKeepHoldsNoLongLine(t *testing.T) {
	long := strings.Repeat("a", 1<<16)
	for _, row := range []struct{ rule, line string }{
		{"a long query", "GET /ws?" + long + " HTTP/1.1"},
		{"a long path", "GET /" + long + " HTTP/1.1"},
		{"a long method", long + " /ws HTTP/1.1"},
		{"a long method that is not known, and a long query", "A" + long + " /ws?" + long + " HTTP/1.1"},
	} {
		text := row.line + "\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-Forwarded-For: 192.0.2.1, " + long + "\r\n\r\n"
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
		if err != nil {
			t.Fatal(err)
		}
		r.RemoteAddr = "192.0.2.9:4711"
		g := quietGuard(t, Config{})
		x := g.Adapter().judge(httpHead{r}, nil, atServer)
		var e event.Event
		x.fill(&e)
		for name, kept := range map[string]string{"path": e.Path, "method": e.Method, "forwarded": e.Forwarded} {
			for of, whole := range map[string]string{"request line": r.RequestURI, "method": r.Method, "field": r.Header.Get("X-Forwarded-For")} {
				if len(whole) > journal.MaxText && within(kept, whole) {
					t.Errorf("%s: %s keeps the %s of %d bytes", row.rule, name, of, len(whole))
				}
			}
		}
	}
}

// within reports whether part shares the memory of whole.
func within(part, whole string) bool {
	if part == "" {
		return false
	}
	p, w := uintptr(unsafe.Pointer(unsafe.StringData(part))), uintptr(unsafe.Pointer(unsafe.StringData(whole)))
	return w <= p && p < w+uintptr(len(whole))
}

// Behind a proxy that is not trusted every client would have the platform's address. So a
// forwarded request is never a platform's probe, whatever it claims, and cannot be a
// failing one.
func TestForwardedIsNoProbeOfThePlatform(t *testing.T) {
	for _, row := range []struct {
		rule, forwarded string
		class           event.Class // of the one event, 0 for none
	}{
		{"the prober itself", "", event.ProbeFailing},
		{"for a client of the internet", "203.0.113.9", 0},
		{"for a client that claims to be inside", "10.0.0.5", 0},
		{"for an unknown client", "unknown", 0},
	} {
		events := new(book)
		g := quietGuard(t, Config{Observe: events.observe})
		r := httptest.NewRequest("GET", "/no-such-page", nil)
		r.RemoteAddr = "10.0.0.7:1234"
		r.Header.Set("User-Agent", "kube-probe/1.30")
		if row.forwarded != "" {
			r.Header.Set("X-Forwarded-For", row.forwarded)
		}
		g.Wrap(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), r)
		failing := events.of(t, g, event.ProbeFailing)
		if platform := row.class == event.ProbeFailing; platform != (len(failing) == 1) || platform != (len(g.Snapshot().LastSeen) == 1) {
			t.Errorf("%s: %d failing probes, last seen %v", row.rule, len(failing), g.Snapshot().LastSeen)
		}
	}
}
