package conn

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"sync/atomic"
)

// Registry holds the open connections: all of them in lists, for the drain, and those
// that a log line or a request may belong to in an index by address. Both are split into
// shards so that accepting and closing do not wait for each other. Only the maps of the
// index allocate.
type Registry struct {
	seed  maphash.Seed
	turn  atomic.Uint32
	lists [registryShards]struct {
		mu   sync.Mutex
		head *Conn
		_    [48]byte // a cache line each
	}
	byAddr [registryShards]struct {
		mu sync.Mutex
		m  map[uint32]*Conn // chained by Conn.hashNext
		_  [48]byte
	}
	// nameless is how many connections under TLS have no address.
	nameless atomic.Int64
}

const registryShards = 32

func newRegistry() *Registry { return &Registry{seed: maphash.MakeSeed()} }

func (r *Registry) add(c *Conn) {
	shard := r.turn.Add(1) % registryShards
	c.place.Or(shard)
	l := &r.lists[shard]
	l.mu.Lock()
	c.next = l.head
	if l.head != nil {
		l.head.prev = c
	}
	l.head = c
	l.mu.Unlock()
}

func (r *Registry) remove(c *Conn) {
	r.unindex(c)
	l := &r.lists[c.place.Load()&placeShard]
	l.mu.Lock()
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		l.head = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	}
	c.prev, c.next = nil, nil
	l.mu.Unlock()
}

// All returns the connections that are open now. The locks are released by then.
func (r *Registry) All() (conns []*Conn) {
	for i := range r.lists {
		l := &r.lists[i]
		l.mu.Lock()
		for c := l.head; c != nil; c = c.next {
			conns = append(conns, c)
		}
		l.mu.Unlock()
	}
	return conns
}

// Any reports whether yes is true for one of the connections that are open now. yes is
// called under a lock: it must neither wait nor close a connection.
func (r *Registry) Any(yes func(*Conn) bool) bool {
	for i := range r.lists {
		l := &r.lists[i]
		l.mu.Lock()
		for c := l.head; c != nil; c = c.next {
			if yes(c) {
				l.mu.Unlock()
				return true
			}
		}
		l.mu.Unlock()
	}
	return false
}

func (r *Registry) hash(a netip.AddrPort) uint32 {
	return uint32(maphash.Comparable(r.seed, a))
}

// Index adds c to the index by its peer's address. A peer without one, as on a unix
// socket, is never found; those under TLS are counted.
func (r *Registry) Index(c *Conn) {
	a := c.Remote()
	if !a.IsValid() {
		if c.IsUnderTLS() {
			r.setNameless(c, true)
		}
		return
	}
	h := r.hash(a)
	s := &r.byAddr[h>>1%registryShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.Saw(Indexed | Decided) {
		return
	}
	if s.m == nil {
		s.m = make(map[uint32]*Conn)
	}
	c.hashNext = s.m[h]
	c.Note(Indexed)
	s.m[h] = c
}

// setNameless counts a connection without an address, once.
func (r *Registry) setNameless(c *Conn, open bool) {
	mu := &r.byAddr[0].mu
	mu.Lock()
	defer mu.Unlock()
	switch {
	case open && !c.Saw(Indexed|Decided):
		c.Note(Indexed)
		r.nameless.Add(1)
	case !open && c.Saw(Indexed):
		c.Forget(Indexed)
		r.nameless.Add(-1)
	}
}

// AnyNameless reports whether a connection under TLS is open that has no address.
func (r *Registry) AnyNameless() bool { return r.nameless.Load() > 0 }

func (r *Registry) unindex(c *Conn) {
	a := c.Remote()
	if !a.IsValid() {
		r.setNameless(c, false)
		return
	}
	h := r.hash(a)
	s := &r.byAddr[h>>1%registryShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if !c.Saw(Indexed) {
		return
	}
	c.Forget(Indexed)
	if s.m[h] == c {
		if c.hashNext == nil {
			delete(s.m, h)
		} else {
			s.m[h] = c.hashNext
		}
	} else {
		for p := s.m[h]; p != nil; p = p.hashNext {
			if p.hashNext == c {
				p.hashNext = c.hashNext
				break
			}
		}
	}
	c.hashNext = nil
}

// Find returns the indexed connection whose peer has this address, nil if there is none.
func (r *Registry) Find(a netip.AddrPort) *Conn {
	if !a.IsValid() {
		return nil
	}
	h := r.hash(a)
	s := &r.byAddr[h>>1%registryShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := s.m[h]; c != nil; c = c.hashNext {
		if c.Remote() == a {
			return c
		}
	}
	return nil
}
