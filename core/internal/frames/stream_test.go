package frames

import (
	"math/rand/v2"
	"testing"
)

func follow(flags streamFlags, parts ...[]byte) Stream {
	s := Stream{flags: flags}
	for _, p := range parts {
		s.Feed(p)
	}
	return s
}

var key = []byte{0xa1, 0xb2, 0xc3, 0xd4}

// streams are small, and what is known after each is written down by hand.
var streams = []struct {
	rule     string
	flags    streamFlags
	bytes    []byte
	messages uint64
	frames   bool // between frames
	between  bool // between messages
	broken   bool
	closing  bool
	closed   bool
	code     uint16
	pings    uint32
	pongs    uint32
}{
	{rule: "nothing yet", frames: true, between: true},
	{rule: "5.6: a text message", bytes: frame(text, []byte("hello")), messages: 1, frames: true, between: true},
	{rule: "5.6: a binary message", bytes: frame(0x82, []byte("hello")), messages: 1, frames: true, between: true},
	{rule: "5.2: an empty message", bytes: frame(text, nil), messages: 1, frames: true, between: true},
	{rule: "5.2: half a head", bytes: []byte{text}},
	{rule: "5.2: a head without its payload", bytes: []byte{text, 1}},
	{rule: "5.2: a payload of 125", bytes: frame(text, make([]byte, 125)), messages: 1, frames: true, between: true},
	{rule: "5.2: a payload of 126", bytes: frame(text, make([]byte, 126)), messages: 1, frames: true, between: true},
	{rule: "5.2: a payload of 65535", bytes: frame(text, make([]byte, 65535)), messages: 1, frames: true, between: true},
	{rule: "5.2: a payload of 65536", bytes: frame(text, make([]byte, 65536)), messages: 1, frames: true, between: true},
	{rule: "5.2: 125 in two bytes is not minimal", bytes: []byte{text, 126, 0, 125}, broken: true},
	{rule: "5.2: nor with its payload", bytes: join([]byte{text, 126, 0, 125}, make([]byte, 125)), broken: true},
	{rule: "5.2: 65535 in eight bytes is not minimal", bytes: []byte{text, 127, 0, 0, 0, 0, 0, 0, 255, 255}, broken: true},
	{rule: "5.2: the most significant bit is 0", bytes: []byte{text, 127, 0x80, 0, 0, 0, 0, 1, 0, 0}, broken: true},
	{rule: "5.2: reserved data opcode", bytes: []byte{0x83}, broken: true},
	{rule: "5.2: with a payload", bytes: frame(0x83, []byte("hello")), broken: true},
	{rule: "5.2: reserved control opcode", bytes: []byte{0x8b}, broken: true},
	{rule: "5.2: RSV1 belongs to an extension", bytes: frame(0xc1, []byte("x")), messages: 1, frames: true, between: true},
	{rule: "5.2: RSV2 and RSV3 too", bytes: frame(0xb1, []byte("x")), messages: 1, frames: true, between: true},
	{rule: "5.1: a server does not mask", bytes: frame(text, []byte("x"), key...), broken: true},
	{rule: "5.1: a client masks", flags: masked, bytes: frame(text, []byte("x")), broken: true},
	{rule: "5.3: masked", flags: masked, bytes: frame(text, []byte("hello"), key...), messages: 1, frames: true, between: true},
	{rule: "5.3: masked and empty", flags: masked, bytes: frame(text, nil, key...), messages: 1, frames: true, between: true},
	{rule: "5.3: masked and long", flags: masked, bytes: frame(text, make([]byte, 70000), key...), messages: 1, frames: true, between: true},
	{rule: "5.3: a key cut short", flags: masked, bytes: []byte{text, 0x80, 1, 2, 3}},
	{rule: "5.4: a first fragment", bytes: frame(part, []byte("he")), frames: true},
	{rule: "5.4: two of them", bytes: join(frame(part, []byte("he")), frame(more, []byte("l"))), frames: true},
	{rule: "5.4: all of them", bytes: join(frame(part, []byte("he")), frame(more, nil), frame(last, []byte("o"))), messages: 1, frames: true, between: true},
	{rule: "5.4: a ping between two", bytes: join(frame(part, []byte("he")), frame(pinga, nil)), frames: true, pings: 1},
	{rule: "5.4: and the end after it", bytes: join(frame(part, []byte("he")), frame(pinga, nil), frame(last, nil)), messages: 1, frames: true, between: true, pings: 1},
	{rule: "5.4: a message inside a message", bytes: join(frame(part, nil), []byte{text}), broken: true},
	{rule: "5.4: a whole one", bytes: join(frame(part, nil), frame(text, []byte("hello"))), broken: true},
	{rule: "5.4: continuation of nothing", bytes: []byte{last}, broken: true},
	{rule: "5.4: nor after the end", bytes: join(frame(text, nil), []byte{more}), messages: 1, broken: true},
	{rule: "5.5: a control frame is not fragmented", bytes: []byte{0x09}, broken: true},
	{rule: "5.5: nor longer than 125", bytes: []byte{pinga, 126}, broken: true},
	{rule: "5.5: but so long", bytes: frame(pinga, make([]byte, 125)), frames: true, between: true, pings: 1},
	{rule: "5.5.1: without a code", bytes: frame(bye, nil), closing: true, closed: true, code: 1005},
	{rule: "5.5.1: half a code", bytes: []byte{bye, 1}, closing: true, broken: true},
	{rule: "5.5.1: a code", bytes: frame(bye, []byte{0x03, 0xe9}), closing: true, closed: true, code: 1001},
	{rule: "5.5.1: a code and a reason", bytes: frame(bye, []byte("\x0f\xa1gone")), closing: true, closed: true, code: 4001},
	{rule: "5.5.1: masked", flags: masked, bytes: frame(bye, []byte("\x03\xe8bye"), key...), closing: true, closed: true, code: 1000},
	{rule: "5.5.1: begun", bytes: []byte{bye}, closing: true},
	{rule: "5.5.1: the code, and not yet the reason", bytes: frame(bye, []byte("\x03\xe8bye"))[:5], closing: true},
	{rule: "5.5.1: nothing counts after it", bytes: join(frame(bye, []byte{3, 232}), frame(text, nil), []byte{0xff}), closing: true, closed: true, code: 1000},
	{rule: "5.5.2, 5.5.3: ping and pong", bytes: join(frame(pinga, []byte("a")), frame(ponga, []byte("b")), frame(ponga, nil)), frames: true, between: true, pings: 1, pongs: 2},
	{rule: "4.2.2: in the answer", flags: inAnswer, bytes: []byte(head101[:40])},
	{rule: "4.2.2: an answer", flags: inAnswer, bytes: []byte(head101), frames: true, between: true},
	{rule: "4.2.2: and a message with it", flags: inAnswer, bytes: []byte(head101 + string(frame(text, nil))), messages: 1, frames: true, between: true},
	{rule: "4.2.2: lines without a carriage return", flags: inAnswer, bytes: []byte("HTTP/1.0 101 x\nA: b\n\n"), frames: true, between: true},
	{rule: "4.2.2: a carriage return inside of a line ends nothing", flags: inAnswer, bytes: []byte("HTTP/1.1 101 x\r\n\rA: b\r\n\r\r\n")},
	{rule: "4.2.2: another status", flags: inAnswer, bytes: []byte("HTTP/1.1 400 Bad Request\r\n\r\n"), broken: true},
	{rule: "4.2.2: no HTTP", flags: inAnswer, bytes: frame(text, nil), broken: true},
}

func TestStream(t *testing.T) {
	for _, row := range streams {
		t.Run(row.rule, func(t *testing.T) {
			s := follow(row.flags, row.bytes)
			code, closed := s.Closed()
			if s.Messages() != row.messages || s.BetweenFrames() != row.frames || s.BetweenMessages() != row.between || s.Broken() != row.broken ||
				s.Closing() != row.closing || closed != row.closed || code != row.code || s.Pings() != row.pings || s.Pongs() != row.pongs {
				t.Errorf("messages %d, between frames %v, messages %v, broken %v, closing %v, closed %v %d, pings %d, pongs %d",
					s.Messages(), s.BetweenFrames(), s.BetweenMessages(), s.Broken(), s.Closing(), closed, code, s.Pings(), s.Pongs())
			}
		})
	}
}

// Where the bytes are cut makes no difference.
func TestStreamCut(t *testing.T) {
	for _, row := range streams {
		if len(row.bytes) > 200 {
			row.bytes = row.bytes[:200]
		}
		want := known(follow(row.flags, row.bytes))
		for i := range row.bytes {
			if got := known(follow(row.flags, row.bytes[:i], row.bytes[i:])); got != want {
				t.Errorf("%s: cut at %d: %+v, and not %+v", row.rule, i, got, want)
			}
			for j := i; j < len(row.bytes); j++ {
				if got := known(follow(row.flags, row.bytes[:i], row.bytes[i:j], row.bytes[j:])); got != want {
					t.Errorf("%s: cut at %d and %d: %+v, and not %+v", row.rule, i, j, got, want)
				}
			}
		}
		one := Stream{flags: row.flags}
		for i := range row.bytes {
			one.Feed(row.bytes[i : i+1])
		}
		if got := known(one); got != want {
			t.Errorf("%s: byte by byte: %+v, and not %+v", row.rule, got, want)
		}
	}
}

// known is s without what is of no meaning any more.
func known(s Stream) Stream {
	if s.is(broken) {
		return Stream{messages: s.messages, pings: s.pings, pongs: s.pongs, flags: s.flags &^ inPayload}
	}
	if s.n == 0 {
		s.head = [10]byte{}
	}
	for i := int(s.n); i < len(s.head); i++ {
		s.head[i] = 0
	}
	return s
}

// After bytes that are no frame it stays broken, whatever comes.
func TestBrokenForGood(t *testing.T) {
	s := follow(0, []byte{0x83}, frame(text, nil), frame(bye, []byte{3, 232}))
	if !s.Broken() || s.Messages() != 0 || s.Closing() || s.BetweenFrames() {
		t.Errorf("%+v", s)
	}
}

func FuzzFeed(f *testing.F) {
	for _, row := range streams {
		if len(row.bytes) < 300 {
			f.Add(row.bytes, uint8(row.flags), uint64(1))
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	f.Add(randomFrames(r, 8, false), uint8(0), uint64(2))
	f.Add(randomFrames(r, 8, true), uint8(masked), uint64(3))
	f.Fuzz(func(t *testing.T, p []byte, flags uint8, seed uint64) {
		start := streamFlags(flags) & (masked | inAnswer)
		want := known(follow(start, p))
		r := rand.New(rand.NewPCG(seed, 0))
		cut := Stream{flags: start}
		for rest := p; len(rest) > 0; {
			n := 1 + r.IntN(min(len(rest), 20))
			cut.Feed(rest[:n])
			rest = rest[n:]
		}
		if got := known(cut); got != want {
			t.Errorf("cut: %+v\nwhole: %+v", got, want)
		}
		if start&inAnswer == 0 {
			compare(t, follow(start, p), p, start&masked != 0)
		}
	})
}

// compare checks s against the reading of a peer that has all of p at hand.
func compare(t *testing.T, s Stream, p []byte, mask bool) {
	if i := endOfClose(p, mask); i > 0 {
		p = p[:i]
	}
	frames, rest, err := readFrames(p, mask)
	var messages uint64
	var pings, pongs uint32
	inside := false
	for _, f := range frames {
		switch {
		case f.op == 9:
			pings++
		case f.op == 10:
			pongs++
		case f.op < 8:
			inside = !f.fin
			if f.fin {
				messages++
			}
		}
	}
	if s.Messages() != messages || s.Pings() != pings || s.Pongs() != pongs {
		t.Errorf("%d messages, %d pings, %d pongs, and not %d, %d, %d", s.Messages(), s.Pings(), s.Pongs(), messages, pings, pongs)
	}
	code, closed := s.Closed()
	if n := len(frames); n > 0 && frames[n-1].op == 8 {
		want := uint16(NoCode)
		if b := frames[n-1].payload; len(b) > 0 {
			want = uint16(b[0])<<8 | uint16(b[1])
		}
		if !closed || code != want {
			t.Errorf("closed %v %d, and not %d", closed, code, want)
		}
		return
	}
	if closed {
		t.Error("closed without a close frame")
	}
	if err != nil && !s.Broken() {
		t.Errorf("not broken, but %v", err)
	}
	if err == nil && len(rest) == 0 && (s.Broken() || !s.BetweenFrames() || s.BetweenMessages() == inside) {
		t.Errorf("broken %v, between frames %v, between messages %v after whole frames", s.Broken(), s.BetweenFrames(), s.BetweenMessages())
	}
}

// endOfClose returns where the first close frame ends, 0 without one.
func endOfClose(p []byte, mask bool) int {
	for i := 0; i < len(p); {
		f, err := readFrame(p[i:], mask)
		if err != nil {
			return 0
		}
		i += f.size
		if f.op == 8 {
			return i
		}
	}
	return 0
}

// Streams that are right are understood, however they are cut.
func TestRandomStreams(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		mask := r.IntN(2) == 0
		start := streamFlags(0)
		if mask {
			start = masked
		}
		p := randomFrames(r, 1+r.IntN(20), mask)
		s := Stream{flags: start}
		for rest := p; len(rest) > 0; {
			n := 1 + r.IntN(len(rest))
			s.Feed(rest[:n])
			rest = rest[n:]
		}
		if s.Broken() {
			t.Fatalf("seed %d: broken", seed)
		}
		compare(t, s, p, mask)
	}
}
