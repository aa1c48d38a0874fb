package core

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"time"

	"github.com/quietws/quietws/core/internal/usererror"
)

// Session is a WebSocket session that the guard knows. Get it from [SessionOf]. You may
// call all methods on a nil Session: OnDrain, Ended and Settle then do nothing. They are
// safe for concurrent use. Serve, Run and Panicked are for authors of adapters.
type Session exchange

// exchangeKey is the key of the exchange in the context of its request.
type exchangeKey struct{}

// SessionOf returns the session that the request of this context has become, or nil if it
// has not, or not yet. Call it after the handshake, inside the handler, with the context
// of the request or of Handler; a *gin.Context also works. On Fiber, a route of your own
// library uses fiberws.SessionOf instead. The Session remains valid after the handler has
// returned. The context of a finished request does not: it may lead to the next request
// on its connection.
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

// requestKeys do not change after main has started.
var requestKeys []any

// RequestKey is for the init function of an adapter whose framework has its own
// context.Context, such as *gin.Context, that does not lead to that of the request. key
// is the key under which such a context returns its *http.Request, and SessionOf finds
// the session there. Do not call it after main has started.
func RequestKey(key any) { requestKeys = append(requestKeys, key) }

// exchangeOfKey is the key of the exchange of one guard if another guard, further in, has
// begun the request too.
type exchangeOfKey struct{ g *Guard }

// exchangeIn returns the exchange of g, nil if there is none.
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
	onDrain []func()      // the second function and later ones
	idle    chan struct{} // closed when no function runs
}

// OnDrain registers f to be called once, in its own goroutine, at this session's moment
// of the drain. f should send the peer a close frame (RFC 6455 §5.5.1) with your library,
// and let the handler read on. If the moment has already come, f is called at once. It
// must be safe to call f while the handler writes. f need not return before the drain's
// deadline. A panic in f is contained and logged. f is not called for a session that has
// ended. If you register several functions, all are called at the same time.
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

// Settle takes back what OnDrain registered, if its moment has not come; otherwise it
// waits until that has returned. It reports whether the moment has come. Call it in a
// handler that has finished with the session, so that the result of the goodbye is known
// before the session is over. On Fiber, which reuses connections for other clients, call
// it in every handler of your own that uses OnDrain.
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

// Ended records the close code of RFC 6455 §7.4 with which the session ended, for
// applications that own their frames and want the code in log and metrics. Call it before
// the connection is closed; the last call counts. You do not need it if the handler
// returns an error with a code, such as a CloseError of gorilla, coder or fasthttp. Ended
// closes nothing.
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

// EndContext implements conn.Occupant: it ends the session's context after that time.
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

// end marks the session as over, and returns what is known about its end.
func (x *exchange) end() (code int, byServer bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.over, x.onDrain = true, nil
	if x.more != nil {
		x.more.onDrain = nil
	}
	return int(x.code), x.byServer
}

// noteCode takes the close code from an error that a handler returned.
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

// errSessionEnded is the cause with which a session's context ends.
var errSessionEnded = errors.New("quietws: the session's connection ended")

// closeCode returns the code of the first error in err's tree that is a CloseError, 0 if
// there is none. gorilla/websocket, coder/websocket and fasthttp/websocket all use that
// name, with the code in a field Code.
func closeCode(err error) (code int) {
	found := usererror.Find(err, func(e error) bool { code = codeIn(e); return code != 0 })
	if !found { // code may be set all the same, if a later call panicked
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
