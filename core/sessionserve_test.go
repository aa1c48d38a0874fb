package core

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quietws/quietws/core/internal/conn"
	"github.com/quietws/quietws/core/internal/conn/conntest"
	"github.com/quietws/quietws/internal/plainws"
)

// How a session is closed, and the code with which it ended.
func TestSessionServe(t *testing.T) {
	failed, unanswered := errors.New("the handler's"), errors.New("the peer is gone")
	closed := fmt.Errorf("reading: %w", plainws.CloseError{Code: 4001})
	for _, row := range []struct {
		rule     string
		drain    bool // before f returns
		returns  error
		answer   error // what closing returns
		said     []int
		sayTakes time.Duration
		code     int // of the session
	}{
		{rule: "f fails: 1011", returns: failed, said: []int{1011}, code: 1011},
		{rule: "f fails, and the peer is gone", returns: failed, answer: unanswered, said: []int{1011}},
		{rule: "f fails with its context, which ended the connection: no answer", returns: fmt.Errorf("reading: %w", context.Canceled), said: []int{1011}},
		{rule: "f fails with its context, and the peer answers with a code", returns: context.DeadlineExceeded, answer: closed, said: []int{1011}, code: 1011},
		{rule: "the peer has closed already", returns: closed},
		{rule: "f has returned: 1000", said: []int{1000}, code: 1000},
		{rule: "f has returned, and the peer answers with a code", answer: closed, said: []int{1000}, code: 1000},
		{rule: "f has returned, and the peer vanishes", answer: plainws.CloseError{Code: 1006}, said: []int{1000}},
		{rule: "f has returned, and the peer does not answer", answer: unanswered, said: []int{1000}},
		{rule: "at a drain there is one goodbye", drain: true, returns: failed, said: []int{1012}, code: 1012},
		{rule: "at a drain, f has returned", drain: true, said: []int{1012}, code: 1012},
		{rule: "a goodbye in progress is waited for", drain: true, returns: failed, sayTakes: time.Second, said: []int{1012}, code: 1012},
		{rule: "a goodbye without an answer", drain: true, returns: failed, answer: unanswered, said: []int{1012}},
	} {
		t.Run(row.rule, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := quietGuard(t, Config{Drain: DrainConfig{Code: 1012}})
				x := &exchange{g: g}
				s := (*Session)(x)
				var said []int
				err := s.Serve(func(code int, alone bool) error {
					if alone == row.drain {
						t.Errorf("alone is %t", alone)
					}
					<-time.After(row.sayTakes)
					said = append(said, code)
					return row.answer
				}, func() error {
					if row.drain {
						x.goodbye()
					}
					return row.returns
				})
				if err != row.returns {
					t.Errorf("returned %v, want %v", err, row.returns)
				}
				if !slices.Equal(said, row.said) {
					t.Errorf("closed with %v, want %v", said, row.said)
				}
				s.mu.Lock()
				defer s.mu.Unlock()
				if int(s.code) != row.code {
					t.Errorf("the session ended with %d, want %d", s.code, row.code)
				}
			})
		})
	}
	var said []int
	closing := func(code int, _ bool) error { said = append(said, code); return nil }
	for _, returns := range []error{nil, failed} {
		if err := (*Session)(nil).Serve(closing, func() error { return returns }); err != returns {
			t.Errorf("without a session: returned %v, want %v", err, returns)
		}
	}
	if !slices.Equal(said, []int{1000, 1011}) {
		t.Errorf("without a session: closed with %v", said)
	}
}

// framesOnPaper stands for gorilla's frames: what was written, and how reading ends.
type framesOnPaper struct {
	write error
	end   error
	said  []byte
	reads int
}

func (f *framesOnPaper) WriteControl(kind int, data []byte, _ time.Time) error {
	f.said = append(append(f.said, byte(kind)), data...)
	return f.write
}
func (f *framesOnPaper) SetReadDeadline(time.Time) error { return nil }
func (f *framesOnPaper) NextReader() (int, io.Reader, error) {
	if f.reads++; f.reads > 2 { // two messages first
		return 0, nil, f.end
	}
	return 1, strings.NewReader("more"), nil
}

// How a session ends that the guard runs, and what the peer gets.
func TestSessionRun(t *testing.T) {
	failed, gone := errors.New("the handler's"), errors.New("gone")
	answered := &plainws.CloseError{Code: 1000}
	for _, row := range []struct {
		rule   string
		frames framesOnPaper
		f      func(context.Context) error
		said   string
		code   int32
		panics bool
		err    error
		unread bool // only f has read
	}{
		{rule: "returned, and answered", frames: framesOnPaper{end: answered}, f: func(context.Context) error { return nil }, said: "\x08\x03\xe8", code: 1000},
		{rule: "returned, and the peer vanishes", frames: framesOnPaper{end: &plainws.CloseError{Code: 1006}}, f: func(context.Context) error { return nil }, said: "\x08\x03\xe8"},
		{rule: "returned, and the peer is gone", frames: framesOnPaper{write: gone}, f: func(context.Context) error { return nil }, said: "\x08\x03\xe8"},
		{rule: "failed", frames: framesOnPaper{end: answered}, f: func(context.Context) error { return failed }, said: "\x08\x03\xf3", code: 1011, err: failed},
		{rule: "closed by the peer", f: func(context.Context) error { return &plainws.CloseError{Code: 4001} }, code: 4001, err: &plainws.CloseError{Code: 4001}},
		{rule: "after a panic the peer gets nothing", f: func(context.Context) error { panic("s3cr3t") }, panics: true},
		{rule: "at a drain the peer's answer is f's to read", frames: framesOnPaper{end: answered}, f: func(ctx context.Context) error {
			(*exchange)(SessionOf(ctx)).goodbye()
			SessionOf(ctx).Settle()
			return answered
		}, said: "\x08\x03\xe9", code: 1000, err: answered, unread: true},
		{rule: "the context leads to the session", frames: framesOnPaper{end: answered}, f: func(ctx context.Context) error {
			SessionOf(ctx).Ended(4002)
			if ctx.Err() != nil {
				return failed
			}
			return &plainws.CloseError{Code: 4002}
		}, code: 4002, err: &plainws.CloseError{Code: 4002}},
	} {
		g := quietGuard(t, Config{})
		nc := &conntest.Script{Closed: make(chan struct{})}
		m := newLetter(handshake(), nil)
		q := g.Adapter().Endpoint(g.Adapter().BeginMessage(m), m, "/ws", &Origins{Any: true})
		kept := q
		q.handOver(101)
		s := kept.SessionOn(nc)
		var ctx context.Context
		s.Run(t.Context(), &row.frames, func(c context.Context) error { ctx = c; return row.f(c) })
		if string(row.frames.said) != row.said {
			t.Errorf("%s: said %q, want %q", row.rule, row.frames.said, row.said)
		}
		if s.code != row.code || (*exchange)(s).is(statePanicked) != row.panics {
			t.Errorf("%s: ended with %d, panic %t", row.rule, s.code, !row.panics)
		}
		if p := (*exchange)(s).handlerErr(); row.err != nil && (p == nil || p.Error() != row.err.Error()) || row.err == nil && p != nil {
			t.Errorf("%s: the end's error is %v", row.rule, p)
		}
		if row.unread && row.frames.reads > 0 {
			t.Errorf("%s: %d reads", row.rule, row.frames.reads)
		}
		if ctx.Err() == nil {
			t.Errorf("%s: the context goes on", row.rule)
		}
		if !s.c.Saw(conn.Decided) { // no one else reports the end
			t.Errorf("%s: the connection is open", row.rule)
		}
		_ = s.c.Close()
		select {
		case <-nc.Closed:
			t.Errorf("%s: the connection was closed, which is the server's to do", row.rule)
		default:
		}
		if snap := g.Snapshot(); snap.SessionsOpen != 0 {
			t.Errorf("%s: %d sessions are open", row.rule, snap.SessionsOpen)
		}
	}
	called := false
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	frames := &framesOnPaper{end: answered}
	(*Session)(nil).Run(ended, frames, func(ctx context.Context) error { called = ctx.Err() == nil; return failed })
	if got := string(frames.said); got != "\x08\x03\xf3" {
		t.Errorf("without a session: the peer got %q", got)
	}
	if !called {
		t.Error("without a session f is not called, or with a context that had ended with the handler")
	}
}
