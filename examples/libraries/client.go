package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/quietws/quietws/core/probetest"
	"github.com/quietws/quietws/examples/libraries/strict"
)

// visit is what one client has seen of its session.
type visit struct {
	code      int    // of the server's close frame, 1006 if there was none
	end       string // of the connection: see below
	fault     error  // what the server must not have sent
	after     bool   // fault came after the close frame
	answered  bool   // our close frame was written
	fragments bool   // a message came in several frames
}

// How a connection ends.
const (
	byFIN   = "FIN"
	byCut   = "FIN inside a message"
	byReset = "RST"
	byNone  = "none" // within patience
	never   = "no session"
)

// sent is an echo that is to come back.
type sent struct {
	opcode  byte
	payload []byte
}

// client is one session from the other side.
type client struct {
	id       int
	l        *library
	conn     *strict.Conn
	pace     time.Duration
	every    int
	answers  chan func() error // what is to be written at once, by a goroutine of its own
	ready    chan struct{}     // closed when payloads may be sent
	isReady  bool
	over     chan struct{} // closed at the close frame or the end
	slots    chan struct{} // one for each echo that is outstanding
	mu       sync.Mutex
	expected []sent
	got      int // echoes
	pings    atomic.Int64
	pushes   [pushers]int
	warmed   func() // is called once enough has gone both ways
	isWarm   bool
}

// dial opens a session.
func (c *child) dial(ctx context.Context) (*strict.Conn, error) {
	var config *tls.Config
	if c.tls {
		config = &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}
	}
	l := c.library
	conn, err := strict.Dial(ctx, c.addr, config, strict.Handshake{Path: l.route() + l.query, Protocol: l.dialect.protocol(), Deflate: c.deflate})
	if err != nil {
		return nil, err
	}
	if conn.Protocol != l.dialect.protocol() || conn.Compresses() != c.deflate {
		_ = conn.Close()
		return nil, fmt.Errorf("subprotocol %q, compression %v", conn.Protocol, conn.Compresses())
	}
	return conn, nil
}

// newClient makes a client of a session that is open, and says hello.
func newClient(id int, s server, conn *strict.Conn, warmed func()) *client {
	return &client{
		id: id, l: s.library, conn: conn, pace: s.pace / pushers, every: s.every, warmed: warmed,
		answers: make(chan func() error, 256), ready: make(chan struct{}), over: make(chan struct{}),
		slots: make(chan struct{}, s.library.dialect.window()),
	}
}

// run sends and reads until the connection has ended.
func (c *client) run() (v visit) {
	var wait sync.WaitGroup
	wait.Go(c.answer)
	wait.Go(c.send)
	for _, m := range c.l.dialect.hello(0) {
		c.text(m)
	}
	if _, open := c.l.dialect.(plain); open {
		c.isReady = true
		close(c.ready)
	}
	v = c.read()
	close(c.answers)
	_ = c.conn.Close()
	wait.Wait()
	return v
}

// answer writes what must not wait behind a message.
func (c *client) answer() {
	for write := range c.answers {
		_ = write() // how the session ends, the reader sees
	}
}

func (c *client) text(m string) {
	c.answers <- func() error { return c.conn.Send(probetest.OpText, []byte(m), 1) }
}

// echoSizes are the sizes of one echo after the other, in bytes.
var echoSizes = []int{1, 2, 17, 125, 126, 127, 1000, 4096, 9000, 65535, 65536, 100_000}

// longestAt is the echo which is the longest, in some sessions.
const longestAt = 3

func (c *client) hasLongest() bool { return c.id%c.every == 0 }

func (c *client) echo(n int) sent {
	size := echoSizes[(n+c.id)%len(echoSizes)]
	if c.hasLongest() && n%64 == longestAt {
		size = longest
	}
	at := (n*7919 + c.id*31) % (1 << 16)
	s := sent{opcode: probetest.OpText, payload: make([]byte, 0, size)}
	s.payload = append(append(s.payload, echoed), material[at:at+size-1]...)
	if n%2 == 1 && c.l.dialect.binary() {
		s.opcode = probetest.OpBinary
	}
	return s
}

// send sends echoes, a ping now and then, until the session is over.
func (c *client) send() {
	select {
	case <-c.ready:
	case <-c.over:
		return
	}
	tick := time.NewTicker(c.pace)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case c.slots <- struct{}{}:
		case <-c.over:
			return
		}
		s := c.echo(n)
		c.mu.Lock()
		c.expected = append(c.expected, s)
		c.mu.Unlock()
		frames := 1
		if c.l.fragmentsIn {
			frames += n % 3
		}
		var ping sync.WaitGroup
		if n%5 == 4 { // at the same time, and so at times between fragments
			ping.Go(func() { _ = c.conn.Control(probetest.OpPing, strconv.AppendInt(nil, c.pings.Add(1), 10)) })
		}
		err := c.conn.Send(s.opcode, c.l.dialect.encode(n, s.payload), frames)
		ping.Wait()
		if err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-c.over:
			return
		}
	}
}

// read reads to the end, and says what was wrong.
func (c *client) read() (v visit) {
	v.code = 1006
	over := sync.OnceFunc(func() { close(c.over) })
	defer over()
	for {
		_ = c.conn.ReadWithin(patience)
		m, err := c.conn.Next()
		if err != nil {
			v.ended(err)
			return v
		}
		v.fragments = v.fragments || m.Fragments > 1
		switch m.Opcode {
		case probetest.OpPing:
			body := bytes.Clone(m.Payload)
			c.answers <- func() error { return c.conn.Control(probetest.OpPong, body) }
		case probetest.OpPong:
			if n, err := strconv.ParseInt(string(m.Payload), 10, 64); err != nil || n < 1 || n > c.pings.Load() {
				v.fault = fmt.Errorf("a pong to nothing: %q", m.Payload)
				return v
			}
		case probetest.OpClose:
			v.code = m.Code()
			over()
			code, done := v.code, make(chan error, 1)
			c.answers <- func() error { err := c.conn.Goodbye(code); done <- err; return err }
			v.answered = <-done == nil
		default:
			if err := c.message(m); err != nil {
				v.fault = err
				return v
			}
		}
	}
}

// ended sorts the error that ended a session.
func (v *visit) ended(err error) {
	breach := new(strict.Fault)
	switch {
	case errors.As(err, &breach):
		v.fault = err
		v.after = strings.Contains(breach.What, "after the close frame")
	case errors.Is(err, io.EOF):
		v.end = byFIN
	case errors.Is(err, io.ErrUnexpectedEOF):
		v.end = byCut
	case errors.Is(err, os.ErrDeadlineExceeded):
		v.end = byNone
	case errors.Is(err, syscall.ECONNRESET):
		v.end = byReset
	default:
		v.fault = err
	}
}

// message checks what is in a data message.
func (c *client) message(m strict.Message) error {
	h, err := c.l.dialect.decode(m.Payload)
	if err != nil {
		return err
	}
	for _, a := range h.answers {
		c.text(a)
	}
	if h.ready && !c.isReady {
		c.isReady = true
		close(c.ready)
	}
	for _, p := range h.payloads {
		if err := c.payload(m.Opcode, p); err != nil {
			return err
		}
	}
	if !c.isWarm && c.warm() {
		c.isWarm = true
		c.warmed()
	}
	return nil
}

func (c *client) payload(opcode byte, p []byte) error {
	if len(p) == 0 {
		return errors.New("an empty message")
	}
	if p[0] == pushed {
		g, n, err := checkPush(p)
		switch {
		case err != nil:
			return err
		case n != c.pushes[g]:
			return fmt.Errorf("push %d of goroutine %d comes instead of %d", n, g, c.pushes[g])
		}
		c.pushes[g]++
		return nil
	}
	c.mu.Lock()
	if len(c.expected) == 0 {
		c.mu.Unlock()
		return fmt.Errorf("%d bytes that nobody sent: %.20q", len(p), p)
	}
	want := c.expected[0]
	c.expected = c.expected[1:]
	c.mu.Unlock()
	c.got++
	<-c.slots
	switch {
	case c.l.dialect.binary() && opcode != want.opcode:
		return fmt.Errorf("opcode %#x comes back as %#x", want.opcode, opcode)
	case !bytes.Equal(p, want.payload):
		return fmt.Errorf("an echo of %d bytes comes back as %d, %.20q", len(want.payload), len(p), p)
	}
	return nil
}

// warm reports whether enough has gone both ways, the longest too.
func (c *client) warm() bool {
	for _, n := range c.pushes {
		if n < 3 {
			return false
		}
	}
	return c.got > longestAt
}
