package frames

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
)

// refFrame is a frame as a strict peer reads it, with all of its bytes at hand.
type refFrame struct {
	op, rsv byte
	fin     bool
	payload []byte
	size    int // bytes on the wire
}

var errShort = errors.New("more is needed")

// readFrame is the other way of reading a frame: of whole bytes, at once.
func readFrame(p []byte, wantMask bool) (f refFrame, err error) {
	if len(p) < 2 {
		return f, errShort
	}
	f.fin, f.rsv, f.op = p[0]>>7 == 1, p[0]>>4&7, p[0]&15
	size, at := uint64(p[1]&127), 2
	switch size {
	case 126:
		if len(p) < 4 {
			return f, errShort
		}
		size, at = uint64(binary.BigEndian.Uint16(p[2:])), 4
		if size < 126 {
			return f, errors.New("length is not minimal")
		}
	case 127:
		if len(p) < 10 {
			return f, errShort
		}
		size, at = binary.BigEndian.Uint64(p[2:]), 10
		if size < 65536 || size>>63 == 1 {
			return f, errors.New("length is not minimal")
		}
	}
	if p[1]>>7 == 1 != wantMask {
		return f, errors.New("wrong masking")
	}
	if f.op > 2 && f.op < 8 || f.op > 10 {
		return f, errors.New("reserved opcode")
	}
	if f.op >= 8 && (!f.fin || size > 125) {
		return f, errors.New("bad control frame")
	}
	var key []byte
	if wantMask {
		if len(p) < at+4 {
			return f, errShort
		}
		key = p[at : at+4]
		at += 4
	}
	if uint64(len(p)-at) < size {
		return f, errShort
	}
	f.size = at + int(size)
	f.payload = bytes.Clone(p[at:f.size])
	for i := range f.payload {
		if key != nil {
			f.payload[i] ^= key[i%4]
		}
	}
	return f, nil
}

// readFrames reads what a peer gets: frames in a valid order, nothing after a
// close frame. rest is what has not come whole.
func readFrames(p []byte, wantMask bool) (frames []refFrame, rest []byte, err error) {
	inside, over := false, false
	for len(p) > 0 {
		f, err := readFrame(p, wantMask)
		if errors.Is(err, errShort) {
			return frames, p, nil
		}
		switch {
		case err != nil:
		case over:
			err = errors.New("a frame after the close frame")
		case f.op == 0 && !inside:
			err = errors.New("continuation of nothing")
		case (f.op == 1 || f.op == 2) && inside:
			err = errors.New("a message inside a message")
		case f.op == 8 && len(f.payload) == 1:
			err = errors.New("half a close code")
		}
		if err != nil {
			return frames, p, err
		}
		if f.op < 8 {
			inside = !f.fin
		}
		over = f.op == 8
		frames = append(frames, f)
		p = p[f.size:]
	}
	return frames, nil, nil
}

// frame makes a frame; a mask key of four bytes masks it.
func frame(first byte, payload []byte, key ...byte) []byte {
	bit := byte(0)
	if key != nil {
		bit = 0x80
	}
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, bit|byte(n))
	case n < 65536:
		b = binary.BigEndian.AppendUint16(append(b, bit|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, bit|127), uint64(n))
	}
	b = append(b, key...)
	for i, c := range payload {
		if key != nil {
			c ^= key[i%4]
		}
		b = append(b, c)
	}
	return b
}

// The first bytes of frames that are whole messages, or parts of one.
const (
	text  = 0x81
	part  = 0x01 // of a text message
	more  = 0x00
	last  = 0x80
	bye   = 0x88
	pinga = 0x89
	ponga = 0x8a
)

const head101 = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// randomFrames returns a stream of whole frames without a close frame.
func randomFrames(r *rand.Rand, n int, mask bool) (stream []byte) {
	inside := false
	for range n {
		var key []byte
		if mask {
			key = binary.BigEndian.AppendUint32(nil, r.Uint32())
		}
		size := r.IntN(20)
		switch r.IntN(12) {
		case 0:
			size = 120 + r.IntN(12)
		case 1:
			size = 65530 + r.IntN(12)
		}
		first := byte(1 + r.IntN(2))
		if inside {
			first = 0
		}
		switch r.IntN(5) {
		case 0:
			first, size = byte(0x89+r.IntN(2)), 1+size%125 // not empty, as ours are
		case 1, 2:
			inside = true
		default:
			first |= 0x80
			inside = false
		}
		stream = append(stream, frame(first|byte(r.IntN(8))<<4, bytes.Repeat([]byte{'x'}, size), key...)...)
	}
	return stream
}
