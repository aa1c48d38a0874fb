package core

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/conn"
)

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

// response is where the answer to a request of net/http goes.
type response struct {
	to     http.ResponseWriter // that of the layer outside; nil before Wrap
	r      *http.Request
	opened func(status int)
}

// writer is a candidate seen as its ResponseWriter, which therefore needs no memory of
// its own. Its variants have the abilities of the one below.
type writer exchange

func (w *writer) Header() http.Header { return w.w.to.Header() }

// Unwrap is for http.ResponseController.
func (w *writer) Unwrap() http.ResponseWriter { return w.w.to }

func (w *writer) WriteHeader(status int) {
	x := (*exchange)(w)
	switch {
	case x.is(stateReplaced), x.opened(): // after a hijack there is nothing to write to
		return
	case status == http.StatusSwitchingProtocols:
		if x.status.Load() != 0 { // it came past a layer that repeats it now
			return
		}
		if !x.admit(status) {
			w.replace(x.answer)
			return
		}
		x.status.CompareAndSwap(0, http.StatusSwitchingProtocols)
	case status >= 100 && status <= 199:
	case x.status.Load() == 0:
		w.finish(status)
		return
	}
	w.w.to.WriteHeader(status)
}

// finish writes the first final status. It is a function of its own so that its locals
// are not on the stack of a session whose library writes 101.
//
//go:noinline
func (w *writer) finish(status int) {
	x := (*exchange)(w)
	if !x.admit(status) {
		w.replace(x.answer)
		return
	}
	if a, ok := (Request{x: x}).fallback(httpHead{w.w.r}, status); ok {
		w.replace(&a)
		return
	}
	x.answering(httpHead{w.w.r}, status, w.Header())
	defer Request{x: x}.answered(status)
	w.w.to.WriteHeader(status)
}

// replace writes our answer in place of the application's.
func (w *writer) replace(a *Answer) {
	x := (*exchange)(w)
	x.set(stateReplaced)
	clear(w.Header())
	x.status.Store(int32(a.Status))
	if w.w.opened != nil {
		w.w.opened(a.Status)
	}
	writeAnswer(w.w.to, w.w.r, a)
}

// mayHijack reports whether the application may take the connection. It runs before a
// hijack, not around it: see hijacked.
//
//go:noinline
func (w *writer) mayHijack() bool {
	x := (*exchange)(w)
	if x.is(stateReplaced) {
		return false
	}
	if x.status.Load() == 0 && !x.admit(http.StatusSwitchingProtocols) {
		w.replace(x.answer)
		return false
	}
	w.beforeHijack()
	return true
}

func (w *writer) Write(p []byte) (int, error) {
	if !w.ready() {
		return len(p), nil
	}
	return w.w.to.Write(p)
}

func (w *writer) WriteString(s string) (int, error) {
	if !w.ready() {
		return len(s), nil
	}
	if sw, ok := w.w.to.(interface{ WriteString(string) (int, error) }); ok {
		return sw.WriteString(s)
	}
	return w.w.to.Write([]byte(s))
}

// ready reports whether a write belongs to the application's answer. After a hijack, or
// after our answer, a write is dropped.
func (w *writer) ready() bool {
	x := (*exchange)(w)
	if x.is(stateReplaced) || x.opened() {
		return false
	}
	if x.status.Load() == 0 {
		w.WriteHeader(http.StatusOK)
	}
	return !x.is(stateReplaced)
}

func (w *writer) flush() { _ = w.flushError() }

// flushError is the method that http.ResponseController calls.
func (w *writer) flushError() error {
	if !w.ready() {
		return nil
	}
	return http.NewResponseController(w.w.to).Flush()
}

// hijacked runs after a hijack, not around it. net/http writes the answer to a handshake
// from inside Hijack, where a session's stack is deepest: a few hundred bytes more would
// double the stack for as long as the session lives.
func (w *writer) hijacked(nc net.Conn, rw *bufio.ReadWriter, err error) (net.Conn, *bufio.ReadWriter, error) {
	x := (*exchange)(w)
	if err != nil {
		x.cannotHijack(w.w.to)
		x.noteError(err)
		return nc, rw, err
	}
	x.early = rw != nil && rw.Reader.Buffered() > 0
	watched := Request{c: x.c, x: x, begun: true}.open(nc)
	if c, ok := watched.(*conn.Conn); ok && nc != net.Conn(c) { // the type of nc may not be comparable
		redirect(rw, watched)
	}
	if w.w.opened != nil {
		w.w.opened(http.StatusSwitchingProtocols)
	}
	return watched, rw, nil
}

// redirect makes rw, of a connection that was just hijacked, read from and write to the
// watched connection. What it has already read stays in its buffer, where libraries look
// for it.
func redirect(rw *bufio.ReadWriter, watched net.Conn) {
	rw.Writer.Reset(watched)
	n := rw.Reader.Buffered()
	p, _ := rw.Reader.Peek(n)
	rw.Reader.Reset(io.MultiReader(bytes.NewReader(bytes.Clone(p)), watched))
	_, _ = rw.Reader.Peek(n)
}

// closeNotify is for frameworks that still use CloseNotify.
func (w *writer) closeNotify() <-chan bool {
	if cn, ok := w.w.to.(interface{ CloseNotify() <-chan bool }); ok {
		return cn.CloseNotify()
	}
	return nil
}

type flushWriter writer

func (w *flushWriter) Header() http.Header               { return w.w.to.Header() }
func (w *flushWriter) Unwrap() http.ResponseWriter       { return w.w.to }
func (w *flushWriter) WriteHeader(status int)            { (*writer)(w).WriteHeader(status) }
func (w *flushWriter) Write(p []byte) (int, error)       { return (*writer)(w).Write(p) }
func (w *flushWriter) WriteString(s string) (int, error) { return (*writer)(w).WriteString(s) }
func (w *flushWriter) Flush()                            { (*writer)(w).flush() }
func (w *flushWriter) FlushError() error                 { return (*writer)(w).flushError() }

func (w *flushWriter) CloseNotify() <-chan bool { return (*writer)(w).closeNotify() }

type bareHijackWriter writer

func (w *bareHijackWriter) Header() http.Header               { return w.w.to.Header() }
func (w *bareHijackWriter) Unwrap() http.ResponseWriter       { return w.w.to }
func (w *bareHijackWriter) WriteHeader(status int)            { (*writer)(w).WriteHeader(status) }
func (w *bareHijackWriter) Write(p []byte) (int, error)       { return (*writer)(w).Write(p) }
func (w *bareHijackWriter) WriteString(s string) (int, error) { return (*writer)(w).WriteString(s) }
func (w *bareHijackWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if !(*writer)(w).mayHijack() {
		return nil, nil, event.ErrSaturated
	}
	return (*writer)(w).hijacked(hijackerOf(w.w.to).Hijack())
}

type hijackWriter writer

func (w *hijackWriter) Header() http.Header               { return w.w.to.Header() }
func (w *hijackWriter) Unwrap() http.ResponseWriter       { return w.w.to }
func (w *hijackWriter) WriteHeader(status int)            { (*writer)(w).WriteHeader(status) }
func (w *hijackWriter) Write(p []byte) (int, error)       { return (*writer)(w).Write(p) }
func (w *hijackWriter) WriteString(s string) (int, error) { return (*writer)(w).WriteString(s) }
func (w *hijackWriter) Flush()                            { (*writer)(w).flush() }
func (w *hijackWriter) FlushError() error                 { return (*writer)(w).flushError() }
func (w *hijackWriter) CloseNotify() <-chan bool          { return (*writer)(w).closeNotify() }
func (w *hijackWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if !(*writer)(w).mayHijack() {
		return nil, nil, event.ErrSaturated
	}
	return (*writer)(w).hijacked(hijackerOf(w.w.to).Hijack())
}

// isOurs reports whether w is the ResponseWriter of the layer that began a request.
func isOurs(w http.ResponseWriter) bool {
	switch w.(type) {
	case *writer, *flushWriter, *bareHijackWriter, *hijackWriter:
		return true
	}
	return false
}

// canHijack reports whether w, or a writer that it unwraps to, can hijack. Over HTTP/2
// none can.
func canHijack(w http.ResponseWriter) bool { return hijackerOf(w) != nil }

// hijackerOf returns the writer that can hijack, or nil. It looks where
// http.ResponseController does.
//
//go:noinline
func hijackerOf(w http.ResponseWriter) http.Hijacker {
	for {
		switch v := w.(type) {
		case http.Hijacker:
			return v
		case interface{ Unwrap() http.ResponseWriter }:
			w = v.Unwrap()
		default:
			return nil
		}
	}
}
