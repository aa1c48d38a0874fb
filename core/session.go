package core

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"time"
)

// Session is a WebSocket session that the guard knows of. All methods may be
// called on a nil Session, and do nothing then.
type Session struct {
	g        *Guard
	mu       sync.Mutex
	onDrain  []func()
	drained  bool // its moment of the drain has come
	over     bool
	panicked bool
	byServer bool // this server ended it: the drain or its deadline
	code     int32
	opened   time.Duration // since the guard's epoch
	cancel   context.CancelCauseFunc
}

// exchangeKey is asked of a context for the exchange of its request.
type exchangeKey struct{}

// SessionOf returns the session that the request of this context has become,
// nil if it has not, or not yet: call it after the handshake, inside the
// handler, with the context of the request or of Handler. The Session remains
// valid after the handler returned; the context of a request that is over does
// not, for it may lead to the next one on its connection.
func SessionOf(ctx context.Context) *Session {
	if x := exchangeOf(ctx); x != nil && x.opened.Load() {
		return &x.session
	}
	return nil
}

func exchangeOf(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

// OnDrain registers f to be called once, in a goroutine of its own, at this
// session's moment of the drain: it should tell the peer good-bye. If the
// moment has come already, f is called now. A panic in f is contained. f is not
// called for a session that has ended. stop takes f back; it returns false if f
// has been called, or will not be. It does not wait for f.
func (s *Session) OnDrain(f func()) (stop func() bool) {
	if s == nil || f == nil {
		return func() bool { return true }
	}
	s.mu.Lock()
	now := s.drained && !s.over
	i := len(s.onDrain)
	if !s.drained && !s.over {
		s.onDrain = append(s.onDrain, f)
	}
	s.mu.Unlock()
	if now {
		go s.g.contained("OnDrain", f)
	}
	return func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		if i >= len(s.onDrain) || s.onDrain[i] == nil {
			return false
		}
		s.onDrain[i] = nil
		return true
	}
}

// Ended tells the close code of RFC 6455 §7.4 with which the session ended, for
// applications that own their frames and want it in log and metrics. Where the
// handler returns an error that carries a code, that is found without it.
func (s *Session) Ended(code int) {
	if s == nil {
		return
	}
	s.mu.Lock()
	s.code = int32(code)
	s.mu.Unlock()
}

// drain calls what OnDrain registered.
func (s *Session) drain() {
	s.mu.Lock()
	fs := s.onDrain
	s.onDrain, s.drained = nil, true
	s.mu.Unlock()
	for _, f := range fs {
		if f == nil {
			continue
		}
		go s.g.contained("OnDrain", f)
	}
}

// answered reports whether the session ended with a closing handshake.
func (s *Session) answered() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over && s.code != 0 && s.code != 1006 && !s.byServer
}

// cancelled ends the session's context after a while.
func (s *Session) cancelled(after time.Duration) {
	s.mu.Lock()
	cancel := s.cancel
	s.mu.Unlock()
	switch {
	case cancel == nil:
	case after > 0:
		time.AfterFunc(after, func() { cancel(errSessionEnded) })
	default:
		cancel(errSessionEnded)
	}
}

// end marks the session as over and returns what is known of how.
func (s *Session) end() (code int, panicked, byServer bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over, s.onDrain = true, nil
	return int(s.code), s.panicked, s.byServer
}

// noteError takes the close code out of the error that a handler returned.
func (s *Session) noteError(err error) {
	code := closeCode(err)
	if code == 0 {
		return
	}
	s.mu.Lock()
	if s.code == 0 {
		s.code = int32(code)
	}
	s.mu.Unlock()
}

func (s *Session) mark(set func(*Session)) {
	s.mu.Lock()
	set(s)
	s.mu.Unlock()
}

// errSessionEnded is the cause of a session context's end.
var errSessionEnded = errors.New("quietws: the session's connection ended")

// maxErrors bounds how many errors of a tree are looked at.
const maxErrors = 32

// closeCode returns the code in the first error of err's tree that is a
// CloseError, as gorilla/websocket, coder/websocket and fasthttp/websocket all
// call theirs, with the code in a field Code; 0 if there is none. The errors are
// user code, whose panics end the search.
func closeCode(err error) (code int) {
	defer func() {
		if recover() != nil {
			code = 0
		}
	}()
	todo := []error{err}
	for n := 0; n < len(todo) && n < maxErrors; n++ {
		if todo[n] == nil {
			continue
		}
		if code := codeIn(todo[n]); code != 0 {
			return code
		}
		switch e := todo[n].(type) {
		case interface{ Unwrap() error }:
			todo = append(todo, e.Unwrap())
		case interface{ Unwrap() []error }:
			todo = append(todo, e.Unwrap()...)
		}
	}
	return 0
}

func codeIn(err error) int {
	v := reflect.ValueOf(err)
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct || v.Type().Name() != "CloseError" {
		return 0
	}
	if code := v.FieldByName("Code"); code.IsValid() && code.CanInt() {
		return int(code.Int())
	}
	return 0
}
