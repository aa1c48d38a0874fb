package frames

import (
	"fmt"
	"testing"
	"time"
	"unsafe"
)

// A session keeps this much of each open connection.
func TestSize(t *testing.T) {
	if size := unsafe.Sizeof(Stream{}); size > 40 {
		t.Errorf("a Stream takes %d bytes", size)
	}
	if size := unsafe.Sizeof(Session{}); size > 160 {
		t.Errorf("a Session takes %d bytes", size)
	}
}

type nullWire struct{}

func (nullWire) Write(p []byte) (int, error)      { return len(p), nil }
func (nullWire) SetWriteDeadline(time.Time) error { return nil }
func (nullWire) Now() time.Time                   { return time.Time{} }

func TestAllocations(t *testing.T) {
	s := new(Session)
	s.Start(true, false)
	var w Wire = nullWire{}
	out, in := frame(text, make([]byte, 64)), frame(text, make([]byte, 64), key...)
	at := time.Unix(1_700_000_000, 0)
	for name, f := range map[string]func(){
		"Write":            func() { _, _ = s.Write(w, out, 1) },
		"Received":         func() { s.Received(in, 1) },
		"SetWriteDeadline": func() { _ = s.SetWriteDeadline(w, at) },
		"Facts":            func() { _ = s.Facts() },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkFeed(b *testing.B) {
	for _, size := range []int{16, 64, 300, 70000} {
		for name, key := range map[string][]byte{"plain": nil, "masked": key} {
			b.Run(fmt.Sprintf("%s/%d", name, size), func(b *testing.B) {
				p := frame(text, make([]byte, size), key...)
				s := Stream{}
				if key != nil {
					s.flags = masked
				}
				for b.Loop() {
					s.Feed(p)
				}
			})
		}
	}
}

func BenchmarkSession(b *testing.B) {
	out, in := frame(text, make([]byte, 64)), frame(text, make([]byte, 64), key...)
	b.Run("bare", func(b *testing.B) {
		var w Wire = nullWire{}
		for b.Loop() {
			_, _ = w.Write(out)
		}
	})
	b.Run("Write", func(b *testing.B) {
		s := new(Session)
		s.Start(true, false)
		var w Wire = nullWire{}
		for b.Loop() {
			_, _ = s.Write(w, out, 1)
		}
	})
	b.Run("Received", func(b *testing.B) {
		s := new(Session)
		s.Start(true, false)
		for b.Loop() {
			s.Received(in, 1)
		}
	})
}
