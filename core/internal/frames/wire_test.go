package frames

import (
	"sync"
	"testing"
	"time"
)

// opened returns a session whose answer is out.
func opened(t *testing.T) (*Session, *fakeWire) {
	t.Helper()
	s, w := new(Session), newWire()
	s.Start(true, false)
	return s, w
}

func write(t *testing.T, s *Session, w *fakeWire, p []byte) {
	t.Helper()
	if n, err := s.Write(w, p, w.ms()); n != len(p) || err != nil {
		t.Fatalf("Write of %d bytes: %d, %v", len(p), n, err)
	}
}

func wantState(t *testing.T, got, want State) {
	t.Helper()
	if got != want {
		t.Errorf("state %d, and not %d", got, want)
	}
}

func wantGot(t *testing.T, w *fakeWire, parts ...[]byte) {
	t.Helper()
	if want := join(parts...); string(w.got) != string(want) {
		t.Errorf("on the wire:\n%x\nand not\n%x", w.got, want)
	}
}

// closeWith asks for the close frame 1001.
func closeWith(t *testing.T, s *Session, w *fakeWire) State {
	t.Helper()
	state, err := s.Close(w, 1001, "")
	if err != nil {
		t.Fatal(err)
	}
	return state
}

var (
	goingAway = []byte{bye, 2, 0x03, 0xe9}
	theirs    = frame(bye, []byte{0x03, 0xe9}, key...)
	msg       = frame(text, []byte("hello"))
)

// fakeWire is a connection that takes so much at a time, and a clock.
type fakeWire struct {
	mu        sync.Mutex
	got       []byte
	writes    int
	room      int // bytes until a Write times out, -1 for ever
	err       error
	now       time.Time
	deadline  time.Time
	deadlines []time.Time
	during    func() // called at the beginning of each Write
}

func newWire() *fakeWire { return &fakeWire{room: -1, now: time.Unix(1_700_000_000, 0)} }

type timeoutError struct{}

func (timeoutError) Error() string   { return "timeout" }
func (timeoutError) Timeout() bool   { return true }
func (timeoutError) Temporary() bool { return true }

func (w *fakeWire) Write(p []byte) (int, error) {
	if w.during != nil {
		w.during()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writes++
	if w.err != nil {
		return 0, w.err
	}
	if w.room >= 0 && len(p) > w.room {
		n := w.room
		w.got = append(w.got, p[:n]...)
		w.room = 0
		return n, timeoutError{}
	}
	if w.room > 0 {
		w.room -= len(p)
	}
	w.got = append(w.got, p...)
	return len(p), nil
}

func (w *fakeWire) SetWriteDeadline(t time.Time) error {
	w.deadline = t
	w.deadlines = append(w.deadlines, t)
	return nil
}

func (w *fakeWire) Now() time.Time { return w.now }

func (w *fakeWire) ms() int64 { return w.now.UnixMilli() }

func (w *fakeWire) pass(d time.Duration) { w.now = w.now.Add(d) }
