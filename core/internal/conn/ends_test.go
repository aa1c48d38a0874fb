package conn

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quietws/quietws/core/internal/conn/conntest"
)

// keepAliveTimedOut is a timeout that no deadline of ours caused.
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
		// A peer that vanished sends nothing: the kernel gives up.
		{"keep-alive unanswered", keepAliveTimedOut, endReset},
		{"no route to the peer", op("read", os.NewSyscallError("read", syscall.EHOSTUNREACH)), endReset},
		{"its network is down", op("write", os.NewSyscallError("write", syscall.ENETUNREACH)), endReset},
		{"a deadline", os.ErrDeadlineExceeded, endTimeout},
		{"a deadline of net", op("read", os.ErrDeadlineExceeded), endTimeout},
		{"closed here", net.ErrClosed, endClosed},
		{"closed here, of net", op("read", net.ErrClosed), endClosed},
		{"closed here, a pipe", io.ErrClosedPipe, endClosed},
		{"of a listener below", errors.New("proxyproto: invalid signature"), endOther},
		{"an unexpected EOF, which a layer below returns", io.ErrUnexpectedEOF, endOther},
	} {
		if got := endOf(row.err); got != row.want {
			t.Errorf("%s: endOf(%v) = %d, want %d", row.rule, row.err, got, row.want)
		}
	}
}

// The first end counts: an error on a connection that this side closed says nothing about
// the peer.
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
		{"closed here while a read waited, whatever that read returns", &conntest.Script{Reads: []conntest.Step{{Data: "", Err: reset}}},
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

// net/http ends its background read with a deadline in the past: its expiry says nothing
// about the peer. The expiry of a deadline in the future does.
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

// The age of a connection ends when the peer was found to be gone, not when this side
// closed it later.
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
