package core

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quietws/quietws/core/internal/journal/logtest"
	"github.com/quietws/quietws/internal/plainws"
)

func TestSessionOnDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, log := newGuardAndLog(t, Config{}, slog.LevelInfo)
		var mu sync.Mutex
		calls := make(map[string]int)
		note := func(what string) func() {
			return func() {
				mu.Lock()
				defer mu.Unlock()
				calls[what]++
			}
		}
		check := func(rule string, want map[string]int) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			for what, n := range want {
				if calls[what] != n {
					t.Errorf("%s: %s was called %d times, want %d", rule, what, calls[what], n)
				}
			}
		}

		s := &Session{g: g}
		s.OnDrain(note("before"))
		s.OnDrain(note("second"))
		check("before the drain", map[string]int{"before": 0, "second": 0})
		(*exchange)(s).goodbye()
		check("at the session's moment", map[string]int{"before": 1, "second": 1})
		s.OnDrain(note("after"))
		check("registered after the moment: at once", map[string]int{"after": 1})
		(*exchange)(s).goodbye()
		check("once", map[string]int{"before": 1, "second": 1, "after": 1})

		s = &Session{g: g}
		s.OnDrain(note("ended"))
		(*exchange)(s).end()
		s.OnDrain(note("too late"))
		(*exchange)(s).goodbye()
		s.OnDrain(note("too late"))
		check("a session that is over has no goodbye", map[string]int{"ended": 0, "too late": 0})

		s = &Session{g: g}
		s.OnDrain(func() { panic("goodbye") })
		s.OnDrain(note("next to a panic"))
		(*exchange)(s).goodbye()
		check("a panic is contained", map[string]int{"next to a panic": 1})
		lines := linesLoggedBy(t, g, log)
		logtest.WantMessages(t, "and logged", lines, "callback panicked")
		if len(lines) == 1 {
			logtest.WantAttrs(t, lines[0], map[string]string{"callback": "OnDrain", "panic": "goodbye"})
		}

		// One that blocks delays neither the drain nor the other function.
		release := make(chan struct{})
		s = &Session{g: g}
		s.OnDrain(func() { <-release })
		s.OnDrain(note("next to one that blocks"))
		(*exchange)(s).goodbye()
		close(release)
		check("a callback that blocks", map[string]int{"next to one that blocks": 1})
	})
}

// All methods can be called on a nil Session, which SessionOf returns if there is no
// session.
func TestSessionNil(t *testing.T) {
	s := SessionOf(t.Context())
	if s != nil {
		t.Fatal("a context without a request has a session")
	}
	s.OnDrain(func() { t.Error("called") })
	s.Ended(1000)

	x := new(exchange)
	ctx := context.WithValue(t.Context(), exchangeKey{}, x)
	if SessionOf(ctx) != nil {
		t.Error("a request that has not left HTTP is a session")
	}
	x.set(stateOpened)
	if SessionOf(ctx) != (*Session)(x) {
		t.Error("a request that has left HTTP is not a session")
	}
}

// ownContext is a framework's context that does not lead to that of the request.
type ownContext struct {
	context.Context
	r *http.Request
}

type ownKey struct{}

func (c ownContext) Value(key any) any {
	if key == (ownKey{}) {
		return c.r
	}
	return nil
}

// A framework's own context leads to the session if its adapter has named the key of the
// request.
func TestSessionOfAFrameworksContext(t *testing.T) {
	x := new(exchange)
	x.set(stateOpened)
	r, err := http.NewRequestWithContext(context.WithValue(t.Context(), exchangeKey{}, x), http.MethodGet, "/", nil)
	if err != nil {
		t.Fatal(err)
	}
	own := ownContext{t.Context(), r}
	if SessionOf(own) != nil {
		t.Error("found a session without a key")
	}
	before := requestKeys
	t.Cleanup(func() { requestKeys = before })
	RequestKey("a key that it does not know")
	RequestKey(ownKey{})
	if SessionOf(own) != (*Session)(x) {
		t.Error("the session is not found")
	}
	for name, ctx := range map[string]context.Context{
		"without a request": ownContext{Context: t.Context()},
		"of another kind":   t.Context(),
	} {
		if SessionOf(ctx) != nil {
			t.Errorf("a context %s has a session", name)
		}
	}
}

// What the session's error or Ended says about the end.
func TestSessionEnd(t *testing.T) {
	for _, row := range []struct {
		rule string
		do   func(*Session)
		code int
	}{
		{"no code is known", func(*Session) {}, 0},
		{"Ended", func(s *Session) { s.Ended(1001) }, 1001},
		{"Ended twice: the last", func(s *Session) { s.Ended(1001); s.Ended(4000) }, 4000},
		{"the handler's error", func(s *Session) { (*exchange)(s).noteCode(plainws.CloseError{Code: 1000}) }, 1000},
		{"the first error that has one", func(s *Session) {
			(*exchange)(s).noteCode(errors.New("no code"))
			(*exchange)(s).noteCode(plainws.CloseError{Code: 1001})
			(*exchange)(s).noteCode(plainws.CloseError{Code: 1002})
		}, 1001},
		{"Ended knows better than an error before it", func(s *Session) { (*exchange)(s).noteCode(plainws.CloseError{Code: 1000}); s.Ended(1008) }, 1008},
		{"and than one after it", func(s *Session) { s.Ended(1008); (*exchange)(s).noteCode(plainws.CloseError{Code: 1000}) }, 1008},
	} {
		s := new(Session)
		row.do(s)
		if code, byServer := (*exchange)(s).end(); code != row.code || byServer {
			t.Errorf("%s: code %d, want %d (%v)", row.rule, code, row.code, byServer)
		}
	}
}

// answered: the closing handshake of RFC 6455 §7.1.2 was completed, as far as is known,
// and not by the deadline.
func TestSessionAnswered(t *testing.T) {
	for _, row := range []struct {
		rule     string
		code     int
		over     bool
		byServer bool
		want     bool
	}{
		{"still open", 1001, false, false, false},
		{"no code", 0, true, false, false},
		{"the peer vanished", 1006, true, false, false},
		{"closed at the deadline", 1001, true, true, false},
		{"1001", 1001, true, false, true},
		{"1000", 1000, true, false, true},
	} {
		s := &Session{byServer: row.byServer}
		s.Ended(row.code)
		if row.over {
			(*exchange)(s).end()
		}
		if (*exchange)(s).answered() != row.want {
			t.Errorf("%s: answered is %v", row.rule, !row.want)
		}
	}
}

// CloseError is that of another library, with another shape.
type CloseError struct{ Code string }

func (CloseError) Error() string { return "close" }

type unwrapper struct{ to error }

func (u unwrapper) Error() string { return "unwrapper" }
func (u unwrapper) Unwrap() error { return u.to }

type endless struct{}

func (e endless) Error() string { return "endless" }
func (e endless) Unwrap() error { return e }

func TestCloseCode(t *testing.T) {
	value := plainws.CloseError{Code: 1001}
	pointer := &plainws.CloseError{Code: 1008}
	for _, row := range []struct {
		rule string
		err  error
		want int
	}{
		{"no error", nil, 0},
		{"another error", errors.New("websocket: close 1000"), 0},
		{"a network error", &net.OpError{Op: "read", Err: errors.New("x")}, 0},
		{"a nil pointer", (*plainws.CloseError)(nil), 0},
		{"a nil pointer of a network error", (*net.OpError)(nil), 0},
		{"a type of that name with another field", CloseError{"1000"}, 0},
		{"a pointer to a type of that name with another field", &CloseError{"1000"}, 0},
		{"an error that wraps itself for ever", endless{}, 0},
		{"an error whose method panics", badUnwrap{}, 0},
		{"a code below a nil pointer", fmt.Errorf("a: %w", (*plainws.CloseError)(nil)), 0},

		{"a value, as in coder/websocket", value, 1001},
		{"a pointer to one", &value, 1001},
		{"a pointer, as in gorilla/websocket", pointer, 1008},
		{"one that is wrapped by a value", unwrapper{pointer}, 1008},
		{"wrapped", fmt.Errorf("read: %w", fmt.Errorf("frame: %w", value)), 1001},
		{"1005: a close frame without a code", &plainws.CloseError{Code: 1005}, 1005},
		{"1006: gorilla's word for a peer that vanished", &plainws.CloseError{Code: 1006}, 1006},
		{"joined", errors.Join(errors.New("cleanup"), pointer), 1008},
		{"wrapped with others", fmt.Errorf("%w, and then %w", value, errors.New("cleanup")), 1001},
		{"joined, and wrapped", fmt.Errorf("end: %w", errors.Join(errors.New("a"), fmt.Errorf("b: %w", value))), 1001},
	} {
		if got := tryCloseCode(t, row.rule, row.err); got != row.want {
			t.Errorf("%s: %d, want %d", row.rule, got, row.want)
		}
	}
}

type badUnwrap struct{}

func (badUnwrap) Error() string { return "bad" }
func (badUnwrap) Unwrap() error { panic("unwrap") }

// tryCloseCode is closeCode, which must not pass on a panic in the application's error.
func tryCloseCode(t *testing.T, rule string, err error) int {
	defer func() {
		if v := recover(); v != nil {
			t.Errorf("%s: a panic of the error's own method goes on: %v", rule, v)
		}
	}()
	return closeCode(err)
}

// A goodbye that leaves by runtime.Goexit, like FailNow in a test, has been said.
func TestSettleOutlivesGoexit(t *testing.T) {
	s := &Session{g: quietGuard(t, Config{})}
	s.OnDrain(runtime.Goexit)
	(*exchange)(s).goodbye()
	if !s.Settle() {
		t.Error("the moment had come")
	}
}

// Settle takes back a function that has not been called.
func TestSettleTakesBack(t *testing.T) {
	s := &Session{g: quietGuard(t, Config{})}
	s.OnDrain(func() { t.Error("called") })
	s.OnDrain(func() { t.Error("called") })
	if s.Settle() {
		t.Error("no drain was in progress")
	}
	(*exchange)(s).goodbye()
}

// A handler that has finished with its session learns whether the drain says the goodbye,
// and waits for it: its result is the session's end.
func TestSessionSettle(t *testing.T) {
	if (*Session)(nil).Settle() {
		t.Error("no session has had its moment")
	}
	for _, row := range []struct {
		rule    string
		drains  bool
		goodbye int           // functions
		takes   time.Duration // each goodbye
		waits   time.Duration
	}{
		{"its moment has not come", false, 1, time.Second, 0},
		{"a drain without a goodbye", true, 0, 0, 0},
		{"a goodbye is said", true, 1, time.Second, time.Second},
		{"goodbyes are said", true, 3, time.Second, time.Second},
		{"a goodbye was said", true, 1, 0, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &Session{g: quietGuard(t, Config{})}
			said := 0
			for range row.goodbye {
				s.OnDrain(func() {
					<-time.After(row.takes)
					s.mu.Lock()
					said++
					s.mu.Unlock()
					s.Ended(1001)
				})
			}
			if row.drains {
				(*exchange)(s).goodbye()
			}
			start := time.Now()
			if got := s.Settle(); got != row.drains {
				t.Errorf("%s: Settle is %v", row.rule, got)
			}
			if waited := time.Since(start); waited != row.waits {
				t.Errorf("%s: waited %v, want %v", row.rule, waited, row.waits)
			}
			if !row.drains { // taken back: the handler says goodbye itself
				(*exchange)(s).goodbye()
				synctest.Wait()
			}
			s.mu.Lock()
			if want := row.goodbye; row.takes > 0 && row.drains && said != want || !row.drains && said != 0 {
				t.Errorf("%s: %d goodbyes were said", row.rule, said)
			}
			s.mu.Unlock()
			if code, _ := (*exchange)(s).end(); row.drains && row.takes > 0 && code != 1001 {
				t.Errorf("%s: the session ended with %d", row.rule, code)
			}
			synctest.Wait()
		})
	}
}
