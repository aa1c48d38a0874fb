package core

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"time"

	"github.com/quietws/quietws/core/internal/usererror"
)

// Session is a WebSocket session that the guard knows of. Get it from [SessionOf].
// All methods may be called on a nil Session, of which nothing is known: OnDrain,
// Ended and Settle do nothing then. They are safe for concurrent use. Serve, Run
// and Panicked are for authors of adapters.
type Session exchange

// exchangeKey is asked of a context for the exchange of its request.
type exchangeKey struct{}

// SessionOf returns the session that the request of this context has become,
// nil if it has not, or not yet: call it after the handshake, inside the
// handler, with the context of the request or of Handler; a *gin.Context does
// too. On Fiber a route of your own library has fiberws.SessionOf instead. The
// Session remains valid after the handler returned; the context of a request that
// is over does not, for it may lead to the next one on its connection.
func SessionOf(ctx context.Context) *Session {
	x := exchangeOf(ctx)
	for i := 0; x == nil && i < len(requestKeys); i++ {
		if r, ok := ctx.Value(requestKeys[i]).(*http.Request); ok && r != nil {
			x = exchangeOf(r.Context())
		}
	}
	if x != nil && x.opened() {
		return (*Session)(x)
	}
	return nil
}

// requestKeys are never changed once main runs.
var requestKeys []any

// RequestKey is for the init function of an adapter whose framework has a
// context.Context of its own that does not lead to that of the request, as
// *gin.Context: key is what such a context gives its *http.Request for, and
// SessionOf finds the session there. It must not be called once main runs.
func RequestKey(key any) { requestKeys = append(requestKeys, key) }

// exchangeOfKey is asked of a context for the exchange of a guard inside of which
// another guard has begun the request too.
type exchangeOfKey struct{ g *Guard }

// exchangeIn returns the exchange of g's, nil if there is none.
func (g *Guard) exchangeIn(ctx context.Context) *exchange {
	x := exchangeOf(ctx)
	if x != nil && x.g != g {
		x, _ = ctx.Value(exchangeOfKey{g}).(*exchange)
	}
	return x
}

func exchangeOf(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

// drainMore is what few sessions need.
type drainMore struct {
	onDrain []func()      // the second function and the following
	idle    chan struct{} // closed when none of them runs
}

// OnDrain registers f to be called once, in a goroutine of its own, at this
// session's moment of the drain: it should send the peer a close frame (RFC 6455
// §5.5.1) in the way of your library, and leave it to the handler to read on. If
// the moment has come already, f is called now. f must be safe beside the
// handler's own writes, and need not return before the drain's deadline. A panic
// in f is contained and told. f is not called for a session that has ended.
// Registered several times, all are called, at once.
//
// A session of an adapter's Handler needs none: its close frame is sent for it.
func (s *Session) OnDrain(f func()) {
	if f == nil {
		panic("quietws: Session.OnDrain: nil function")
	}
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.over:
	case s.drained:
		s.running++
		go (*exchange)(s).sayGoodbye(f)
	case s.onDrain == nil:
		s.onDrain = f
	default:
		if s.more == nil {
			s.more = new(drainMore)
		}
		s.more.onDrain = append(s.more.onDrain, f)
	}
}

// Settle takes back what OnDrain registered, if its moment has not come, and
// otherwise waits until it has returned. It reports whether the moment has come.
// A handler calls it when it is through with the session, so that how a goodbye
// ended is known before the session is over; on Fiber, whose connections other
// clients get, every handler of your own that uses OnDrain should.
func (s *Session) Settle() (drained bool) {
	if s == nil {
		return false
	}
	s.mu.Lock()
	s.onDrain = nil
	if s.more != nil {
		s.more.onDrain = nil
	}
	drained = s.drained
	if s.running == 0 {
		s.mu.Unlock()
		return drained
	}
	if s.more == nil {
		s.more = new(drainMore)
	}
	if s.more.idle == nil {
		s.more.idle = make(chan struct{})
	}
	idle := s.more.idle
	s.mu.Unlock()
	<-idle
	return drained
}

// Ended tells the close code of RFC 6455 §7.4 with which the session ended, for
// applications that own their frames and want it in log and metrics. Call it before
// the connection is closed; the last call counts. Where the handler returns an
// error that carries a code, as gorilla's, coder's and fasthttp's CloseError do,
// that is found without it. It closes nothing.
func (s *Session) Ended(code int) {
	if s == nil {
		return
	}
	s.mu.Lock()
	s.code = int32(code)
	s.mu.Unlock()
}

// goodbye calls what OnDrain registered.
func (x *exchange) goodbye() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.drained = true
	if x.onDrain != nil {
		x.running++
		go x.sayGoodbye(x.onDrain)
		x.onDrain = nil
	}
	if x.more != nil {
		for _, f := range x.more.onDrain {
			x.running++
			go x.sayGoodbye(f)
		}
		x.more.onDrain = nil
	}
}

func (x *exchange) sayGoodbye(f func()) {
	defer func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.running--
		if x.running == 0 && x.more != nil && x.more.idle != nil {
			close(x.more.idle)
			x.more.idle = nil
		}
	}()
	x.g.contained("OnDrain", f)
}

// answered reports whether the session ended with a closing handshake.
func (x *exchange) answered() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.over && x.code != 0 && x.code != 1006 && !x.byServer
}

func (x *exchange) closedByServer() {
	x.mu.Lock()
	x.byServer = true
	x.mu.Unlock()
}

func (x *exchange) setCancel(cancel context.CancelCauseFunc) {
	x.mu.Lock()
	x.cancel = cancel
	x.mu.Unlock()
}

// EndContext ends the session's context after a while.
func (x *exchange) EndContext(after time.Duration) {
	x.mu.Lock()
	cancel := x.cancel
	x.mu.Unlock()
	switch {
	case cancel == nil:
	case after > 0:
		time.AfterFunc(after, func() { cancel(errSessionEnded) })
	default:
		cancel(errSessionEnded)
	}
}

// end marks the session as over and returns what is known of how.
func (x *exchange) end() (code int, byServer bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.over, x.onDrain = true, nil
	if x.more != nil {
		x.more.onDrain = nil
	}
	return int(x.code), x.byServer
}

// noteCode takes the close code out of the error that a handler returned.
func (x *exchange) noteCode(err error) {
	code := closeCode(err)
	if code == 0 {
		return
	}
	x.mu.Lock()
	if x.code == 0 {
		x.code = int32(code)
	}
	x.mu.Unlock()
}

// errSessionEnded is the cause of a session context's end.
var errSessionEnded = errors.New("quietws: the session's connection ended")

// closeCode returns the code in the first error of err's tree that is a
// CloseError, as gorilla/websocket, coder/websocket and fasthttp/websocket all
// call theirs, with the code in a field Code; 0 if there is none.
func closeCode(err error) (code int) {
	found := usererror.Find(err, func(e error) bool { code = codeIn(e); return code != 0 })
	if !found { // or a panic came between
		return 0
	}
	return code
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
