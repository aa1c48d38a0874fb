// Package plainws is the server's side of WebSocket (RFC 6455) by the standard
// library alone. It is for tests and examples of a module that requires no
// WebSocket library, where which one it is does not matter; those in which it
// does are in the modules named librarytest.
package plainws

import (
	"bufio"
	"bytes"
	"compress/flate"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// The opcodes of RFC 6455 §5.2.
const (
	continuation byte = 0x0
	closing      byte = 0x8
	ping         byte = 0x9
	pong         byte = 0xA
)

// GoingAway is the code of a server that shuts down (RFC 6455 §7.4.1).
const GoingAway = 1001

// maxMessage is how long a message may be.
const maxMessage = 1 << 20

// CloseError is what the peer closed the session with, 1005 if it named no code.
type CloseError struct{ Code int }

// Error has nothing of the peer's but the code.
func (e CloseError) Error() string { return fmt.Sprintf("websocket: close %d", e.Code) }

// Conn is an open session. One goroutine at a time may read; writing and closing
// are for everybody.
type Conn struct {
	nc    net.Conn
	br    *bufio.Reader
	mu    sync.Mutex // of writes
	ended bool       // a close frame was sent
}

// Options are what libraries differ in; nil is none of it.
type Options struct {
	// Subprotocols that the server speaks: the first that the client offers.
	Subprotocols []string
	// AnyOrigin lets every page in: somebody else has compared.
	AnyOrigin bool
	// ByWriter answers through the ResponseWriter and takes the connection over
	// then, as coder/websocket does; else it is the other way round.
	ByWriter bool
	// NotEarly closes the connection of a client that does not wait for the
	// answer, without one, as gorilla/websocket does.
	NotEarly bool
}

// Upgrade makes a session of a handshake. What it refuses it answers: a request
// that is no handshake with 426, a page of another host with 403.
func Upgrade(w http.ResponseWriter, r *http.Request, o *Options) (*Conn, error) {
	if o == nil {
		o = new(Options)
	}
	refuse := func(status int, why string) (*Conn, error) {
		http.Error(w, why, status)
		return nil, errors.New("websocket: " + why)
	}
	key := r.Header.Get("Sec-Websocket-Key")
	nonce, err := base64.StdEncoding.DecodeString(key)
	switch {
	case !lists(r, "Connection", "upgrade") || !lists(r, "Upgrade", "websocket"):
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "websocket") // RFC 9110 §15.5.22
		return refuse(http.StatusUpgradeRequired, "not a websocket handshake")
	case r.Method != http.MethodGet:
		return refuse(http.StatusMethodNotAllowed, "not a GET")
	case !lists(r, "Sec-Websocket-Version", "13"):
		return refuse(http.StatusBadRequest, "unsupported version")
	case err != nil || len(nonce) != 16:
		return refuse(http.StatusBadRequest, "no key, or a bad one")
	case !o.AnyOrigin && !sameHost(r):
		return refuse(http.StatusForbidden, "origin not allowed")
	case !canHijack(w):
		return refuse(http.StatusNotImplemented, "the connection cannot be taken over")
	}
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) // RFC 6455 §4.2.2
	fields := [][2]string{
		{"Upgrade", "websocket"}, {"Connection", "Upgrade"}, {"Sec-WebSocket-Accept", base64.StdEncoding.EncodeToString(sum[:])},
	}
	for _, offered := range items(r, "Sec-Websocket-Protocol") {
		if slices.Contains(o.Subprotocols, offered) {
			fields = append(fields, [2]string{"Sec-WebSocket-Protocol", offered})
			break
		}
	}
	for _, offered := range items(r, "Sec-Websocket-Extensions") { // RFC 7692; what the server sends is never compressed
		if name, _, _ := strings.Cut(offered, ";"); strings.TrimSpace(name) == "permessage-deflate" {
			fields = append(fields, [2]string{"Sec-WebSocket-Extensions", "permessage-deflate; server_no_context_takeover; client_no_context_takeover"})
			break
		}
	}
	if o.ByWriter {
		for _, f := range fields {
			w.Header().Set(f[0], f[1])
		}
		w.WriteHeader(http.StatusSwitchingProtocols)
	}
	nc, brw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, err
	}
	if o.NotEarly && brw.Reader.Buffered() > 0 {
		return nil, errors.Join(errors.New("websocket: the client did not wait"), nc.Close())
	}
	if !o.ByWriter {
		answer := "HTTP/1.1 101 Switching Protocols\r\n"
		for _, f := range fields {
			answer += f[0] + ": " + f[1] + "\r\n"
		}
		if _, err := io.WriteString(nc, answer+"\r\n"); err != nil {
			return nil, errors.Join(err, nc.Close())
		}
	}
	return &Conn{nc: nc, br: brw.Reader}, nil
}

// items are those of a list in the header.
func items(r *http.Request, field string) []string {
	list := strings.Split(strings.Join(r.Header[field], ","), ",")
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	return list
}

func lists(r *http.Request, field, token string) bool {
	return slices.ContainsFunc(items(r, field), func(item string) bool { return strings.EqualFold(item, token) })
}

// canHijack reports whether w is an [http.Hijacker] below whatever is around it.
func canHijack(w http.ResponseWriter) bool {
	for {
		if _, ok := w.(http.Hijacker); ok {
			return true
		}
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return false
		}
		w = u.Unwrap()
	}
}

func sameHost(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	u, err := url.Parse(origin)
	return origin == "" || err == nil && strings.EqualFold(u.Host, r.Host)
}

// Read returns the next message, as text (1) or binary (2). It answers pings, and
// a close frame, which it returns as a [CloseError].
func (c *Conn) Read() (kind byte, message []byte, err error) {
	compressed := false
	for {
		first, payload, err := c.frame()
		if err != nil {
			return 0, nil, err
		}
		switch opcode := first & 0x0f; opcode {
		case ping:
			if err := c.Write(pong, payload); err != nil {
				return 0, nil, err
			}
			continue
		case pong:
			continue
		case closing:
			end := CloseError{1005}
			if len(payload) >= 2 {
				end.Code = int(binary.BigEndian.Uint16(payload))
			}
			_ = c.close(payload)
			return 0, nil, end
		case continuation:
		default:
			kind, compressed = opcode, first&0x40 != 0
		}
		if message = append(message, payload...); len(message) > maxMessage {
			return 0, nil, errors.New("websocket: the message is too long")
		}
		if first&0x80 == 0 {
			continue
		}
		if compressed { // RFC 7692 §7.2.2
			tail := "\x00\x00\xff\xff\x01\x00\x00\xff\xff"
			inflate := flate.NewReader(io.MultiReader(bytes.NewReader(message), strings.NewReader(tail)))
			message, err = io.ReadAll(io.LimitReader(inflate, maxMessage))
		}
		return kind, message, err
	}
}

// frame reads one, which has to be masked (RFC 6455 §5.1).
func (c *Conn) frame() (first byte, payload []byte, err error) {
	var head [14]byte
	if _, err := io.ReadFull(c.br, head[:2]); err != nil {
		return 0, nil, err
	}
	if head[1]&0x80 == 0 {
		return 0, nil, errors.New("websocket: the client does not mask")
	}
	n, size := uint64(head[1]&0x7f), 0
	switch n {
	case 126:
		size = 2
	case 127:
		size = 8
	}
	if _, err := io.ReadFull(c.br, head[2:2+size+4]); err != nil {
		return 0, nil, err
	}
	switch size {
	case 2:
		n = uint64(binary.BigEndian.Uint16(head[2:]))
	case 8:
		n = binary.BigEndian.Uint64(head[2:])
	}
	if n > maxMessage {
		return 0, nil, errors.New("websocket: the frame is too long")
	}
	payload = make([]byte, n)
	if _, err := io.ReadFull(c.br, payload); err != nil {
		return 0, nil, err
	}
	for i := range payload {
		payload[i] ^= head[2+size+i%4]
	}
	return head[0], payload, nil
}

// Write sends a message in one frame.
func (c *Conn) Write(kind byte, message []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.write(kind, message)
}

func (c *Conn) write(opcode byte, payload []byte) error {
	b := []byte{0x80 | opcode}
	switch n := len(payload); {
	case n < 126:
		b = append(b, byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
	}
	_, err := c.nc.Write(append(b, payload...))
	return err
}

// Goodbye sends a close frame with this code, unless one was sent. The peer's
// answer is what Read then returns.
func (c *Conn) Goodbye(code int) error {
	return c.close(binary.BigEndian.AppendUint16(nil, uint16(code)))
}

func (c *Conn) close(payload []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return nil
	}
	c.ended = true
	return c.write(closing, payload)
}

// Close closes the connection without a word.
func (c *Conn) Close() error { return c.nc.Close() }
