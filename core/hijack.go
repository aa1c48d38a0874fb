package core

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"time"
)

// HTTPRequest is a [Request] of the net/http family: it writes answers, and
// watches what is answered through the ResponseWriter.
type HTTPRequest struct{ Request }

// BeginHTTP is [Adapter.Begin] for a request of net/http. Its connection is
// found by what [Guard.Attach] left in the request's context, or else by the
// peer's address.
func (a Adapter) BeginHTTP(r *http.Request) HTTPRequest {
	c := a.g.httpConn(r)
	var outer *exchange
	if c == nil || r.ProtoMajor != 1 {
		outer = exchangeOf(r.Context())
	}
	return HTTPRequest{a.begin(httpHead{r}, c, outer)}
}

// CurrentHTTP returns the request as a layer outside this one has begun it, the
// zero HTTPRequest if none has or if it is an ordinary one.
func (a Adapter) CurrentHTTP(r *http.Request) HTTPRequest {
	return HTTPRequest{Request{x: exchangeOf(r.Context())}}
}

// AtEndpoint is for a request that has reached a WebSocket route: known probers
// get the health answer, whatever their method, and a handshake that RFC 6455
// forbids and a library might let pass is refused. Everything else is the
// route's.
// route is the pattern of the route, as far as it is a path, "" if it is not
// known.
func (a Adapter) AtEndpoint(r *http.Request, route string) HTTPRequest {
	q := a.BeginHTTP(r)
	q.Request = a.atEndpoint(q.Request, httpHead{r}, route, false, nil)
	return q
}

// AtHandler is AtEndpoint for a route that serves nothing but WebSocket: every
// fault is refused, with the status of its reason, and so is an Origin that
// origins does not allow; nil allows all.
func (a Adapter) AtHandler(r *http.Request, route string, origins *Origins) HTTPRequest {
	q := a.BeginHTTP(r)
	q.Request = a.atEndpoint(q.Request, httpHead{r}, route, true, origins)
	return q
}

// Answer writes the guard's answer if the verdict has one, and ends the
// request. It returns false where the next handler is to be called.
func (q *HTTPRequest) Answer(w http.ResponseWriter, r *http.Request) bool {
	if q.x == nil || q.x.kind != Probe && q.x.kind != Refuse {
		return false
	}
	a := q.x.answer
	writeAnswer(w, r, a)
	q.Done(a.Status, nil)
	q.recycle()
	return true
}

func writeAnswer(w http.ResponseWriter, r *http.Request, a *Answer) {
	header := w.Header()
	for _, f := range a.Header {
		header[f.Name] = f.Values
	}
	w.WriteHeader(a.Status)
	if r.Method != http.MethodHead {
		_, _ = io.WriteString(w, a.Body)
	}
}

// Wrap returns what to call the next handler with: a ResponseWriter that sees
// the status and the hijack, and a request whose context leads to this one.
// Where a layer outside has done so, they are w and r.
func (q *HTTPRequest) Wrap(w http.ResponseWriter, r *http.Request) (http.ResponseWriter, *http.Request) {
	x := q.x
	if x == nil {
		return w, r
	}
	if r.ProtoMajor == 1 && !canHijack(w) {
		x.noHijack = true
	}
	if !q.begun {
		return w, r
	}
	if exchangeOf(r.Context()) != x {
		r = r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x))
	}
	x.w = writer{ResponseWriter: w, x: x, r: r}
	_, flushes := w.(http.Flusher)
	switch {
	case canHijack(w) && flushes:
		return (*hijackWriter)(&x.w), r
	case flushes:
		return (*flushWriter)(&x.w), r
	case canHijack(w):
		return (*bareHijackWriter)(&x.w), r
	}
	return &x.w, r
}

// OnOpened registers f to be called inside Hijack, for a framework that keeps
// its own state of the response.
func (q *HTTPRequest) OnOpened(f func()) {
	if q.x != nil {
		q.x.w.opened = f
	}
}

// Status is what was answered so far, 0 if nothing. For a handler that has
// returned without an answer it is 200, which net/http then sends.
func (q *HTTPRequest) Status() int {
	if q.x == nil {
		return 0
	}
	if s := q.x.status.Load(); s != 0 || q.x.opened() || !q.begun {
		return int(s)
	}
	return http.StatusOK
}

// DoneWith ends a request whose handler returned err: see [Request.DoneLater].
func (q *HTTPRequest) DoneWith(err error) {
	if err != nil && q.x != nil && q.begun {
		q.DoneLater(q.x.w.r.Context(), err)
		return
	}
	q.Done(q.Status(), err)
}

// Recovered is to be deferred by a layer inside a framework's chain: it ends a
// request whose handler panicked, or left by runtime.Goexit, and panics on. A
// panic is told by the outermost layer, if there is one: somebody outside may
// recover it yet.
func (q *HTTPRequest) Recovered() {
	v := recover()
	if v == nil {
		q.Done(0, nil)
		return
	}
	switch {
	case q.c != nil && q.c.is(flagAttached):
		q.Done(0, nil)
	case q.begun:
		q.aborted(v)
	}
	panic(v)
}

// outermost is Recovered for the outermost layer.
func (q *HTTPRequest) outermost() {
	v := recover()
	if v == nil {
		q.Done(0, nil)
		return
	}
	q.aborted(v)
	panic(v)
}

// aborted ends a request whose handler panicked.
func (q *HTTPRequest) aborted(v any) (hijacked bool) {
	if v == http.ErrAbortHandler { // no fault: the way to end a response early
		q.Done(0, http.ErrAbortHandler)
		return false
	}
	return q.Panicked(v)
}

// writer is the ResponseWriter of a candidate. Its variants have the abilities
// of the one below.
type writer struct {
	http.ResponseWriter
	x        *exchange
	r        *http.Request
	opened   func()
	replaced bool // the application's answer gave way to ours
}

// Unwrap is for http.ResponseController.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *writer) WriteHeader(status int) {
	x := w.x
	switch {
	case w.replaced, x.opened(): // after a hijack there is nothing to write to
		return
	case status >= 100 && status <= 199 && status != http.StatusSwitchingProtocols:
	case x.status.Load() == 0:
		if a, ok := (Request{x: x}).Fallback(httpHead{w.r}, status, false); ok {
			w.replaced = true
			clear(w.Header())
			x.status.Store(int32(a.Status))
			writeAnswer(w.ResponseWriter, w.r, &a)
			return
		}
		defer Request{x: x}.Answered(status)
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *writer) Write(p []byte) (int, error) {
	if !w.ready() {
		return len(p), nil
	}
	return w.ResponseWriter.Write(p)
}

func (w *writer) WriteString(s string) (int, error) {
	if !w.ready() {
		return len(s), nil
	}
	if sw, ok := w.ResponseWriter.(interface{ WriteString(string) (int, error) }); ok {
		return sw.WriteString(s)
	}
	return w.ResponseWriter.Write([]byte(s))
}

// ready reports whether a write is the application's answer, rather than one
// after a hijack or after our answer: such a write is dropped.
func (w *writer) ready() bool {
	if w.replaced || w.x.opened() {
		return false
	}
	if w.x.status.Load() == 0 {
		w.WriteHeader(http.StatusOK)
	}
	return !w.replaced
}

func (w *writer) flush() {
	if w.ready() {
		w.ResponseWriter.(http.Flusher).Flush()
	}
}

func (w *writer) hijack() (net.Conn, *bufio.ReadWriter, error) {
	nc, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		w.x.noHijack = true
		w.x.noteError(err)
		return nc, rw, err
	}
	watched := Request{c: w.x.c, x: w.x, begun: true}.Opened(nc)
	if watched != nc {
		redirect(rw, watched)
	}
	if w.opened != nil {
		w.opened()
	}
	return watched, rw, nil
}

// redirect lets rw, of a connection that was just hijacked, read from and write
// to what is watched. What it has read already stays in its buffer, where
// libraries look for it.
func redirect(rw *bufio.ReadWriter, watched net.Conn) {
	rw.Writer.Reset(watched)
	n := rw.Reader.Buffered()
	p, _ := rw.Reader.Peek(n)
	rw.Reader.Reset(io.MultiReader(bytes.NewReader(bytes.Clone(p)), watched))
	_, _ = rw.Reader.Peek(n)
}

// closeNotify is for frameworks that still ask for it.
func (w *writer) closeNotify() <-chan bool {
	if cn, ok := w.ResponseWriter.(interface{ CloseNotify() <-chan bool }); ok {
		return cn.CloseNotify()
	}
	return nil
}

type flushWriter writer

func (w *flushWriter) Unwrap() http.ResponseWriter       { return w.ResponseWriter }
func (w *flushWriter) WriteHeader(status int)            { (*writer)(w).WriteHeader(status) }
func (w *flushWriter) Write(p []byte) (int, error)       { return (*writer)(w).Write(p) }
func (w *flushWriter) WriteString(s string) (int, error) { return (*writer)(w).WriteString(s) }
func (w *flushWriter) Flush()                            { (*writer)(w).flush() }

func (w *flushWriter) CloseNotify() <-chan bool { return (*writer)(w).closeNotify() }

type bareHijackWriter writer

func (w *bareHijackWriter) Unwrap() http.ResponseWriter       { return w.ResponseWriter }
func (w *bareHijackWriter) WriteHeader(status int)            { (*writer)(w).WriteHeader(status) }
func (w *bareHijackWriter) Write(p []byte) (int, error)       { return (*writer)(w).Write(p) }
func (w *bareHijackWriter) WriteString(s string) (int, error) { return (*writer)(w).WriteString(s) }
func (w *bareHijackWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return (*writer)(w).hijack()
}

type hijackWriter writer

func (w *hijackWriter) Unwrap() http.ResponseWriter       { return w.ResponseWriter }
func (w *hijackWriter) WriteHeader(status int)            { (*writer)(w).WriteHeader(status) }
func (w *hijackWriter) Write(p []byte) (int, error)       { return (*writer)(w).Write(p) }
func (w *hijackWriter) WriteString(s string) (int, error) { return (*writer)(w).WriteString(s) }
func (w *hijackWriter) Flush()                            { (*writer)(w).flush() }
func (w *hijackWriter) CloseNotify() <-chan bool          { return (*writer)(w).closeNotify() }
func (w *hijackWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return (*writer)(w).hijack()
}

// canHijack reports whether w, or a writer that it unwraps to, can hijack. Over
// HTTP/2 none can.
func canHijack(w http.ResponseWriter) bool {
	for {
		switch v := w.(type) {
		case http.Hijacker:
			return true
		case interface{ Unwrap() http.ResponseWriter }:
			w = v.Unwrap()
		default:
			return false
		}
	}
}

// Endpoint returns next with what a WebSocket route needs, whichever library
// serves it: known probers get the health answer whatever their method, a
// handshake that RFC 6455 forbids and libraries let pass is refused, and past
// the hijack a panic is told and the connection closed. It never looks at
// Origin and passes everything else on.
func (g *Guard) Endpoint(next http.Handler) http.Handler {
	a := g.Adapter()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := a.AtEndpoint(r, patternPath(r.Pattern))
		if q.Answer(w, r) {
			return
		}
		_ = q.Run(func() error {
			next.ServeHTTP(q.Wrap(w, r))
			return nil
		})
	})
}

// Run calls the handler of a WebSocket route and ends the request. Once the
// connection has left HTTP a panic is told, with its stack, and the connection
// closed, and an error becomes the session's end: for both Run returns nil. So
// it does for an error after an answer, which could only be answered twice. An
// error before that is the framework's to answer, and a panic goes on.
func (q *HTTPRequest) Run(handler func() error) (err error) {
	defer func() {
		if v := recover(); v == nil {
			q.Done(0, nil) // left by runtime.Goexit
		} else {
			opened := q.x != nil && q.x.opened()
			if opened || q.begun { // else the layer that began it learns of it
				q.aborted(v)
			}
			if !opened {
				panic(v)
			}
			err = nil
		}
	}()
	err = handler()
	x := q.x
	switch {
	case x == nil:
		q.Done(0, err)
		return err
	case x.opened(), x.status.Load() != 0: // too late for another answer
		q.Done(0, err)
		return nil
	}
	q.DoneWith(err)
	return err
}

// Session returns, inside the handler, the session that the request has become
// and a context for it that ends when the connection is closed by this server,
// when a read or a write on it fails, or at the drain's deadline. Outside a
// session it returns ctx and nil.
func (q *HTTPRequest) Session(ctx context.Context) (context.Context, *Session) {
	x := q.x
	if x == nil || !x.opened() {
		return ctx, nil
	}
	ctx, cancel := context.WithCancelCause(x.sessionParent(ctx))
	x.setCancel(cancel)
	if x.c.is(flagClosed) {
		cancel(errSessionEnded)
	}
	return ctx, (*Session)(x)
}

// sessionParent is the context to derive a session's from. That of the request
// ends with the handler, when the session has ended anyway. Where nothing else
// can end it, what it would keep of its children is saved.
func (x *exchange) sessionParent(ctx context.Context) context.Context {
	if base := x.c.ctx; base == nil || base.Done() != nil || ctx != x.w.r.Context() {
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

// IsUpgrade reports whether r asks to upgrade to WebSocket, or is what a proxy
// left of such a request: for the filters of middleware that measures or traces
// requests, for which a session would be a request of hours.
func IsUpgrade(r *http.Request) bool { return asksToUpgrade(httpHead{r}) }

// IsProbe reports whether r is a probe, for the filters of access logs, metrics
// and traces: a request that quietws answers itself, or a GET or HEAD of a known
// prober from a platform's address on a health route or one of
// Config.ProbePaths. It is never true for anything else of the application's,
// whatever the User-Agent says. Asked before the guard's own layer it says what
// is certain then.
func (g *Guard) IsProbe(r *http.Request) bool {
	x := exchangeOf(r.Context())
	if x == nil {
		x = g.Adapter().look(httpHead{r})
	}
	return x != nil && x.quiet()
}

// look judges without taking anything.
func (a Adapter) look(h Head) *exchange {
	if asksToUpgrade(h) {
		return nil
	}
	return a.judge(h, nil, false)
}

// quiet reports whether a request is one that nobody needs to hear of.
func (x *exchange) quiet() bool {
	switch {
	case x.asks:
		return false
	case x.kind == Probe:
		return x.probing || x.credited
	}
	return x.probing && x.credited && (x.methodWord() == "GET" || x.methodWord() == "HEAD")
}
