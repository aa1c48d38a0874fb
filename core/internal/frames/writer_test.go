package frames

import (
	"net"
	"slices"
	"testing"
	"time"
)

// A close frame that is asked for anywhere in a frame comes at its end, with
// whatever the library writes behind it in the same Write or in others.
func TestCloseWithinFrames(t *testing.T) {
	stream := join(msg, frame(0x82, make([]byte, 300)), frame(pinga, []byte("a")), msg, msg)
	ends := []int{0, len(msg), len(msg) + 304, len(msg) + 307, 2*len(msg) + 307, len(stream)}
	for i := range len(stream) + 1 {
		for _, size := range []int{1, 5, len(stream)} {
			s, w := opened(t)
			write(t, s, w, stream[:i])
			closeWith(t, s, w)
			for rest := stream[i:]; len(rest) > 0; rest = rest[min(size, len(rest)):] {
				write(t, s, w, rest[:min(size, len(rest))])
			}
			end, _ := slices.BinarySearch(ends, i)
			wantState(t, s.State(), Sent)
			wantGot(t, w, stream[:ends[end]], goingAway)
			in := 5 - end
			if end <= 2 {
				in-- // the ping is no message
			}
			if f := s.Facts(); f.Discarded != uint64(in) || f.MessagesOut != uint64(4-in) {
				t.Errorf("at %d: %d discarded, %d out, and not %d", i, f.Discarded, f.MessagesOut, in)
			}
		}
	}
}

// The end of a fragmented message is waited for, a second long; control frames of
// the library's in it pass.
func TestCloseWithinMessage(t *testing.T) {
	a, p, b, c := frame(part, []byte("he")), frame(pinga, []byte("x")), frame(more, []byte("ll")), frame(last, []byte("o"))
	t.Run("it ends", func(t *testing.T) {
		s, w := opened(t)
		write(t, s, w, a)
		wantState(t, closeWith(t, s, w), Pending)
		write(t, s, w, p)
		write(t, s, w, join(b, c, msg))
		wantState(t, s.State(), Sent)
		wantGot(t, w, a, p, b, c, goingAway)
		if f := s.Facts(); f.Discarded != 1 || f.MessagesOut != 1 {
			t.Errorf("%+v", f)
		}
	})
	t.Run("it does not, and nothing is written", func(t *testing.T) {
		s, w := opened(t)
		write(t, s, w, join(a, p))
		wantState(t, closeWith(t, s, w), Pending)
		w.pass(fragmentPatience - time.Millisecond)
		wantState(t, s.Push(w), Pending)
		w.pass(time.Millisecond)
		wantState(t, s.Push(w), Sent)
		if f := s.Facts(); f.Discarded != 1 || f.MessagesOut != 0 {
			t.Errorf("%+v", f)
		}
		write(t, s, w, join(b, c, msg))
		wantGot(t, w, a, p, goingAway)
		if f := s.Facts(); f.Discarded != 2 || f.MessagesOut != 0 {
			t.Errorf("%+v", f)
		}
	})
	t.Run("it goes on and on", func(t *testing.T) {
		s, w := opened(t)
		write(t, s, w, join(a, b[:2]))
		wantState(t, closeWith(t, s, w), Pending)
		w.pass(fragmentPatience)
		wantState(t, s.Push(w), Pending) // inside of a frame
		write(t, s, w, join(b[2:], b, b, c))
		wantState(t, s.State(), Sent)
		wantGot(t, w, a, b, goingAway)
	})
}

// A library that closes is left alone: nothing of ours, and its own bytes as they
// are, while its close frame is half written and after it.
func TestLibraryCloses(t *testing.T) {
	own := frame(bye, []byte("\x03\xe8done"))
	for i := 1; i <= len(own); i++ {
		s, w := opened(t)
		write(t, s, w, own[:i])
		wantState(t, closeWith(t, s, w), Needless)
		write(t, s, w, own[i:])
		wantState(t, s.Push(w), Needless)
		if s.Ping(w) {
			t.Error("a ping")
		}
		write(t, s, w, []byte("after it"))
		wantGot(t, w, own, []byte("after it"))
	}
	t.Run("while ours is pending", func(t *testing.T) {
		s, w := opened(t)
		write(t, s, w, msg[:3])
		closeWith(t, s, w)
		write(t, s, w, join(msg[3:], own))
		wantState(t, s.State(), Sent)
		wantGot(t, w, msg, goingAway)
	})
	t.Run("inside of a message while ours is pending", func(t *testing.T) {
		s, w := opened(t)
		a := frame(part, []byte("a"))
		write(t, s, w, a)
		closeWith(t, s, w)
		write(t, s, w, join(own, msg))
		wantState(t, s.State(), Needless)
		wantGot(t, w, a, own, msg)
	})
}

// The peer's close frame takes back what is pending: the library answers it.
func TestPeerClosesWhilePending(t *testing.T) {
	s, w := opened(t)
	write(t, s, w, msg[:3])
	closeWith(t, s, w)
	s.Received(theirs[:1], 1)
	write(t, s, w, join(msg[3:], goingAway))
	wantState(t, s.State(), Needless)
	s.Received(theirs[1:], 1)
	wantGot(t, w, msg, goingAway)
	if f := s.Facts(); f.By != Client || f.Ours || !f.Answered {
		t.Errorf("%+v", f)
	}
}

// A Write that fails inside of a frame leaves no place for ours.
func TestTorn(t *testing.T) {
	s, w := opened(t)
	w.room = 3
	if n, err := s.Write(w, msg, w.ms()); n != 3 || err == nil {
		t.Fatal(n, err)
	}
	if f := s.Facts(); f.LastOut != w.ms() || f.MessagesOut != 0 {
		t.Errorf("%+v", f)
	}
	wantState(t, closeWith(t, s, w), Failed)
	if s.Ping(w) {
		t.Error("a ping")
	}
	wantGot(t, w, msg[:3])
	w.room = -1 // a library that goes on nevertheless
	write(t, s, w, msg[3:])
	wantState(t, s.State(), Sent)
	wantGot(t, w, msg, goingAway)
}

// What the wire says of a library's Write is what the library gets, also where the
// Write is split for ours.
func TestWriteErrors(t *testing.T) {
	t.Run("before ours", func(t *testing.T) {
		s, w := opened(t)
		write(t, s, w, msg[:3])
		closeWith(t, s, w)
		w.room = 2
		if n, err := s.Write(w, join(msg[3:], msg), w.ms()); n != 2 || err != error(timeoutError{}) {
			t.Fatal(n, err)
		}
		wantState(t, s.State(), Failed)
	})
	t.Run("a wire that takes a part without an error", func(t *testing.T) {
		s, w := opened(t)
		write(t, s, w, msg[:3])
		closeWith(t, s, w)
		if n, err := s.Write(shortWire{w}, msg[3:], w.ms()); n != 1 || err == nil {
			t.Fatal(n, err)
		}
	})
	t.Run("on a dead wire", func(t *testing.T) {
		s, w := opened(t)
		w.err = net.ErrClosed
		wantState(t, closeWith(t, s, w), Failed)
		if n, err := s.Write(w, msg, w.ms()); n != 0 || err != w.err {
			t.Fatal(n, err)
		}
		if f := s.Facts(); f.Ours || f.By != Neither || f.Discarded != 0 {
			t.Errorf("%+v", f)
		}
	})
}

type shortWire struct{ *fakeWire }

func (w shortWire) Write(p []byte) (int, error) { return w.fakeWire.Write(p[:1]) }

// A panic of the wire does not leave the session locked.
func TestPanic(t *testing.T) {
	s, w := opened(t)
	w.during = func() { panic("wire") }
	for range 2 {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			_, _ = s.Write(w, msg, 1)
		}()
	}
	func() {
		defer func() { _ = recover() }()
		closeWith(t, s, w)
	}()
	w.during = nil
	_ = s.Facts()
	_, _ = s.Write(w, msg, 1)
	if err := s.SetWriteDeadline(w, w.now); err != nil || !w.deadline.Equal(w.now) {
		t.Error("the deadline is not the library's")
	}
}
