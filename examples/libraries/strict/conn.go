package strict

import (
	"bufio"
	"compress/flate"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/quietws/quietws/core/probetest"
)

// Handshake is what a client asks for.
type Handshake struct {
	Path     string
	Protocol string // the subprotocol, "" for none
	Deflate  bool   // permessage-deflate is offered
}

// Conn is a session. One goroutine reads; any may write.
type Conn struct {
	*Reader
	// Protocol is the subprotocol that the server chose.
	Protocol string

	tcp *net.TCPConn
	nc  net.Conn // tcp, or TLS above it

	message sync.Mutex // held for a whole data message
	wire    sync.Mutex // held for a frame
	closed  bool       // our close frame is out
	buf     []byte
	deflate *flate.Writer // nil: what is sent is not compressed
	packed  packed
}

// writeTime is how long a server may not read before a write here fails.
const writeTime = 20 * time.Second

// ErrClosed is the error of writing after the close frame.
var ErrClosed = errors.New("strict: our close frame is out")

// Dial opens a session; with config over TLS. An answer that is not a right 101
// is an error.
func Dial(ctx context.Context, addr string, config *tls.Config, h Handshake) (*Conn, error) {
	nc, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	c := &Conn{tcp: nc.(*net.TCPConn), nc: nc}
	if err := c.open(ctx, addr, config, h); err != nil {
		_ = nc.Close()
		return nil, err
	}
	return c, nil
}

func (c *Conn) open(ctx context.Context, addr string, config *tls.Config, h Handshake) error {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(writeTime)
	}
	if err := c.tcp.SetDeadline(deadline); err != nil {
		return err
	}
	if config != nil {
		over := tls.Client(c.tcp, config)
		if err := over.HandshakeContext(ctx); err != nil {
			return err
		}
		c.nc = over
	}
	r := probetest.WebSocket(h.Path)
	if h.Protocol != "" {
		r = r.With(probetest.Field{Name: "Sec-WebSocket-Protocol", Value: h.Protocol})
	}
	if h.Deflate {
		r = r.With(probetest.Field{Name: "Sec-WebSocket-Extensions", Value: "permessage-deflate; client_max_window_bits"})
	}
	if _, err := c.nc.Write(r.Bytes(probetest.Target{Addr: addr})); err != nil {
		return err
	}
	br := bufio.NewReaderSize(c.nc, 16<<10)
	answer, err := http.ReadResponse(br, nil)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("strict: the answer is %s", answer.Status)
	}
	if err := probetest.CheckAccept(r, answer.Header); err != nil {
		return err
	}
	c.Protocol = answer.Header.Get("Sec-WebSocket-Protocol")
	deflate, limited, err := deflated(answer.Header.Get("Sec-WebSocket-Extensions"))
	if err != nil {
		return err
	}
	c.Reader = NewReader(br, deflate)
	if deflate.On {
		level := flate.BestSpeed
		if limited {
			level = flate.HuffmanOnly // which looks back no byte
		}
		if c.deflate, err = flate.NewWriter(nil, level); err != nil {
			return err
		}
	}
	return c.tcp.SetDeadline(time.Time{})
}

// deflated reads the answer to the offer of permessage-deflate; limited says that
// the client's window is.
func deflated(extensions string) (d Deflate, limited bool, err error) {
	if extensions == "" {
		return d, false, nil
	}
	name, parameters, _ := strings.Cut(extensions, ";")
	if strings.TrimSpace(name) != "permessage-deflate" || strings.Contains(parameters, ",") {
		return d, false, fmt.Errorf("strict: extensions %q", extensions)
	}
	d = Deflate{On: true, Takeover: true}
	for p := range strings.SplitSeq(parameters, ";") {
		p, _, _ = strings.Cut(strings.TrimSpace(p), "=")
		switch p {
		case "server_no_context_takeover":
			d.Takeover = false
		case "client_max_window_bits":
			limited = true
		case "", "client_no_context_takeover", "server_max_window_bits":
		default:
			return d, false, fmt.Errorf("strict: what is %q in %q", p, extensions)
		}
	}
	return d, limited, nil
}

// Compresses reports whether permessage-deflate was negotiated.
func (c *Conn) Compresses() bool { return c.deflate != nil }

// packed collects a deflated message.
type packed struct{ b []byte }

func (p *packed) Write(b []byte) (int, error) {
	p.b = append(p.b, b...)
	return len(b), nil
}

// Send sends a data message in as many frames as said, each in a write of its
// own. Control frames of others may come between them.
func (c *Conn) Send(opcode byte, payload []byte, frames int) error {
	c.message.Lock()
	defer c.message.Unlock()
	head := opcode
	if c.deflate != nil {
		c.packed.b = c.packed.b[:0]
		c.deflate.Reset(&c.packed)
		if _, err := c.deflate.Write(payload); err != nil {
			return err
		}
		if err := c.deflate.Flush(); err != nil {
			return err
		}
		payload = c.packed.b[:len(c.packed.b)-4] // RFC 7692 §7.2.1
		head |= rsv1
	}
	for n := max(frames, 1); n > 0; n-- {
		part := payload[:len(payload)/n]
		payload = payload[len(part):]
		if n == 1 {
			head |= fin
		}
		if err := c.frame(head, part); err != nil {
			return err
		}
		head = probetest.OpContinuation
	}
	return nil
}

// Control sends a control frame.
func (c *Conn) Control(opcode byte, payload []byte) error { return c.frame(fin|opcode, payload) }

// Goodbye sends a close frame; code 1005 is one without a code.
func (c *Conn) Goodbye(code int) error {
	return c.Control(probetest.OpClose, probetest.CloseFrame(code, "").Payload)
}

// frame sends one, masked as RFC 6455 §5.3 says.
func (c *Conn) frame(head byte, payload []byte) error {
	c.wire.Lock()
	defer c.wire.Unlock()
	if c.closed {
		return ErrClosed
	}
	c.closed = head&0x0f == probetest.OpClose
	b := append(c.buf[:0], head)
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	key := rand.Uint32()
	b = binary.LittleEndian.AppendUint32(b, key)
	at := len(b)
	b = append(b, payload...)
	mask(b[at:], key)
	c.buf = b
	if err := c.nc.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return err
	}
	_, err := c.nc.Write(b)
	return err
}

// mask applies the key, whose bytes are in little-endian order.
func mask(b []byte, key uint32) {
	wide := uint64(key)<<32 | uint64(key)
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^wide)
		b = b[8:]
	}
	for i := range b {
		b[i] ^= byte(key >> (8 * (i % 4)))
	}
}

// ReadWithin sets how long the server may send nothing.
func (c *Conn) ReadWithin(d time.Duration) error { return c.tcp.SetReadDeadline(time.Now().Add(d)) }

// Close ends the TCP connection, under TLS with close_notify.
func (c *Conn) Close() error { return c.nc.Close() }

// Leave ends the TCP connection with a FIN, and nothing of TLS before it.
func (c *Conn) Leave() error { return c.tcp.Close() }

// Reset ends the TCP connection with a RST.
func (c *Conn) Reset() error { return errors.Join(c.tcp.SetLinger(0), c.tcp.Close()) }
