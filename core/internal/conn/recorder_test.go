package conn

import (
	"net"
	"sync"
	"testing"

	"github.com/quietws/quietws/core/event"
)

// recorder is a Host that counts its connections by class.
type recorder struct {
	watch *Watch

	mu       sync.Mutex
	accepted uint64
	closed   map[event.Class]uint64
}

func newRecorder(testing.TB) *recorder {
	r := &recorder{closed: make(map[event.Class]uint64)}
	r.watch = NewWatch(r, false)
	return r
}

func (r *recorder) Over(_ *Conn, e End) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed[e.Class]++
}

// of returns how many connections ended in a class.
func (r *recorder) of(c event.Class) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed[c]
}

// open returns how many have not ended.
func (r *recorder) open() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.accepted
	for _, k := range r.closed {
		n -= k
	}
	return n
}

// recorded returns nc as a listener of r would return it.
func recorded(r *recorder, nc net.Conn) *Conn {
	r.mu.Lock()
	r.accepted++
	r.mu.Unlock()
	return New(nc, &Source{Watch: r.watch}, Accepted)
}
