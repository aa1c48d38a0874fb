package conn

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"github.com/quietws/quietws/core/internal/conn/conntest"
)

// recordedAt returns a Conn of a peer, in the registry.
func recordedAt(r *recorder, peer net.Addr) *Conn { return recorded(r, conntest.AddrConn{Addr: peer}) }

func TestRegistryFind(t *testing.T) {
	g := newRecorder(t)
	r := g.watch.Conns
	known, other := recordedAt(g, conntest.TCPAddr("192.0.2.1:1000")), recordedAt(g, conntest.TCPAddr("192.0.2.1:1001"))
	address := netip.MustParseAddrPort("192.0.2.1:1000")
	if r.Find(address) != nil {
		t.Error("a connection is found before it was indexed: its address may not be asked yet")
	}
	r.Index(known)
	r.Index(known) // twice is once
	r.Index(other)
	if r.Find(address) != known || r.Find(netip.MustParseAddrPort("192.0.2.1:1001")) != other {
		t.Error("an indexed connection is not found by its peer's address")
	}
	for _, a := range []string{"192.0.2.1:1002", "192.0.2.2:1000"} {
		if c := r.Find(netip.MustParseAddrPort(a)); c != nil {
			t.Errorf("no connection has the address %s, but Find returned %v", a, c.Remote())
		}
	}
	if r.Find(netip.AddrPort{}) != nil {
		t.Error("the zero address found a connection")
	}
	if err := known.Close(); err != nil {
		t.Fatal(err)
	}
	if r.Find(address) != nil || r.Find(netip.MustParseAddrPort("192.0.2.1:1001")) != other || len(r.All()) != 1 {
		t.Error("only the closed connection is to leave the index")
	}
	r.Index(known)
	if r.Find(address) != nil {
		t.Error("a connection that is over was indexed again: it would stay for ever")
	}
	_ = other.Close()
	noneLeft(t, r)
}

// noneLeft checks that the registry is empty.
func noneLeft(t *testing.T, r *Registry) {
	t.Helper()
	if all := r.All(); len(all) != 0 {
		t.Errorf("All returns %d connections, want none", len(all))
	}
	for i := range r.byAddr {
		if n := len(r.byAddr[i].m); n != 0 {
			t.Errorf("%d addresses are left in shard %d of the index", n, i)
		}
	}
}

// Peers on unix sockets have no address, and with go-proxyproto any peer can claim one.
func TestRegistryOddAddresses(t *testing.T) {
	g := newRecorder(t)
	r := g.watch.Conns
	var conns []*Conn
	for _, a := range []net.Addr{
		nil, (*net.TCPAddr)(nil), &net.TCPAddr{}, &net.UnixAddr{Name: "@", Net: "unix"}, &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1},
	} {
		c := recordedAt(g, a)
		conns = append(conns, c)
		r.Index(c)
		if a := c.Remote(); a.IsValid() && r.Find(a) != c {
			t.Errorf("%v is valid and not found", a)
		}
	}
	mapped := recordedAt(g, &net.TCPAddr{IP: net.ParseIP("::ffff:192.0.2.7"), Port: 7})
	r.Index(mapped)
	if r.Find(netip.MustParseAddrPort("192.0.2.7:7")) != mapped {
		t.Error("a peer on a dual-stack socket is found by its IPv4 address")
	}
	for _, c := range append(conns, mapped) {
		_ = c.Close()
	}
	noneLeft(t, r)
}

// Several connections may claim the same address, and different addresses may share a
// hash.
func TestRegistryCollisions(t *testing.T) {
	g := newRecorder(t)
	r := g.watch.Conns
	byHash := make(map[uint32]netip.AddrPort)
	var pair []netip.AddrPort
	for i := 0; pair == nil; i++ {
		if i > 1<<21 {
			t.Fatal("no two of two million addresses share a hash of 31 bits")
		}
		a := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, byte(i >> 16), byte(i >> 8), byte(i)}), 443)
		h := r.hash(a)
		if h == 0 {
			t.Fatalf("%v has hash 0, which says that it is not indexed", a)
		}
		if other, taken := byHash[h]; taken {
			pair = []netip.AddrPort{a, other}
		}
		byHash[h] = a
	}
	for _, order := range [][]int{{0, 1, 2, 3}, {3, 2, 1, 0}, {1, 3, 0, 2}, {2, 0, 3, 1}} {
		var conns []*Conn
		for i := range 4 { // two of each address
			c := recordedAt(g, net.TCPAddrFromAddrPort(pair[i%2]))
			r.Index(c)
			conns = append(conns, c)
		}
		left := slices.Clone(conns)
		for _, i := range order {
			for k, a := range pair {
				open := slices.ContainsFunc(left, func(c *Conn) bool { return c.Remote() == a })
				switch c := r.Find(a); {
				case open && (c == nil || c.Remote() != a || !slices.Contains(left, c)):
					t.Fatalf("removing %v, at %d: address %d finds %v", order, i, k, c)
				case !open && c != nil:
					t.Fatalf("removing %v, at %d: address %d finds a connection that is over", order, i, k)
				}
			}
			_ = conns[i].Close()
			left = slices.DeleteFunc(left, func(c *Conn) bool { return c == conns[i] })
		}
		noneLeft(t, r)
	}
}

// Removal takes out the right connection, wherever it is in the list.
func TestRegistryLists(t *testing.T) {
	g := newRecorder(t)
	r := g.watch.Conns
	var conns []*Conn
	for i := range 4 * registryShards {
		conns = append(conns, recordedAt(g, conntest.TCPAddr(netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), uint16(i)).String())))
	}
	for i, step := range []int{3, 2, 1} {
		for k := i; k < len(conns); k += step {
			if conns[k] != nil {
				_ = conns[k].Close()
				conns[k] = nil
			}
		}
		open := 0
		all := r.All()
		for _, c := range conns {
			if c != nil {
				open++
				if !slices.Contains(all, c) {
					t.Fatal("All misses an open connection")
				}
			}
		}
		if len(r.All()) != open || len(all) != open {
			t.Fatalf("%d open, %d counted, %d listed", open, len(r.All()), len(all))
		}
	}
	noneLeft(t, r)
}

func TestRegistryConcurrent(t *testing.T) {
	g := newRecorder(t)
	r := g.watch.Conns
	var users sync.WaitGroup
	for i := range 8 {
		users.Go(func() {
			for k := range 300 {
				// Each address is used by two goroutines.
				a := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i / 2)}), uint16(k))
				c := recordedAt(g, net.TCPAddrFromAddrPort(a))
				r.Index(c)
				if found := r.Find(a); found == nil || found.Remote() != a {
					t.Errorf("%v finds %v while it is open", a, found)
				}
				if k%50 == 0 {
					r.All()
					r.Any(func(*Conn) bool { return true })
				}
				_ = c.Close()
			}
		})
	}
	users.Wait()
	noneLeft(t, r)
}
