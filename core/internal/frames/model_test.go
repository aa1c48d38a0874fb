package frames

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
	"time"
)

// model is a session of a library that writes a stream in segments, on a wire that
// stalls now and then, while a close frame and pings are asked for.
type model struct {
	t        *testing.T
	r        *rand.Rand
	s        *Session
	w        *fakeWire
	stream   []byte // the library's, without the answer
	answer   int    // bytes of the answer
	accepted int    // what Write took of both
	late     bool   // time passed
	asked    bool
	peer     bool // its close frame came
}

// FuzzSession asks for the close frame at a random place of a random stream in
// random segments: what a peer gets is the library's own frames up to the end of a
// message, or of a frame when time passed, and then the close frame and nothing
// more.
func FuzzSession(f *testing.F) {
	for seed := range uint64(50) {
		f.Add(seed, seed%3 == 0, uint8(seed))
	}
	f.Fuzz(runModel)
}

func runModel(t *testing.T, seed uint64, closes bool, size uint8) {
	r := rand.New(rand.NewPCG(seed, uint64(size)))
	m := &model{t: t, r: r, s: new(Session), w: newWire()}
	if r.IntN(2) == 0 {
		m.answer = len(head101)
	}
	m.s.Start(m.answer == 0, false)
	m.stream = randomFrames(r, int(size%24), false)
	if closes {
		m.stream = append(m.stream, frame(bye, []byte("\x03\xe8done"))...)
	}
	m.run()
	m.check(closes)
}

func (m *model) run() {
	all := append([]byte(head101)[:m.answer:m.answer], m.stream...)
	segment := 1 + m.r.IntN(1+min(len(all), 1<<m.r.IntN(18)))
	for m.accepted < len(all) {
		switch m.r.IntN(12) {
		case 0:
			m.close()
		case 1:
			d := time.Duration(m.r.IntN(700)) * time.Millisecond
			m.late = m.late || m.asked
			m.w.pass(d)
		case 2:
			m.s.Push(m.w)
		case 3:
			before := len(m.w.got)
			whole := m.s.Ping(m.w)
			if n := len(m.w.got) - before; whole != (n == 2) && m.s.State() == Idle {
				m.t.Fatalf("ping: %v, but %d bytes", whole, n)
			}
		case 4:
			m.w.room = m.r.IntN(8)
		case 5, 6:
			m.w.room = -1
		case 7:
			if m.r.IntN(20) == 0 {
				m.peer = true
				m.s.Received(theirs, 1)
			}
		default:
			n := min(1+m.r.IntN(segment), len(all)-m.accepted)
			n, err := m.s.Write(m.w, all[m.accepted:m.accepted+n], m.w.ms())
			m.accepted += n
			if errors.Is(err, ErrAfterClose) {
				return
			}
		}
	}
	m.w.room = -1
	m.close()
	m.w.pass(fragmentPatience)
	m.late = true
	m.s.Push(m.w)
}

func (m *model) close() {
	m.asked = true
	if _, err := m.s.Close(m.w, 1001, "deploy"); err != nil {
		m.t.Fatal(err)
	}
}

func (m *model) check(closes bool) {
	t := m.t
	m.w.room = -1
	m.s.Push(m.w)
	got := m.w.got
	if n := min(m.answer, len(got)); string(got[:n]) != head101[:n] {
		t.Fatalf("the answer is not the library's: %q", got[:n])
	}
	if len(got) < m.answer {
		if m.s.State() == Sent {
			t.Fatal("sent before the answer")
		}
		return
	}
	got = got[m.answer:]
	frames, rest, err := readFrames(got, false)
	if err != nil {
		t.Fatalf("the peer reads: %v", err)
	}
	var library []byte
	at, inside := 0, false
	var messages uint64
	ours := m.s.State() == Sent
	for i, f := range frames {
		raw := got[at : at+f.size]
		at += f.size
		switch {
		case bytes.Equal(raw, ping[:]) && inside:
			t.Error("a ping inside of a message")
		case bytes.Equal(raw, ping[:]):
		case ours && i == len(frames)-1:
			if !bytes.Equal(raw, AppendClose(nil, 1001, "deploy")) {
				t.Errorf("the last frame is %x", raw)
			}
			if inside && !m.late {
				t.Error("inside of a message, though no time passed")
			}
		default:
			library = append(library, raw...)
			if f.op < 8 {
				inside = !f.fin
				if f.fin {
					messages++
				}
			}
		}
	}
	library = append(library, rest...)
	if !bytes.HasPrefix(m.stream, library) {
		t.Fatal("what came is not what the library wrote")
	}
	facts := m.s.Facts()
	if facts.MessagesOut != messages {
		t.Errorf("%d messages out, and not %d", facts.MessagesOut, messages)
	}
	switch state := m.s.State(); {
	case ours && (len(rest) > 0 || facts.Sent != 1001 || facts.By != Server || !facts.Ours):
		t.Errorf("%d bytes after the close frame, %+v", len(rest), facts)
	case ours:
		if want := touched(m.stream[:m.accepted-m.answer]) - messages; facts.Discarded != want {
			t.Errorf("%d discarded, and not %d", facts.Discarded, want)
		}
	case len(library)+m.answer != m.accepted:
		t.Errorf("the library wrote %d bytes, and %d came", m.accepted, len(library)+m.answer)
	case state == Needless && !m.peer && !closes:
		t.Error("needless, but nobody closed")
	case state != Needless:
		t.Errorf("state %d at the end", state)
	}
}

// touched returns how many messages have a byte in p.
func touched(p []byte) (n uint64) {
	inside := false
	for len(p) > 0 {
		if p[0]&8 == 0 && !inside {
			n++
		}
		f, err := readFrame(p, false)
		if err != nil {
			return n
		}
		if f.op < 8 {
			inside = !f.fin
		}
		p = p[f.size:]
	}
	return n
}
