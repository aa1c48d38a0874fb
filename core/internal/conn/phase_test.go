package conn

import (
	"io"
	"net"
	"sync"
	"testing"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/conn/conntest"
)

// The class is decided once, however often Close is called, and nothing is noted after it.
func TestConnCloseOnce(t *testing.T) {
	g := newRecorder(t)
	a, b := net.Pipe()
	defer func() { _ = b.Close() }()
	c := recorded(g, a)
	go func() { _, _ = b.Write([]byte("GET")) }()
	read(c)
	var closers sync.WaitGroup
	for range 8 {
		closers.Go(func() { _ = c.Close() })
	}
	closers.Wait()
	before := g.of(event.ServerClosed)
	_ = c.Close()
	read(c)
	write(c)
	after := g.of(event.ServerClosed)
	if before != 1 || after != 1 || g.open() != 0 {
		t.Errorf("%d server_closed, then %d: want one", before, after)
	}
	noneLeft(t, g.watch.Conns)
}

// The class is decided only after the last request is finished, whether that or the close
// comes first.
func TestConnWaitsForItsRequests(t *testing.T) {
	g := newRecorder(t)
	c := recorded(g, &conntest.Script{Reads: []conntest.Step{{Data: "", Err: io.EOF}}})
	for range 2 {
		if !c.Begin() {
			t.Fatal("a request cannot begin on an open connection")
		}
	}
	read(c)
	_ = c.Close()
	if len(g.watch.Conns.All()) != 1 {
		t.Fatal("decided with two requests unfinished")
	}
	c.Release()
	if !c.Begin() {
		t.Error("a request cannot begin while another is unfinished")
	}
	c.Release()
	if len(g.watch.Conns.All()) != 1 {
		t.Fatal("decided with a request unfinished")
	}
	c.Mark(Ordinary)
	c.Release()
	if n := g.of(event.HTTP); n != 1 || g.open() != 0 {
		t.Errorf("%d http, %d open: want one http", n, g.open())
	}
	if c.Begin() {
		t.Error("a request began on a connection whose class is decided")
	}
	noneLeft(t, g.watch.Conns)
}
