// Package strict is a WebSocket client that forgives a server nothing: it reads
// frame by frame (RFC 6455 §5, RFC 7692) and calls everything a fault that a
// lenient client would let pass, so that a frame put into the wrong place shows.
package strict

import (
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/quietws/quietws/core/probetest"
)

// MaxMessage is the longest message that is read, compressed or not, in bytes.
const MaxMessage = 16 << 20

// A Fault is what a server must not send.
type Fault struct{ What string }

func (f *Fault) Error() string { return "fault: " + f.What }

func fault(format string, args ...any) error { return &Fault{fmt.Sprintf(format, args...)} }

// Deflate is what was negotiated of permessage-deflate.
type Deflate struct {
	On bool
	// Takeover: the server's messages refer to what it sent before (RFC 7692 §7.1.1).
	Takeover bool
}

// Message is a whole data message, inflated, or a control frame.
type Message struct {
	Opcode byte
	// Payload is valid until the next call.
	Payload []byte
	// Fragments is how many frames the message came in.
	Fragments int
	// Compressed: it came deflated.
	Compressed bool
}

// Code is the code of a close frame as [probetest.Frame.Code] has it.
func (m Message) Code() int { return probetest.Frame{Opcode: m.Opcode, Payload: m.Payload}.Code() }

// Reader reads what a server sends and checks it.
type Reader struct {
	br       *bufio.Reader
	deflate  Deflate
	message  []byte // what has come of a data message
	control  []byte
	opcode   byte // of that message, 0 if none has begun
	rsv1     bool
	frames   int
	inflated []byte
	inflater io.ReadCloser
	window   []byte // the end of what was inflated before, with takeover
	closed   bool   // the close frame has come
}

// NewReader returns a reader of what follows the handshake.
func NewReader(br *bufio.Reader, deflate Deflate) *Reader {
	return &Reader{br: br, deflate: deflate, inflater: flate.NewReader(nil)}
}

// Next returns the next data message, or the next control frame, which may come
// between the fragments of one. A breach is a *[Fault]. The end of the stream is
// io.EOF between messages and io.ErrUnexpectedEOF inside one; another error is the
// connection's. After the close frame the only right answer is io.EOF.
func (r *Reader) Next() (Message, error) {
	for {
		head, payload, err := r.frame()
		if err != nil {
			return Message{}, err
		}
		opcode := head & 0x0f
		if opcode >= probetest.OpClose {
			m := Message{Opcode: opcode, Payload: payload, Fragments: 1}
			if opcode == probetest.OpClose {
				r.closed = true
				return m, checkClose(payload)
			}
			return m, nil
		}
		if opcode != probetest.OpContinuation {
			r.opcode, r.rsv1, r.frames = opcode, head&rsv1 != 0, 0
		}
		r.frames++
		if head&fin == 0 {
			continue
		}
		m := Message{Opcode: r.opcode, Payload: r.message, Fragments: r.frames, Compressed: r.rsv1}
		r.opcode, r.message = 0, r.message[:0]
		if m.Compressed {
			m.Payload, err = r.inflate(m.Payload)
		}
		return m, err
	}
}

const (
	fin  = 0x80
	rsv1 = 0x40
	rsv2 = 0x20
	rsv3 = 0x10
)

// frame reads one and checks its head. The payload of a data frame is appended to
// the message.
func (r *Reader) frame() (head byte, payload []byte, err error) {
	head, err = r.br.ReadByte()
	switch {
	case err == nil && r.closed:
		return 0, nil, fault("something after the close frame, beginning with %#x", head)
	case err != nil && r.opcode != 0:
		return 0, nil, unexpected(err)
	case err != nil:
		return 0, nil, err
	}
	if err := r.checkHead(head); err != nil {
		return 0, nil, err
	}
	n, err := r.length()
	if err != nil {
		return 0, nil, unexpected(err)
	}
	if head&0x0f >= probetest.OpClose {
		if n > 125 {
			return 0, nil, fault("a control frame of %d bytes", n)
		}
		r.control = append(r.control[:0], make([]byte, n)...)
		_, err := io.ReadFull(r.br, r.control)
		return head, r.control, unexpected(err)
	}
	had := len(r.message)
	if n > MaxMessage-uint64(had) {
		return 0, nil, fault("a message of more than %d bytes", MaxMessage)
	}
	r.message = grown(r.message, int(n))
	_, err = io.ReadFull(r.br, r.message[had:])
	return head, r.message[had:], unexpected(err)
}

// grown is b with n more bytes.
func grown(b []byte, n int) []byte {
	if cap(b)-len(b) < n {
		b = append(make([]byte, 0, 2*(len(b)+n)), b...)
	}
	return b[:len(b)+n]
}

// checkHead judges the first byte of a frame.
func (r *Reader) checkHead(head byte) error {
	opcode := head & 0x0f
	control := opcode >= probetest.OpClose
	switch {
	case head&(rsv2|rsv3) != 0:
		return fault("reserved bits in %#x", head)
	case head&rsv1 != 0 && !r.deflate.On:
		return fault("RSV1 without an extension in %#x", head)
	case head&rsv1 != 0 && (control || opcode == probetest.OpContinuation):
		return fault("RSV1 in a control frame or a continuation: %#x", head)
	case opcode > probetest.OpBinary && opcode < probetest.OpClose || opcode > probetest.OpPong:
		return fault("opcode %#x", opcode)
	case control && head&fin == 0:
		return fault("a fragmented control frame: %#x", head)
	case !control && opcode == probetest.OpContinuation && r.opcode == 0:
		return fault("a continuation of nothing")
	case !control && opcode != probetest.OpContinuation && r.opcode != 0:
		return fault("opcode %#x inside a fragmented message", opcode)
	}
	return nil
}

// length reads the second byte and what it announces.
func (r *Reader) length() (uint64, error) {
	b, err := r.br.ReadByte()
	if err != nil {
		return 0, err
	}
	if b&0x80 != 0 {
		return 0, fault("a masked frame")
	}
	var size [8]byte
	switch b {
	case 126:
		if _, err := io.ReadFull(r.br, size[6:]); err != nil {
			return 0, err
		}
	case 127:
		if _, err := io.ReadFull(r.br, size[:]); err != nil {
			return 0, err
		}
	default:
		return uint64(b), nil
	}
	n := binary.BigEndian.Uint64(size[:])
	switch {
	case b == 126 && n < 126, b == 127 && n < 1<<16:
		return 0, fault("a length of %d in more bytes than it needs", n)
	case n>>63 != 0:
		return 0, fault("a length with its highest bit set")
	}
	return n, nil
}

// checkClose judges the payload of a close frame (RFC 6455 §5.5.1, §7.4).
func checkClose(p []byte) error {
	switch code := (probetest.Frame{Opcode: probetest.OpClose, Payload: p}).Code(); {
	case len(p) == 0:
		return nil
	case len(p) == 1:
		return fault("a close frame of one byte")
	case code < 1000 || code > 4999 || code == 1004 || code == 1005 || code == 1006 || code > 1014 && code < 3000:
		return fault("close code %d", code)
	case !utf8.Valid(p[2:]):
		return fault("a close reason that is no UTF-8")
	}
	return nil
}

// tail ends a deflated message (RFC 7692 §7.2.2), and then the stream.
const tail = "\x00\x00\xff\xff\x01\x00\x00\xff\xff"

const windowSize = 32 << 10

func (r *Reader) inflate(p []byte) ([]byte, error) {
	in := io.MultiReader(bytes.NewReader(p), bytes.NewReader([]byte(tail)))
	if err := r.inflater.(flate.Resetter).Reset(in, r.window); err != nil {
		return nil, err
	}
	out := bytes.NewBuffer(r.inflated[:0])
	if n, err := out.ReadFrom(io.LimitReader(r.inflater, MaxMessage+1)); err != nil {
		return nil, fault("a message of %d bytes that does not inflate: %v", len(p), err)
	} else if n > MaxMessage {
		return nil, fault("a message that inflates to more than %d bytes", MaxMessage)
	}
	r.inflated = out.Bytes()
	if r.deflate.Takeover {
		r.window = append(r.window, r.inflated...)
		if more := len(r.window) - windowSize; more > 0 {
			r.window = append(r.window[:0], r.window[more:]...)
		}
	}
	return r.inflated, nil
}

// unexpected is err where the stream ended inside a message.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
