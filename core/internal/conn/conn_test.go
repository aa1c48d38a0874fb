package conn

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/conn/conntest"
)

// readAll reads from c in pieces of at most size bytes until an error.
func readAll(c *Conn, size int) (got []byte, err error) {
	for err == nil {
		p := make([]byte, size)
		var n int
		n, err = c.Read(p)
		got = append(got, p[:n]...)
	}
	return got, err
}

// The first bytes are the same however they arrive.
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

// timeoutError is a timeout that no deadline of ours made.
var keepAliveTimedOut = &net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ETIMEDOUT)}

func TestEndOf(t *testing.T) {
	op := func(name string, err error) error { return &net.OpError{Op: name, Net: "tcp", Err: err} }
	for _, row := range []struct {
		rule string
		err  error
		want endKind
	}{
		{"the peer closed", io.EOF, endEOF},
		{"reset", op("read", os.NewSyscallError("read", syscall.ECONNRESET)), endReset},
		{"gone when we wrote", op("write", os.NewSyscallError("write", syscall.EPIPE)), endReset},
		{"aborted", syscall.ECONNABORTED, endReset},
		// A peer that is no longer there never says so: the kernel gives up.
		{"keep-alive unanswered", keepAliveTimedOut, endReset},
		{"the way to the peer is gone", op("read", os.NewSyscallError("read", syscall.EHOSTUNREACH)), endReset},
		{"its network is gone", op("write", os.NewSyscallError("write", syscall.ENETUNREACH)), endReset},
		{"a deadline", os.ErrDeadlineExceeded, endTimeout},
		{"a deadline of net", op("read", os.ErrDeadlineExceeded), endTimeout},
		{"closed here", net.ErrClosed, endClosed},
		{"closed here, of net", op("read", net.ErrClosed), endClosed},
		{"closed here, a pipe", io.ErrClosedPipe, endClosed},
		{"of a listener below", errors.New("proxyproto: invalid signature"), endOther},
		{"an EOF in the middle of something, which is of a layer below", io.ErrUnexpectedEOF, endOther},
	} {
		if got := endOf(row.err); got != row.want {
			t.Errorf("%s: endOf(%v) = %d, want %d", row.rule, row.err, got, row.want)
		}
	}
}

// Who ended the connection is what the first of them did; what fails on a
// closed connection says nothing about the peer.
func TestConnWhoEnded(t *testing.T) {
	g := newRecorder(t)
	reset := os.NewSyscallError("read", syscall.ECONNRESET)
	for _, row := range []struct {
		rule      string
		conn      *conntest.Script
		do        func(*Conn)
		end       endKind
		peerFirst bool
		gone      bool
	}{
		{"nothing happened", &conntest.Script{}, func(*Conn) {}, endNone, false, false},
		{"closed here", &conntest.Script{Reads: []conntest.Step{{Data: "", Err: net.ErrClosed}}}, func(c *Conn) { _ = c.Close(); read(c) }, endClosed, false, false},
		{"closed here while a read waited: whatever that returns", &conntest.Script{Reads: []conntest.Step{{Data: "", Err: reset}}},
			func(c *Conn) { c.Note(Closed); read(c) }, endClosed, false, false},
		{"the peer closed", &conntest.Script{Reads: []conntest.Step{{Data: "", Err: io.EOF}}}, read, endEOF, true, true},
		{"the peer reset", &conntest.Script{Reads: []conntest.Step{{Data: "", Err: reset}}}, read, endReset, true, true},
		{"the peer closed after an answer", &conntest.Script{Reads: []conntest.Step{{Data: "", Err: io.EOF}}}, func(c *Conn) { write(c); read(c) }, endEOF, false, true},
		{"the peer was gone when we wrote", &conntest.Script{Writes: []conntest.Step{{Data: "", Err: syscall.EPIPE}}}, write, endNone, true, true},
		{"the peer closed, then we, and a read after that", &conntest.Script{Reads: []conntest.Step{{Data: "", Err: io.EOF}, {Data: "", Err: net.ErrClosed}}},
			func(c *Conn) { read(c); _ = c.Close(); read(c) }, endEOF, true, true},
		{"the peer reset, and a read ran into a deadline after that", &conntest.Script{Reads: []conntest.Step{{Data: "", Err: reset}, {Data: "", Err: os.ErrDeadlineExceeded}}},
			func(c *Conn) { read(c); read(c) }, endReset, true, true},
		{"a deadline, and the peer closed later", &conntest.Script{Reads: []conntest.Step{{Data: "", Err: os.ErrDeadlineExceeded}, {Data: "", Err: io.EOF}}},
			func(c *Conn) { read(c); read(c) }, endEOF, true, true},
		{"a deadline", &conntest.Script{Reads: []conntest.Step{{Data: "", Err: os.ErrDeadlineExceeded}}}, read, endTimeout, false, false},
		{"a deadline for writing", &conntest.Script{Writes: []conntest.Step{{Data: "", Err: os.ErrDeadlineExceeded}}}, write, endNone, false, false},
		{"the peer vanished without a word", &conntest.Script{Reads: []conntest.Step{{Data: "", Err: keepAliveTimedOut}}}, read, endReset, true, true},
	} {
		c := recorded(g, row.conn)
		row.do(c)
		f := c.evidence()
		if f.readEnd != row.end || f.saw(PeerFirst) != row.peerFirst || c.PeerGone() != row.gone {
			t.Errorf("%s: end %d, peer first %v, peer gone %v, want %d, %v, %v",
				row.rule, f.readEnd, f.saw(PeerFirst), c.PeerGone(), row.end, row.peerFirst, row.gone)
		}
		_ = c.Close()
	}
}

func read(c *Conn)  { _, _ = c.Read(make([]byte, 10)) }
func write(c *Conn) { _, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) }

// net/http ends its background read with a deadline in the past: its expiry
// says nothing about the peer. One that was in the future does.
func TestConnPastDeadlines(t *testing.T) {
	past := time.Unix(1, 0)
	soon := func() time.Time { return time.Now().Add(time.Minute) }
	type set = func(*Conn, time.Time) error
	var read, both set = (*Conn).SetReadDeadline, (*Conn).SetDeadline
	for _, row := range []struct {
		rule string
		sets []func(*Conn) error
		want endKind
	}{
		{"in the past", []func(*Conn) error{func(c *Conn) error { return read(c, past) }}, endNone},
		{"in the past, for both", []func(*Conn) error{func(c *Conn) error { return both(c, past) }}, endNone},
		{"now is past", []func(*Conn) error{func(c *Conn) error { return read(c, time.Now()) }}, endNone},
		{"first later, then in the past", []func(*Conn) error{
			func(c *Conn) error { return read(c, soon()) },
			func(c *Conn) error { return read(c, past) }}, endNone},
		{"in the past, and one for writing after it", []func(*Conn) error{
			func(c *Conn) error { return read(c, past) },
			func(c *Conn) error { return c.SetWriteDeadline(soon()) }}, endNone},
		{"later", []func(*Conn) error{func(c *Conn) error { return read(c, soon()) }}, endTimeout},
		{"first in the past, then later", []func(*Conn) error{
			func(c *Conn) error { return read(c, past) },
			func(c *Conn) error { return read(c, soon()) }}, endTimeout},
		{"first in the past, then none, then later for both", []func(*Conn) error{
			func(c *Conn) error { return read(c, past) },
			func(c *Conn) error { return read(c, time.Time{}) },
			func(c *Conn) error { return both(c, soon()) }}, endTimeout},
	} {
		synctest.Test(t, func(t *testing.T) {
			g := newRecorder(t)
			a, b := net.Pipe()
			defer func() { _ = b.Close() }()
			c := recorded(g, a)
			for _, set := range row.sets {
				if err := set(c); err != nil {
					t.Fatal(err)
				}
			}
			_, err := c.Read(make([]byte, 1))
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("%s: Read returned %v", row.rule, err)
			}
			if got := c.evidence().readEnd; got != row.want {
				t.Errorf("%s: the end is %d, want %d", row.rule, got, row.want)
			}
			_ = c.Close()
		})
	}
}

// The age of a connection is that at which the peer was seen to be gone, not
// that at which somebody got round to closing it.
func TestConnAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRecorder(t)
		for _, row := range []struct {
			rule string
			err  error
			want time.Duration
		}{
			{"the peer left", io.EOF, 2 * time.Second},
			{"the server's timeout", os.ErrDeadlineExceeded, 9 * time.Second},
		} {
			c := recorded(g, &conntest.Script{Reads: []conntest.Step{{Data: "", Err: row.err}}})
			<-time.After(2 * time.Second)
			read(c)
			<-time.After(7 * time.Second)
			if age := c.evidence().age; age != row.want {
				t.Errorf("%s: age %v, want %v", row.rule, age, row.want)
			}
			_ = c.Close()
		}
		c := recorded(g, &conntest.Script{Reads: []conntest.Step{{Data: "", Err: io.EOF}}})
		read(c)
		<-time.After(time.Hour)
		if age := c.evidence().age; age != 0 {
			t.Errorf("gone at once: age %v", age)
		}
		_ = c.Close()
	})
}

// The first thing that a server writes tells what it answered without calling
// anyone.
func TestConnNotesTheFirstAnswer(t *testing.T) {
	g := newRecorder(t)
	for _, row := range []struct {
		rule   string
		writes []string
		status int
		more   uint32
	}{
		{"nothing", nil, 0, 0},
		{"an empty write", []string{""}, 0, 0},
		{"a status", []string{"HTTP/1.1 400 Bad Request\r\n"}, 400, 0},
		{"an empty write, then a status", []string{"", "HTTP/1.0 431 Too Large\r\n"}, 431, 0},
		{"the first of two", []string{"HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 500 Oh\r\n\r\n"}, 200, 0},
		{"net/http says why", []string{"HTTP/1.1 400 Bad Request: missing required Host header\r\n"}, 400, answerExplained},
		{"a text that begins alike", []string{"HTTP/1.1 400 Bad Requests\r\n"}, 400, 0},
		{"no explanation on another status", []string{"HTTP/1.1 501 Not Impleme: x\r\n"}, 501, 0},
		{"a TLS handshake record", []string{"\x16\x03\x03\x00\x7a\x02"}, 0, answerTLS},
		{"a TLS alert", []string{"\x15\x03\x01\x00\x02\x02\x46"}, 0, answerTLS},
		{"a status that is none", []string{"HTTP/1.1 999 Oh\r\n"}, 0, answerOther},
		{"letters for a status", []string{"HTTP/1.1 abc Oh\r\n"}, 0, answerOther},
		{"another protocol", []string{"SSH-2.0-OpenSSH_9.2\r\n"}, 0, answerOther},
		{"less than a status line", []string{"HTTP/1.1 40"}, 0, answerOther},
		{"HTTP/2 frames", []string{"\x00\x00\x12\x04\x00\x00\x00\x00\x00"}, 0, answerOther},
	} {
		c := recorded(g, &conntest.Script{})
		for _, w := range row.writes {
			if _, err := c.Write([]byte(w)); err != nil {
				t.Fatal(err)
			}
		}
		f := c.evidence()
		flags := f.answer &^ uint32(answerStatus)
		if row.more == answerTLS { // which alert it was may be noted as well
			flags &= answerTLS
		} else if f.status() != row.status {
			t.Errorf("%s: status %d, want %d", row.rule, f.status(), row.status)
		}
		if flags != row.more {
			t.Errorf("%s: %#x, want %#x", row.rule, flags, row.more)
		}
		_ = c.Close()
	}
}

// Close decides once, however many call it, and what comes after it is no fact.
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

// A request that is not finished holds the decision back, in whatever order
// the two ends come.
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
		t.Error("a request cannot begin while another holds the decision back")
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

// readers, writers, deadlines, closers and the drain at once, over real
// sockets.
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

// A server that closes a hundred connections, each of which began a PROXY line and
// stayed, holds its lock meanwhile: it waits for one of them at most.
func TestCloseWaitsForOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRecorder(t)
		var conns []*Conn
		for range 100 {
			server, client := net.Pipe()
			defer func() { _ = client.Close() }()
			c := recorded(g, server)
			go func() { _, _ = io.WriteString(client, "PROXY ") }()
			if _, err := c.Read(make([]byte, 16)); err != nil {
				t.Fatal(err)
			}
			conns = append(conns, c)
		}
		start := time.Now()
		for _, c := range conns {
			_ = c.Close()
		}
		if took := time.Since(start); took > lastLooks {
			t.Errorf("closing took %v", took)
		}

		// Long after, a peer that leaves is seen to leave again.
		<-time.After(2 * lookPause)
		server, client := net.Pipe()
		c := recorded(g, server)
		go func() { _, _ = io.WriteString(client, "PROXY ") }()
		_, _ = c.Read(make([]byte, 16))
		time.AfterFunc(lastLooks/2, func() { _ = client.Close() })
		_ = c.Close()
		if end := c.end(readEnd); end != endEOF {
			t.Errorf("a peer that leaves was not seen to: %v", end)
		}
	})
}
