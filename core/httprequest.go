package core

import (
	"context"
	"net/http"
	"time"

	"github.com/quietws/quietws/core/internal/conn"
)

// HTTPRequest is a [Request] of the net/http family: it writes answers, and watches what
// is answered through the ResponseWriter.
type HTTPRequest struct {
	Request
	original *http.Request // of the layer outside, where the handlers have a copy
}

// BeginHTTP judges a request of net/http, before any handler has run. It finds the
// connection by what [Guard.Attach] left in the request's context, or else by the peer's
// address. A request that a layer outside has begun remains the same request: the layer
// that began it ends it.
func (a Adapter) BeginHTTP(r *http.Request) HTTPRequest {
	if a.g == nil {
		return HTTPRequest{}
	}
	c := a.g.httpConn(r)
	var outer *exchange
	if c == nil || r.ProtoMajor != 1 {
		outer = a.g.exchangeIn(r.Context())
	}
	return HTTPRequest{Request: a.begin(httpHead{r}, c, outer)}
}

// CurrentHTTP returns the request that a layer outside this one has begun. It returns the
// zero HTTPRequest if there is none, or if the request is an ordinary one. Do not end it.
func (a Adapter) CurrentHTTP(r *http.Request) HTTPRequest {
	if a.g == nil {
		return HTTPRequest{}
	}
	return HTTPRequest{Request: Request{x: a.g.exchangeIn(r.Context())}}
}

// AtEndpoint is [Adapter.BeginHTTP] followed by [Adapter.Endpoint].
func (a Adapter) AtEndpoint(r *http.Request, route string, origins *Origins) HTTPRequest {
	q := a.BeginHTTP(r)
	q.Request = a.Endpoint(q.Request, httpHead{r}, route, origins)
	return q
}

// Answer writes the guard's answer, if it has one, and ends the request. If it returns
// false, call the next handler.
func (q *HTTPRequest) Answer(w http.ResponseWriter, r *http.Request) bool {
	if q.x == nil || q.x.verdict != verdictProbe && q.x.verdict != verdictRefuse {
		return false
	}
	a := q.x.answer
	writeAnswer(w, r, a)
	q.Done(a.Status, nil)
	q.recycle()
	return true
}

// Wrap returns the arguments for the next handler: a ResponseWriter that sees the status
// and the hijack, and a request whose context leads to this one. Where a layer outside
// has done this already, they are w and r.
func (q *HTTPRequest) Wrap(w http.ResponseWriter, r *http.Request) (http.ResponseWriter, *http.Request) {
	x := q.x
	if x == nil {
		return w, r
	}
	if r.ProtoMajor == 1 && !canHijack(w) {
		x.cannotHijack(w)
	}
	if !q.begun {
		if x.asks && x.w.to != nil && !isOurs(w) && canHijack(w) {
			w = &past{ResponseWriter: w, x: x}
		}
		return w, r
	}
	if outer := exchangeOf(r.Context()); outer != x {
		q.original = r
		ctx := r.Context()
		if outer != nil && outer.g != x.g { // belongs to another guard, which may have layers further in
			ctx = context.WithValue(ctx, exchangeOfKey{outer.g}, outer)
		}
		r = r.WithContext(context.WithValue(ctx, exchangeKey{}, x))
	}
	x.w = response{to: w, r: r}
	_, flushes := w.(http.Flusher)
	switch {
	case canHijack(w) && flushes:
		return (*hijackWriter)(x), r
	case flushes:
		return (*flushWriter)(x), r
	case canHijack(w):
		return (*bareHijackWriter)(x), r
	}
	return (*writer)(x), r
}

// OnOpened registers f for a framework that keeps its own state of the response. f is
// called inside Hijack, with 101, and where the guard answers in place of the
// application, with that status.
func (q *HTTPRequest) OnOpened(f func(status int)) {
	if q.x != nil {
		q.x.w.opened = f
	}
}

// Answered reports the status and the header of an answer just before it is written,
// where that can be after the request was ended. Only the first final status counts;
// informational responses are ignored, and so is 101: the writer knows whether a
// handshake was accepted.
func (q *HTTPRequest) Answered(status int, header http.Header) {
	x := q.x
	if x == nil || !x.counts(status) || x.opens(status) { // the writer knows those
		return
	}
	if r := x.w.r; r != nil {
		x.answering(httpHead{r}, status, header)
	}
	q.Request.answered(status)
}

// currentStatus is what was answered so far, 0 if nothing. If the handler has returned
// without an answer it is 200, which net/http then sends.
func (q *HTTPRequest) currentStatus() int {
	if q.x == nil {
		return 0
	}
	if s := q.x.status.Load(); s != 0 || q.x.opened() || !q.begun {
		return int(s)
	}
	return http.StatusOK
}

// DoneWith ends a request whose handler returned err, in a framework that answers errors
// only after its chain. The outcome is settled when [HTTPRequest.Answered] gets the
// status, or else a second after the request's context has ended.
func (q *HTTPRequest) DoneWith(err error) {
	if err != nil && q.x != nil && q.begun {
		q.doneAfterChain(q.x.w.r.Context(), err)
		return
	}
	q.Done(q.currentStatus(), err)
}

// Recovered must be deferred by a layer inside a framework's chain. It ends a request
// whose handler panicked, or ended by runtime.Goexit, and panics again. The outermost
// layer logs the panic, if there is such a layer: a middleware outside may still recover
// it.
func (q *HTTPRequest) Recovered() {
	v := recover()
	q.handBack()
	if !isAPanic(v, q.done) {
		q.Done(0, nil)
		return
	}
	switch {
	case q.c != nil && q.c.Saw(conn.Attached):
		q.Done(0, nil)
	case q.begun:
		q.aborted(v)
	}
	panic(v)
}

// outermost is Recovered for the outermost layer.
func (q *HTTPRequest) outermost() {
	v := recover()
	q.handBack()
	if !isAPanic(v, q.done) {
		q.Done(0, nil)
		return
	}
	q.aborted(v)
	if c := q.conn(); c != nil && c.Saw(conn.Attached) && v != nil && v != http.ErrAbortHandler {
		guardOf(c).panics.add(c.Remote()) // the server prints its line next
	}
	panic(v)
}

// aborted ends a request whose handler panicked.
func (q *HTTPRequest) aborted(v any) {
	if v == http.ErrAbortHandler { // not a fault: the way to end a response early
		if q.x != nil && q.x.opened() {
			_ = q.x.c.Close() // net/http never closes it
		}
		q.Done(0, http.ErrAbortHandler)
		return
	}
	q.recordPanic(v, false)
}

// Endpoint returns next with what a WebSocket route needs, for any library. It refuses a
// handshake that RFC 6455 §4.2.1 forbids and libraries accept (HTTP/1.0, more than one
// key), with the status of its reason, and one above [Config.MaxSessions] with 503. After
// the hijack a panic is logged, the connection is closed, and the panic goes no further.
// Endpoint never looks at Origin, and passes everything else on.
//
// The route may serve more than WebSocket, as GraphQL and Socket.IO do. A request that
// does not ask to upgrade is an ordinary request, unless it is a plain GET that the
// library refuses as not a handshake: with 426, or with 400 or 405 and a header with
// Upgrade or Sec-WebSocket-Version. A known prober gets the route's own answer; if that
// is 4xx, one line says what to request instead. To let the guard answer probers there,
// add the path to [Config.ProbePaths].
//
// Put it only on the route, not around the application. Inside, [SessionOf] returns the
// session once the library has upgraded.
func (g *Guard) Endpoint(next http.Handler) http.Handler {
	if next == nil {
		panic("quietws: Guard.Endpoint: nil handler")
	}
	if g == nil {
		return next
	}
	a := g.Adapter()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := a.AtEndpoint(r, patternPath(r.Pattern), nil)
		if q.Answer(w, r) {
			return
		}
		defer func() { q.Contain(recover()) }()
		next.ServeHTTP(q.Wrap(w, r))
		_ = q.Finish(nil)
	})
}

// Contain is for a function that is deferred around the handler of a WebSocket route; v
// is what recover returned there. After the connection has left HTTP, a panic is logged
// with its stack, the connection is closed, and Contain returns true: the panic goes no
// further. Any other panic goes on. Without a panic, Contain ends a request that Finish
// did not end, because the handler left by runtime.Goexit.
//
// The function must call recover itself: the arguments of a defer statement are evaluated
// before there is a panic. Contain and Finish are called next to the handler, not around
// it, to keep a session's stack small.
func (q *HTTPRequest) Contain(v any) (contained bool) {
	q.handBack()
	if !isAPanic(v, q.done) {
		q.Done(0, nil)
		return false
	}
	contained = q.x != nil && q.x.opened()
	switch {
	case contained:
		q.aborted(v)
		return true
	case q.c != nil && q.c.Saw(conn.Attached): // the outermost layer sees it
		q.Done(0, nil)
	case q.begun: // else the layer that began it records it
		q.aborted(v)
	}
	panic(v)
}

// Finish ends the request of a WebSocket route whose handler returned err, and returns
// the error that the framework should answer. After the connection has left HTTP, an
// error is the session's end; after an answer, a second one is not possible. In both
// cases Finish returns nil.
func (q *HTTPRequest) Finish(err error) error {
	switch x := q.x; {
	case x == nil:
		q.Done(0, err)
		return err
	case x.opened(), x.status.Load() != 0:
		q.Done(0, err)
		return nil
	}
	q.DoneWith(err)
	return err
}

// Session returns, inside the handler, the session that the request has become, and a
// context for it. The context ends when this server closes the connection, when a read or
// a write on it fails, or at the drain's deadline. Without a session it returns ctx and
// nil.
func (q *HTTPRequest) Session(ctx context.Context) (context.Context, *Session) {
	x := q.x
	if x == nil || !x.opened() {
		return ctx, nil
	}
	ctx, cancel := context.WithCancelCause(x.sessionParent(ctx))
	x.setCancel(cancel)
	if x.c.Saw(conn.Closed) {
		cancel(errSessionEnded)
	}
	return ctx, (*Session)(x)
}

// sessionParent is the parent for a session's context. The request's context ends with
// the handler, when the session has ended anyway. Where nothing else can end it,
// sessionParent avoids the memory that it would keep for its children.
func (x *exchange) sessionParent(ctx context.Context) context.Context {
	if base := x.c.Context(); base == nil || base.Done() != nil || ctx != x.w.r.Context() {
		return ctx
	}
	return (*sessionValues)(x)
}

// sessionValues is the request's context without its end.
type sessionValues exchange

func (*sessionValues) Deadline() (time.Time, bool) { return time.Time{}, false }
func (*sessionValues) Done() <-chan struct{}       { return nil }
func (*sessionValues) Err() error                  { return nil }
func (v *sessionValues) Value(key any) any         { return v.w.r.Context().Value(key) }
