package frames

import (
	"errors"
	"net"
	"testing"
	"time"
)

// Data after the close frame is dropped for a second and then refused; control
// frames are always dropped.
func TestAfterClose(t *testing.T) {
	refused := func(t *testing.T, s *Session, w *fakeWire, p []byte) {
		t.Helper()
		if n, err := s.Write(w, p, w.ms()); n != 0 || !errors.Is(err, net.ErrClosed) {
			t.Errorf("%d, %v", n, err)
		}
	}
	t.Run("for a second", func(t *testing.T) {
		s, w := opened(t)
		w.pass(time.Hour)
		closeWith(t, s, w)
		write(t, s, w, msg)
		w.pass(swallowFor - time.Millisecond)
		write(t, s, w, join(frame(ponga, nil), msg[:3]))
		w.pass(time.Millisecond)
		refused(t, s, w, msg[3:])
		refused(t, s, w, msg[3:])
		if f := s.Facts(); f.Discarded != 2 {
			t.Errorf("%d discarded", f.Discarded)
		}
		wantGot(t, w, goingAway)
	})
	t.Run("until the peer answers", func(t *testing.T) {
		s, w := opened(t)
		closeWith(t, s, w)
		write(t, s, w, msg)
		s.Received(theirs, 1)
		refused(t, s, w, msg)
		refused(t, s, w, join(frame(ponga, nil), msg))
		write(t, s, w, frame(ponga, []byte("x")))
		w.pass(time.Hour)
		pong := frame(ponga, []byte("x"))
		for i := range pong {
			write(t, s, w, pong[i:i+1])
		}
		write(t, s, w, nil)
		write(t, s, w, frame(bye, []byte{3, 232}))
		refused(t, s, w, []byte("what follows a close frame"))
		wantGot(t, w, goingAway)
		if f := s.Facts(); f.Sent != 1001 || f.Discarded != 1 || !f.Answered {
			t.Errorf("%+v", f)
		}
	})
	t.Run("bytes that are no frames", func(t *testing.T) {
		s, w := opened(t)
		closeWith(t, s, w)
		write(t, s, w, []byte("\xff\xff"))
		w.pass(swallowFor)
		refused(t, s, w, msg)
		wantGot(t, w, goingAway)
	})
}
