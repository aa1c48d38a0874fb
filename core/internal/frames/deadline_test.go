package frames

import (
	"errors"
	"testing"
	"time"
)

// The library's deadline is the wire's but for the while of a frame of ours, and
// then again, as it is by then.
func TestDeadline(t *testing.T) {
	for name, at := range map[string]time.Time{
		"none": {}, "soon": time.Unix(1_700_000_005, 6), "long over": time.Unix(1, 0), "at the epoch": time.Unix(0, 0), "before years": time.Unix(-1<<40, 0),
	} {
		t.Run(name, func(t *testing.T) {
			s, w := opened(t)
			if err := s.SetWriteDeadline(w, at); err != nil || !w.deadline.Equal(at) {
				t.Fatalf("%v, %v", w.deadline, err)
			}
			w.during = func() {
				if want := w.now.Add(patience); !w.deadline.Equal(want) {
					t.Errorf("%v while ours is written, and not %v", w.deadline, want)
				}
			}
			wantState(t, closeWith(t, s, w), Sent)
			if w.deadline.IsZero() != at.IsZero() || !at.IsZero() && w.deadline.After(w.now) != at.After(w.now) || name == "soon" && !w.deadline.Equal(at) {
				t.Errorf("%v afterwards, and not %v", w.deadline, at)
			}
		})
	}
	t.Run("set meanwhile", func(t *testing.T) {
		s, w := opened(t)
		later := w.now.Add(time.Minute)
		w.during = func() {
			if err := s.SetWriteDeadline(w, later); err != nil || w.deadline.Equal(later) {
				t.Errorf("set at once: %v", err)
			}
		}
		wantState(t, closeWith(t, s, w), Sent)
		if !w.deadline.Equal(later) {
			t.Errorf("%v", w.deadline)
		}
	})
	t.Run("none can be set", func(t *testing.T) {
		s, w := opened(t)
		state, err := s.Close(noDeadline{w}, 1001, "")
		if err != nil || state != Failed || len(w.got) > 0 {
			t.Errorf("%v, %v: a Write without an end", state, err)
		}
	})
}

type noDeadline struct{ *fakeWire }

func (noDeadline) SetWriteDeadline(time.Time) error { return errors.ErrUnsupported }
