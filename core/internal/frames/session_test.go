package frames

import (
	"errors"
	"net"
	"testing"
	"time"
)

// A session that was not started is not followed, and every Write is handed on.
func TestNotStarted(t *testing.T) {
	s, w := new(Session), newWire()
	write(t, s, w, []byte("anything"))
	s.Received([]byte("anything"), 1)
	wantState(t, closeWith(t, s, w), Unfollowed)
	write(t, s, w, msg)
	wantGot(t, w, []byte("anything"), msg)
	if s.Ping(w) || s.Facts() != (Facts{}) {
		t.Errorf("%+v", s.Facts())
	}
}

// The answer may come in any number of Writes, with the first frame or without.
func TestAnswer(t *testing.T) {
	all := head101 + string(msg)
	for i := range all {
		s, w := new(Session), newWire()
		s.Start(false, false)
		write(t, s, w, []byte(all[:i]))
		if f := s.Facts(); f.Opened != (i >= len(head101)) {
			t.Fatalf("after %d bytes: opened %v", i, f.Opened)
		}
		write(t, s, w, []byte(all[i:]))
		if f := s.Facts(); !f.Opened || !f.Followed || f.MessagesOut != 1 {
			t.Errorf("cut at %d: %+v", i, f)
		}
		wantState(t, closeWith(t, s, w), Sent)
		wantGot(t, w, []byte(all), goingAway)
	}
}

// A close frame that was asked for before the answer comes right after it.
func TestCloseBeforeTheAnswer(t *testing.T) {
	all := head101 + string(msg)
	for i := range len(head101) {
		s, w := new(Session), newWire()
		s.Start(false, false)
		write(t, s, w, []byte(all[:i]))
		wantState(t, closeWith(t, s, w), Pending)
		w.pass(time.Hour)
		wantState(t, s.Push(w), Pending)
		write(t, s, w, []byte(all[i:]))
		wantState(t, s.State(), Sent)
		wantGot(t, w, []byte(head101), goingAway)
	}
}

// Bytes that are no WebSocket pass as they are, with no frame of ours.
func TestUnfollowed(t *testing.T) {
	for name, start := range map[string]func(*Session, *fakeWire){
		"another status": func(s *Session, w *fakeWire) {
			s.Start(false, false)
			write(t, s, w, []byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
		},
		"a bad frame": func(s *Session, w *fakeWire) {
			s.Start(true, false)
			write(t, s, w, []byte("\x83\x00"))
		},
		"a bad first frame of the peer's": func(s *Session, w *fakeWire) {
			s.Start(true, false)
			s.Received([]byte("hello"), 1)
		},
		"the raw descriptor is taken": func(s *Session, w *fakeWire) {
			s.Start(true, false)
			s.Off()
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, w := new(Session), newWire()
			start(s, w)
			before := string(w.got)
			if s.Ping(w) {
				t.Error("a ping")
			}
			wantState(t, closeWith(t, s, w), Unfollowed)
			write(t, s, w, []byte("more\xff\x88\x00\x81"))
			wantState(t, s.Push(w), Unfollowed)
			wantGot(t, w, []byte(before), []byte("more\xff\x88\x00\x81"))
			if f := s.Facts(); f.Ours || f.Sent != 0 || f.Followed && f.Heard {
				t.Errorf("%+v", f)
			}
		})
	}
}

// What was asked for while a frame was half written and then turns out impossible
// is taken back.
func TestOffWhilePending(t *testing.T) {
	for name, end := range map[string]func(*Session, *fakeWire){
		"off":                       func(s *Session, w *fakeWire) { s.Off(); write(t, s, w, msg[3:]) },
		"the peer writes no frames": func(s *Session, w *fakeWire) { s.Received([]byte("GET"), 1); write(t, s, w, msg[3:]) },
	} {
		t.Run(name, func(t *testing.T) {
			s, w := opened(t)
			write(t, s, w, msg[:3])
			wantState(t, closeWith(t, s, w), Pending)
			end(s, w)
			wantState(t, s.State(), Unfollowed)
			wantGot(t, w, msg)
		})
	}
}

// After a good frame a bad one ends what is known of the peer, and no more.
func TestBadPeerLater(t *testing.T) {
	s, w := opened(t)
	s.Received(frame(text, []byte("x"), key...), 1)
	s.Received([]byte{0xff}, 2)
	if f := s.Facts(); f.Heard || f.MessagesIn != 1 || f.LastIn != 2 || !f.Followed {
		t.Errorf("%+v", f)
	}
	wantState(t, closeWith(t, s, w), Sent)
	wantGot(t, w, goingAway)
}

// Who closed first, and with what, is known for every order of the two frames.
func TestCodes(t *testing.T) {
	type step = func(*testing.T, *Session, *fakeWire)
	library := func(code ...byte) step {
		return func(t *testing.T, s *Session, w *fakeWire) { write(t, s, w, frame(bye, code)) }
	}
	client := func(code ...byte) step {
		return func(_ *testing.T, s *Session, _ *fakeWire) { s.Received(frame(bye, code, key...), 5) }
	}
	ours := func(want State) step {
		return func(t *testing.T, s *Session, w *fakeWire) { wantState(t, closeWith(t, s, w), want) }
	}
	half := func(_ *testing.T, s *Session, _ *fakeWire) { s.Received(theirs[:3], 5) }
	for _, row := range []struct {
		name  string
		steps []step
		want  Facts
	}{
		{"open", nil, Facts{}},
		{"client 1000", []step{client(3, 232)}, Facts{By: Client, Received: 1000}},
		{"client 1000, answered", []step{client(3, 232), library(3, 232)}, Facts{By: Client, Received: 1000, Sent: 1000, Answered: true}},
		{"client 4001, answered", []step{client(0x0f, 0xa1, 'x'), library(0x0f, 0xa1)}, Facts{By: Client, Received: 4001, Sent: 4001, Answered: true}},
		{"client, empty", []step{client(), library()}, Facts{By: Client, Received: 1005, Sent: 1005, Answered: true}},
		{"server 1008", []step{library(0x03, 0xf0)}, Facts{By: Server, Sent: 1008}},
		{"server 1008, answered", []step{library(0x03, 0xf0), client(0x03, 0xf0)}, Facts{By: Server, Sent: 1008, Received: 1008, Answered: true}},
		{"ours", []step{ours(Sent)}, Facts{By: Server, Sent: 1001, Ours: true}},
		{"ours, answered", []step{ours(Sent), client(3, 0xe9)}, Facts{By: Server, Sent: 1001, Ours: true, Received: 1001, Answered: true}},
		{"ours, and then the library's", []step{ours(Sent), library(3, 232)}, Facts{By: Server, Sent: 1001, Ours: true}},
		{"ours comes too late for the library's", []step{library(3, 232), ours(Needless)}, Facts{By: Server, Sent: 1000}},
		{"ours comes too late for the client's", []step{client(3, 232), ours(Needless)}, Facts{By: Client, Received: 1000}},
		{"the client's begins", []step{half, ours(Needless)}, Facts{By: Client}},
		{"the client's begins, the library closes", []step{half, library(3, 232)}, Facts{By: Client, Sent: 1000}},
	} {
		t.Run(row.name, func(t *testing.T) {
			s, w := opened(t)
			for _, step := range row.steps {
				step(t, s, w)
			}
			f := s.Facts()
			f.LastIn, f.LastOut = 0, 0
			row.want.Opened, row.want.Followed, row.want.Heard = true, true, true
			if f != row.want {
				t.Errorf("%+v\nand not\n%+v", f, row.want)
			}
		})
	}
}

// The order of two close frames: an answer that is read before the Write of the
// library's close frame returns makes the client no first.
func TestAnsweredWithinWrite(t *testing.T) {
	s, w := opened(t)
	w.during = func() { s.Received(theirs, 1) }
	write(t, s, w, goingAway)
	if f := s.Facts(); f.By != Server || !f.Answered {
		t.Errorf("%+v", f)
	}
	s, w = opened(t)
	w.during = func() { s.Received(theirs, 1) }
	wantState(t, closeWith(t, s, w), Sent)
	if f := s.Facts(); f.By != Server || !f.Answered || !f.Ours {
		t.Errorf("%+v", f)
	}
}

// A close frame that did not go out is none.
func TestCloseFrameNotWritten(t *testing.T) {
	s, w := opened(t)
	w.err = errors.New("broken")
	if n, err := s.Write(w, goingAway, 7); n != 0 || err != w.err {
		t.Fatal(n, err)
	}
	if f := s.Facts(); f.By != Neither || f.Sent != 0 || f.LastOut != 0 {
		t.Errorf("%+v", f)
	}
	w.err = nil
	s.Received(theirs, 8)
	write(t, s, w, goingAway)
	if f := s.Facts(); f.By != Client || f.Sent != 1001 || !f.Answered {
		t.Errorf("%+v", f)
	}
}

func TestErrAfterClose(t *testing.T) {
	if !errors.Is(ErrAfterClose, net.ErrClosed) {
		t.Error("it is no net.ErrClosed")
	}
}
