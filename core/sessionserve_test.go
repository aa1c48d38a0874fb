package core

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
)

// How a session is closed, and which code it ended with.
func TestSessionServe(t *testing.T) {
	failed, unanswered := errors.New("the handler's"), errors.New("the peer is gone")
	closed := fmt.Errorf("reading: %w", websocket.CloseError{Code: 4001})
	for _, row := range []struct {
		rule     string
		drain    bool // before f returns
		returns  error
		answer   error // what closing returns
		said     []int
		sayTakes time.Duration
		code     int // that the session knows
	}{
		{rule: "f fails: 1011", returns: failed, said: []int{1011}, code: 1011},
		{rule: "f fails, and the peer is gone", returns: failed, answer: unanswered, said: []int{1011}},
		{rule: "the peer has closed already", returns: closed},
		{rule: "f is through: 1000", said: []int{1000}, code: 1000},
		{rule: "f is through, and the peer does not answer", answer: unanswered, said: []int{1000}},
		{rule: "at a drain there is one goodbye", drain: true, returns: failed, said: []int{1012}, code: 1012},
		{rule: "at a drain, f is through", drain: true, said: []int{1012}, code: 1012},
		{rule: "a goodbye that is under way is waited for", drain: true, returns: failed, sayTakes: time.Second, said: []int{1012}, code: 1012},
		{rule: "a goodbye that nobody answers", drain: true, returns: failed, answer: unanswered, said: []int{1012}},
	} {
		t.Run(row.rule, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := quietGuard(t, Config{Drain: DrainConfig{Code: 1012}})
				x := &exchange{g: g}
				s := (*Session)(x)
				var said []int
				err := s.Serve(func(code int) error {
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
	called := false
	if err := (*Session)(nil).Serve(nil, func() error { called = true; return failed }); err != failed || !called {
		t.Errorf("without a session: returned %v, called %t", err, called)
	}
}
