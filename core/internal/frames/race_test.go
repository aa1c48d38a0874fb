package frames

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"
)

// Sixteen goroutines write whole frames without a lock, another one reads, others
// ask for the close frame, for pings and for what is known: the peer gets whole
// frames, and the close frame last.
func TestConcurrent(t *testing.T) {
	for round := range uint64(30) {
		s, w := opened(t)
		w.during = func() {}
		var writers sync.WaitGroup
		for g := range uint64(16) {
			writers.Go(func() {
				r := rand.New(rand.NewPCG(round, g))
				for i := range 100_000 {
					p := frame(text, bytes.Repeat([]byte{byte('a' + g)}, r.IntN(300)))
					if n, err := s.Write(w, p, 1); errors.Is(err, ErrAfterClose) {
						return
					} else if n != len(p) || err != nil {
						t.Errorf("%d, %v", n, err)
						return
					}
					if i%8 == 0 {
						if err := s.SetWriteDeadline(lockedWire{w}, time.Unix(1, 0)); err != nil {
							t.Error(err)
						}
						s.Ping(w)
						_ = s.Facts()
					}
					if i == 20+int(g) && g%4 == 0 {
						if _, err := s.Close(w, 1001, ""); err != nil {
							t.Error(err)
						}
						for s.Push(w) == Pending {
							runtime.Gosched()
						}
						s.Received(theirs, 1)
					}
				}
				t.Error("never refused")
			})
		}
		writers.Go(func() {
			for range 200 {
				s.Received(frame(text, []byte("hi"), key...), 1)
			}
		})
		writers.Wait()
		frames, rest, err := readFrames(w.got, false)
		if err != nil || len(rest) > 0 {
			t.Fatalf("%v, %d bytes of half a frame", err, len(rest))
		}
		if n := len(frames); frames[n-1].op != opClose {
			t.Error("the close frame is not the last")
		}
		var messages uint64
		for _, f := range frames {
			if f.op == opText {
				messages++
				if len(bytes.Trim(f.payload, string(f.payload[:min(1, len(f.payload))]))) > 0 {
					t.Error("a frame of two writers")
				}
			}
		}
		if f := s.Facts(); f.MessagesOut != messages || f.MessagesIn > 200 || !f.Answered {
			t.Errorf("%d messages came, %+v", messages, f)
		}
	}
}

// lockedWire is for tests that set deadlines from several goroutines.
type lockedWire struct{ *fakeWire }

func (lockedWire) SetWriteDeadline(time.Time) error { return nil }

// A close frame that is asked for while a Write is blocked goes out when that
// returns, and neither Close nor Facts nor Received waits for it.
func TestCloseWhileWriting(t *testing.T) {
	s, w := opened(t)
	entered, leave := make(chan struct{}), make(chan struct{})
	var once sync.Once
	w.during = func() { once.Do(func() { close(entered); <-leave }) }
	done := make(chan struct{})
	go func() {
		defer close(done)
		if n, err := s.Write(w, msg, 1); n != len(msg) || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	}()
	<-entered
	wantState(t, closeWith(t, s, w), Pending)
	s.Received(frame(text, nil, key...), 2)
	if f := s.Facts(); f.MessagesIn != 1 {
		t.Errorf("%+v", f)
	}
	close(leave)
	<-done
	wantState(t, s.State(), Sent)
	wantGot(t, w, msg, goingAway)
}
