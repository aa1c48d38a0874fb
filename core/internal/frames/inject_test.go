package frames

import (
	"testing"
	"time"
)

// A close frame of ours that was written in part is finished first, however little
// the wire takes at a time, and nothing else comes between.
func TestPartOfOurs(t *testing.T) {
	want := AppendClose(nil, 1012, "restart")
	for first := 1; first < len(want); first++ {
		s, w := opened(t)
		w.room = first
		state, err := s.Close(w, 1012, "restart")
		if err != nil || state != Pending {
			t.Fatal(state, err)
		}
		wantGot(t, w, want[:first])
		if s.Ping(w) {
			t.Error("a ping")
		}
		write(t, s, w, msg) // swallowed, and there was no room for the rest
		wantGot(t, w, want[:first])
		s.Received(theirs, 1) // it cannot be taken back any more
		w.room = -1
		wantState(t, s.Push(w), Sent)
		wantGot(t, w, want)
		if f := s.Facts(); f.By != Server || f.Sent != 1012 || f.Discarded != 1 || !f.Answered {
			t.Errorf("%+v", f)
		}
	}
}

// It is finished by the library's next Write too.
func TestPartOfOursAndWrite(t *testing.T) {
	s, w := opened(t)
	w.room = 1
	wantState(t, closeWith(t, s, w), Pending)
	w.room = -1
	write(t, s, w, msg)
	wantState(t, s.State(), Sent)
	wantGot(t, w, goingAway)
}

// With no room at all it stays pending, and what the library writes goes first.
func TestNoRoom(t *testing.T) {
	s, w := opened(t)
	w.room = 0
	wantState(t, closeWith(t, s, w), Pending)
	if f := s.Facts(); f.Ours || f.By != Neither {
		t.Errorf("%+v", f)
	}
	if n, err := s.Write(w, msg, w.ms()); n != 0 || err != error(timeoutError{}) {
		t.Errorf("%d, %v: the library's own error", n, err)
	}
	if w.writes != 3 {
		t.Errorf("%d tries, and not one for Close, one before the library's and its own", w.writes)
	}
	w.room = -1
	wantState(t, s.Push(w), Sent)
	wantGot(t, w, goingAway)
}

// Where the wire fails for good inside of ours, it has failed, and the library
// gets an error.
func TestOursFails(t *testing.T) {
	s, w := opened(t)
	w.room = 2
	wantState(t, closeWith(t, s, w), Pending)
	w.err = ErrAfterClose
	wantState(t, s.Push(w), Failed)
	w.err = nil
	if n, err := s.Write(w, msg, w.ms()); n != 0 || err != ErrAfterClose {
		t.Error(n, err)
	}
	wantGot(t, w, goingAway[:2])
	wantState(t, s.Push(w), Failed)
}

// crypto/tls takes nothing any more after a Write that timed out.
func TestLastingError(t *testing.T) {
	s, w := new(Session), newWire()
	s.Start(true, true)
	library := w.now.Add(time.Minute)
	if err := s.SetWriteDeadline(w, library); err != nil {
		t.Fatal(err)
	}
	w.during = func() {
		if !w.deadline.Equal(library) {
			t.Error("a ping that gives up would end the session")
		}
	}
	if !s.Ping(w) {
		t.Error("no ping")
	}
	w.during = func() {
		if !w.deadline.Equal(w.now.Add(lastingPatience)) {
			t.Errorf("%v", w.deadline.Sub(w.now))
		}
	}
	w.room = 0
	wantState(t, closeWith(t, s, w), Failed)
	wantState(t, s.Push(w), Failed)
	wantGot(t, w, ping[:])
}

// The first Close counts.
func TestCloseTwice(t *testing.T) {
	s, w := opened(t)
	wantState(t, s.State(), Idle)
	wantState(t, s.Push(w), Idle)
	write(t, s, w, msg[:3])
	wantState(t, closeWith(t, s, w), Pending)
	if state, err := s.Close(w, 4000, "other"); state != Pending || err != nil {
		t.Error(state, err)
	}
	write(t, s, w, msg[3:])
	wantState(t, closeWith(t, s, w), Sent)
	wantGot(t, w, msg, goingAway)
}

// A code that may not be on the wire changes nothing.
func TestCloseCode(t *testing.T) {
	s, w := opened(t)
	if state, err := s.Close(w, 1006, ""); state != Idle || err == nil || len(w.got) > 0 {
		t.Error(state, err)
	}
	wantState(t, closeWith(t, s, w), Sent)
}

func TestPing(t *testing.T) {
	pung := ping[:]
	t.Run("between messages", func(t *testing.T) {
		s, w := opened(t)
		w.pass(time.Hour)
		if first, second := s.Ping(w), s.Ping(w); !first || !second {
			t.Error("none")
		}
		if f := s.Facts(); f.LastOut != w.ms() || f.PingsOut != 0 {
			t.Errorf("%+v", f)
		}
		write(t, s, w, msg)
		wantGot(t, w, pung, pung, msg)
	})
	t.Run("not inside of one", func(t *testing.T) {
		for _, p := range [][]byte{msg[:1], msg[:3], frame(part, nil)} {
			s, w := opened(t)
			write(t, s, w, p)
			if s.Ping(w) {
				t.Errorf("after %x", p)
			}
			wantGot(t, w, p)
		}
	})
	t.Run("not while somebody writes", func(t *testing.T) {
		s, w := opened(t)
		w.during = func() {
			if s.Ping(w) {
				t.Error("sent")
			}
		}
		write(t, s, w, msg)
		wantGot(t, w, msg)
	})
	t.Run("not when closing", func(t *testing.T) {
		s, w := opened(t)
		s.Received(theirs[:1], 1)
		if s.Ping(w) {
			t.Error("after the peer's")
		}
		s, w = opened(t)
		closeWith(t, s, w)
		if s.Ping(w) {
			t.Error("after ours")
		}
		wantGot(t, w, goingAway)
	})
	t.Run("no room", func(t *testing.T) {
		s, w := opened(t)
		w.room = 0
		if s.Ping(w) {
			t.Error("sent")
		}
		w.room = -1
		write(t, s, w, msg)
		wantGot(t, w, msg)
	})
}

// Half a ping is finished before anything else goes out: by the library's Write,
// whose error is the wire's, by ours, and after Off.
func TestHalfPing(t *testing.T) {
	half := func() (*Session, *fakeWire) {
		s, w := opened(t)
		w.room = 1
		if s.Ping(w) {
			t.Fatal("whole")
		}
		return s, w
	}
	t.Run("Write", func(t *testing.T) {
		s, w := half()
		if n, err := s.Write(w, msg, 1); n != 0 || err != error(timeoutError{}) {
			t.Error(n, err)
		}
		if s.Ping(w) {
			t.Error("another")
		}
		w.room = -1
		write(t, s, w, msg)
		write(t, s, w, msg)
		wantGot(t, w, ping[:], msg, msg)
	})
	t.Run("Close", func(t *testing.T) {
		s, w := half()
		wantState(t, closeWith(t, s, w), Pending)
		w.room = 1
		wantState(t, s.Push(w), Pending)
		if f := s.Facts(); f.Ours {
			t.Error("not a byte of it is out")
		}
		w.room = 3
		wantState(t, s.Push(w), Pending)
		w.room = -1
		wantState(t, s.Push(w), Sent)
		wantGot(t, w, ping[:], goingAway)
	})
	t.Run("Close, and no room until the library writes", func(t *testing.T) {
		s, w := half()
		wantState(t, closeWith(t, s, w), Pending)
		tries := 0
		w.during = func() {
			if tries++; tries == 2 { // ours was tried
				w.room = -1
			}
		}
		write(t, s, w, msg)
		wantGot(t, w, ping[:], msg)
		wantState(t, s.Push(w), Sent)
		wantGot(t, w, ping[:], msg, goingAway)
	})
	t.Run("Off", func(t *testing.T) {
		s, w := half()
		s.Off()
		w.room = -1
		write(t, s, w, msg)
		wantGot(t, w, ping[:], msg)
	})
}
