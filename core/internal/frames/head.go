package frames

import "encoding/binary"

// readHead follows p to the end of the frame's head, and returns how far that is.
// It sets inPayload where the head is whole, even where the payload is empty, and
// broken at the first byte that cannot be part of a head.
func (s *Stream) readHead(p []byte) int {
	for i, b := range p {
		if s.n < uint8(len(s.head)) {
			s.head[s.n] = b
		}
		s.n++
		size := uint8(0)
		switch {
		case s.n == 1:
			s.first(b)
		case s.n == 2:
			s.second(b)
			fallthrough
		default:
			size = s.lengthEnd()
			if s.n == size {
				s.length(size)
			}
			if s.is(masked) {
				size += 4
			}
		}
		if s.is(broken) {
			return len(p)
		}
		if s.n == size {
			s.flags |= inPayload | good
			return i + 1
		}
	}
	return len(p)
}

// first judges the first byte of a head: FIN, RSV1 to RSV3, which belong to the
// extensions, and the opcode (RFC 6455 §5.2, §5.4, §5.5).
func (s *Stream) first(b byte) {
	switch fin := b&finBit != 0; b & opBits {
	case opContinuation:
		if !s.is(fragmented) {
			s.flags |= broken
		}
	case opText, opBinary:
		if s.is(fragmented) {
			s.flags |= broken
		}
	case opClose, opPing, opPong:
		if !fin {
			s.flags |= broken
		} else if b&opBits == opClose {
			s.flags |= closing
		}
	default:
		s.flags |= broken
	}
}

// second judges the second byte: the mask bit, which is the client's alone
// (§5.1), and the length.
func (s *Stream) second(b byte) {
	length := b & lengthBits
	switch {
	case b&maskBit != 0 != s.is(masked):
		s.flags |= broken
	case s.head[0]&controlBit == 0:
	case length > maxControl: // §5.5
		s.flags |= broken
	case s.head[0]&opBits == opClose && length == 1: // half a code, §5.5.1
		s.flags |= broken
	}
}

// lengthEnd returns how many bytes the head has without a mask.
func (s *Stream) lengthEnd() uint8 {
	switch s.head[1] & lengthBits {
	case length16:
		return 2 + 2
	case length64:
		return 2 + 8
	}
	return 2
}

// length reads the length, which must be in the shortest form (§5.2).
func (s *Stream) length(size uint8) {
	ok := true
	switch size {
	case 2:
		s.left = uint64(s.head[1] & lengthBits)
	case 4:
		s.left = uint64(binary.BigEndian.Uint16(s.head[2:]))
		ok = s.left > maxControl
	default:
		s.left = binary.BigEndian.Uint64(s.head[2:])
		ok = s.left > 1<<16-1 && s.left < 1<<63
	}
	if !ok {
		s.flags |= broken
	}
}

// statusLine is how a handshake is answered (RFC 6455 §4.2.2); 'x' is any byte.
const statusLine = "HTTP/1.x 101"

// The values of Stream.line: what came last.
const (
	lineText      = iota
	lineFeed      // \n
	lineFeedAgain // \n\r
)

// answer follows p to the end of the HTTP response's head. A line may end without
// a carriage return, as every client takes it.
func (s *Stream) answer(p []byte) int {
	for i, b := range p {
		if s.n < uint8(len(statusLine)) {
			if want := statusLine[s.n]; b != want && want != 'x' {
				s.flags |= broken
				return len(p)
			}
			s.n++
			continue
		}
		switch {
		case b == '\n' && s.line != lineText:
			s.n, s.line = 0, lineText
			s.flags &^= inAnswer
			return i + 1
		case b == '\n':
			s.line = lineFeed
		case b == '\r' && s.line == lineFeed:
			s.line = lineFeedAgain
		default:
			s.line = lineText
		}
	}
	return len(p)
}
