package conn

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/quietws/quietws/core/internal/conn/conntest"
)

// readAll reads from c until an error, at most size bytes at a time.
func readAll(c *Conn, size int) (got []byte, err error) {
	for err == nil {
		p := make([]byte, size)
		var n int
		n, err = c.Read(p)
		got = append(got, p[:n]...)
	}
	return got, err
}

// The first bytes are the same however the reads split them.
func TestConnFirstBytes(t *testing.T) {
	g := newRecorder(t)
	all := string(conntest.LineProxyV1)
	check := func(rule string, c *Conn, want string) {
		t.Helper()
		if f := c.evidence(); string(f.head) != want[:min(len(want), headSize)] || f.in != int64(len(want)) {
			t.Errorf("%s: head %q of %d bytes, want %q of %d", rule, f.head, f.in, want[:min(len(want), headSize)], len(want))
		}
		_ = c.Close()
	}
	for cut := range len(all) + 1 {
		c := recorded(g, &conntest.Script{Reads: []conntest.Step{{Data: all[:cut], Err: nil}, {Data: "", Err: nil}, {Data: all[cut:], Err: io.EOF}}})
		if got, err := readAll(c, 100); err != io.EOF || string(got) != all {
			t.Fatalf("read %q, %v", got, err)
		}
		check("in two reads", c, all)

		c = recorded(g, &conntest.Script{Reads: []conntest.Step{{Data: all[:cut], Err: io.EOF}}})
		_, _ = readAll(c, 100)
		check("with the end in the same read", c, all[:cut])
	}
	for size := 1; size <= 2*headSize; size++ {
		var steps []conntest.Step
		for rest := all; rest != ""; {
			n := min(size, len(rest))
			steps = append(steps, conntest.Step{Data: rest[:n], Err: nil})
			rest = rest[n:]
		}
		c := recorded(g, &conntest.Script{Reads: append(steps, conntest.Step{Data: "", Err: io.EOF})})
		_, _ = readAll(c, size)
		check("in small reads", c, all)
	}
}

func TestConnCounts(t *testing.T) {
	g := newRecorder(t)
	c := recorded(g, &conntest.Script{
		Reads:  []conntest.Step{{Data: "12345", Err: nil}, {Data: "", Err: nil}, {Data: "67", Err: syscall.ECONNRESET}},
		Writes: []conntest.Step{{Data: "abc", Err: nil}, {Data: "d", Err: syscall.EPIPE}, {Data: "", Err: syscall.EPIPE}},
	})
	if _, err := readAll(c, 10); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the error of the connection below came up as %v", err)
	}
	for _, want := range []struct {
		n   int
		err error
	}{{3, nil}, {1, syscall.EPIPE}, {0, syscall.EPIPE}} {
		if n, err := c.Write([]byte("abc")); n != want.n || err != want.err {
			t.Errorf("Write returned %d, %v, want %d, %v", n, err, want.n, want.err)
		}
	}
	if f := c.evidence(); f.in != 7 || f.out != 4 || string(f.head) != "1234567" {
		t.Errorf("%d in, %d out, head %q", f.in, f.out, f.head)
	}
	below := errors.New("below")
	c.Conn.(*conntest.Script).CloseErr = below
	if err := c.Close(); err != below {
		t.Errorf("Close returned %v, want what the connection below returned", err)
	}
}

func read(c *Conn) { _, _ = c.Read(make([]byte, 10)) }

func write(c *Conn) { _, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) }

// Readers, writers, deadlines, closers and the drain run at once, over real sockets.
func TestConnConcurrent(t *testing.T) {
	g := newRecorder(t)
	for range 20 {
		server, client := conntest.TCPPair(t)
		c := recorded(g, server)
		payload := bytes.Repeat([]byte("x"), 4096)
		var users sync.WaitGroup
		users.Go(func() {
			for range 50 {
				if _, err := client.Write(payload); err != nil {
					return
				}
			}
			_ = client.CloseWrite()
		})
		users.Go(func() { _, _ = io.Copy(io.Discard, client) })
		var in [2]int64
		for i := range in {
			users.Go(func() { in[i], _ = io.Copy(io.Discard, struct{ io.Reader }{c}) })
		}
		users.Go(func() {
			for range 50 {
				_, _ = c.Write(payload)
				_ = c.SetReadDeadline(time.Now().Add(time.Hour))
				_ = c.evidence()
				_ = g.watch.Conns.Find(c.Remote())
				runtime.Gosched()
			}
			_ = c.CloseWrite()
		})
		users.Go(func() { _ = g.watch.Conns.All(); _ = g.open() })
		users.Wait()
		if got := in[0] + in[1]; got != 50*4096 || c.In.Load() != got || c.Out.Load() != 50*4096 {
			t.Errorf("read %d, counted %d in and %d out, want %d each", got, c.In.Load(), c.Out.Load(), 50*4096)
		}
		if f := c.evidence(); string(f.head) != strings.Repeat("x", headSize) {
			t.Errorf("head %q", f.head)
		}
		_, _ = c.Close(), client.Close()
	}
	if n := g.open(); g.accepted != 20 || n != 0 {
		t.Errorf("accepted %d, open %d", g.accepted, n)
	}
	noneLeft(t, g.watch.Conns)
}
