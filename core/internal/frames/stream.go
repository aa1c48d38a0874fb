package frames

// Stream follows one direction of a session by the heads of its frames. The zero
// value follows what a server sends, from its first frame on. A Stream never
// looks at a payload, except for the code of a close frame. It ends with a close
// frame: bytes after it are ignored (RFC 6455 §5.5.1). After bytes that are no
// frame it is broken for good. It is not safe for concurrent use.
//
// How the bytes are cut into calls of Feed makes no difference.
type Stream struct {
	left         uint64 // bytes of the payload still to come
	messages     uint64
	pings, pongs uint32
	code         uint16
	flags        streamFlags
	n            uint8    // bytes of the head so far, or of the status line
	line         uint8    // where in the end of a line: see answer
	head         [10]byte // without the mask of a data frame, which nobody asks for
}

type streamFlags uint8

const (
	inAnswer   streamFlags = 1 << iota // in the HTTP response before the first frame
	inPayload                          // the head is whole
	fragmented                         // inside a fragmented message
	good                               // a whole head was seen
	broken                             // bytes that are no frame
	closing                            // the head of a close frame has begun
	closed                             // a close frame is whole
	masked                             // its frames must be masked, else they must not be: maskBit
)

// The opcodes of RFC 6455 §11.8.
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xa

	opBits      = 0x0f
	controlBit  = 0x08
	finBit      = 0x80
	rsvBits     = 0x70
	maskBit     = 0x80
	lengthBits  = 0x7f
	length16    = 126
	length64    = 127
	maxControl  = 125 // bytes of a control frame's payload, §5.5
	controlHead = 2
)

func (s *Stream) is(f streamFlags) bool { return s.flags&f != 0 }

// Feed follows p.
func (s *Stream) Feed(p []byte) {
	for len(p) > 0 {
		n := s.message(p)
		switch {
		case n > 0:
			s.messages++
			s.flags |= good
		case s.is(broken | closed):
			return
		default:
			n = s.step(p)
		}
		p = p[n:]
	}
}

// message returns the length of the whole data message in one frame, of less than
// 64 KiB, that p begins with: what nearly every Read and Write is. It returns 0
// for anything else, which is for step.
func (s *Stream) message(p []byte) int {
	if len(p) < 4 || s.n != 0 || s.flags&^(masked|good) != 0 || p[0]&^rsvBits-(finBit|opText) > 1 || (p[1]^byte(s.flags))&maskBit != 0 {
		return 0
	}
	size := 2 + int(p[1]&maskBit)>>5 // four bytes of mask
	length := int(p[1] & lengthBits)
	if length >= length16 {
		if length == length64 {
			return 0
		}
		size, length = size+2, int(p[2])<<8|int(p[3])
		if length <= maxControl {
			return 0
		}
	}
	if size += length; size > len(p) {
		return 0
	}
	return size
}

// step follows p to the end of the frame, or of the HTTP response, that it is in,
// or to the end of p, and returns how far that is. p is not empty, and s is
// neither broken nor closed.
func (s *Stream) step(p []byte) int {
	if s.is(inAnswer) {
		return s.answer(p)
	}
	i := 0
	if !s.is(inPayload) {
		if i = s.readHead(p); !s.is(inPayload) {
			return i
		}
	}
	rest := p[i:]
	if s.left < uint64(len(rest)) {
		rest = rest[:s.left]
	}
	if s.head[0]&opBits == opClose {
		s.readCode(rest)
	}
	s.left -= uint64(len(rest))
	if s.left == 0 {
		s.endFrame()
	}
	return i + len(rest)
}

// readCode takes the code out of rest, the next bytes of a close frame's payload.
func (s *Stream) readCode(rest []byte) {
	at := int(s.head[1]&lengthBits) - int(s.left)
	for ; at < 2 && len(rest) > 0; at, rest = at+1, rest[1:] {
		b := rest[0]
		if s.is(masked) {
			b ^= s.head[controlHead+at]
		}
		s.code = s.code<<8 | uint16(b)
	}
}

func (s *Stream) endFrame() {
	s.n = 0
	s.flags &^= inPayload
	fin := s.head[0]&finBit != 0
	switch s.head[0] & opBits {
	case opClose:
		if s.head[1]&lengthBits == 0 {
			s.code = NoCode
		}
		s.flags |= closed
	case opPing:
		s.pings++
	case opPong:
		s.pongs++
	default:
		if fin {
			s.messages++
			s.flags &^= fragmented
		} else {
			s.flags |= fragmented
		}
	}
}

// BetweenFrames reports whether the last byte was the end of a frame, or of the
// HTTP response, and another frame may follow.
func (s *Stream) BetweenFrames() bool { return s.n == 0 && !s.is(inAnswer|broken|closed) }

// BetweenMessages is BetweenFrames outside of a fragmented message (RFC 6455 §5.4).
func (s *Stream) BetweenMessages() bool { return s.n == 0 && !s.is(inAnswer|fragmented|broken|closed) }

// Broken reports whether bytes came that are no frame, or no response with the
// status 101 before the first one. Nothing is known about what follows.
func (s *Stream) Broken() bool { return s.is(broken) }

// Closing reports whether the first byte of a close frame came.
func (s *Stream) Closing() bool { return s.is(closing) }

// Closed returns the code of the close frame and whether it is whole. An empty
// one has the code 1005.
func (s *Stream) Closed() (code uint16, ok bool) {
	if !s.is(closed) {
		return 0, false
	}
	return s.code, true
}

// Messages returns how many data messages have ended.
func (s *Stream) Messages() uint64 { return s.messages }

// Pings and Pongs return how many whole ones came.
func (s *Stream) Pings() uint32 { return s.pings }

// Pongs is like Pings.
func (s *Stream) Pongs() uint32 { return s.pongs }
