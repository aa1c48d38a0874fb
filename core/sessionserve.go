package core

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/quietws/quietws/core/internal/conn"
	"github.com/quietws/quietws/core/internal/journal"
	"github.com/quietws/quietws/core/internal/usererror"
)

// Serve is for authors of adapters: the life of a session in a handler that owns
// its frames. f has it until it returns. At the session's moment of a drain closing is called with
// DrainConfig.Code. Else, when f has returned, it is called with 1000 (normal
// closure), or with 1011 (internal error) where f returned an error without a
// close code; one with a code has closed already (RFC 6455 §7.4.1). closing does
// the closing handshake with that code, and returns nil, or an error with the
// peer's code, where the peer answered it; alone is true where f has returned
// and so reads no more. Serve waits for it and returns f's error. On a nil
// Session there is no drain.
func (s *Session) Serve(closing func(code int, alone bool) error, f func() error) error {
	torn := false
	say := func(code int, alone bool) {
		err := closing(code, alone)
		if theirs := closeCode(err); err == nil && !torn || theirs != 0 && theirs != 1006 {
			s.Ended(code)
		}
	}
	s.OnDrain(func() { say(s.g.config.Drain.Code, false) })
	err := f()
	switch {
	case s.Settle(): // the drain's goodbye is said
	case err == nil:
		say(1000, true)
	case closeCode(err) == 0:
		// coder/websocket ends its connection with the context of a read, and its
		// Close then has nobody to talk to and returns nil.
		torn = usererror.Is(err, context.Canceled, context.DeadlineExceeded)
		say(1011, true)
	}
	return err
}

// Frames is what the connections of gorilla/websocket, and of libraries that come
// from it, can do; see there for each method. It is for authors of adapters.
type frames interface {
	WriteControl(kind int, data []byte, deadline time.Time) error
	SetReadDeadline(t time.Time) error
	NextReader() (kind int, r io.Reader, err error)
}

// The patience with a peer for taking a close frame, and for answering it.
const closeWait, answerWait = time.Second, 5 * time.Second

// opClose is the opcode of a close frame (RFC 6455 §11.8).
const opClose = 8

// errUnanswered is the error of a closing handshake whose other half somebody
// else reads.
var errUnanswered = errors.New("quietws: the close frame is not answered yet")

// sayClose sends a close frame, and waits for the answer where nobody else
// reads.
func sayClose(ws frames, code int, alone bool) error {
	err := ws.WriteControl(opClose, binary.BigEndian.AppendUint16(nil, uint16(code)), time.Now().Add(closeWait))
	if err != nil || !alone {
		return errors.Join(errUnanswered, err)
	}
	for err = ws.SetReadDeadline(time.Now().Add(answerWait)); err == nil; {
		_, _, err = ws.NextReader()
	}
	return err
}

// Run is Serve, on the frames of ws, for a session that the server has handed over
// to a goroutine of its own, above which nobody is. f has a context, made from
// parent, that ends with parent, when the connection is closed by this server, when
// a read or a write on it fails, or at the drain's deadline. A parent that has ended
// before, as one of a timeout around the handler that has returned, ends nothing.
// When f has returned the session is over as far as this side goes: its error is the
// session's end, and a panic is told and ends the session alone. A close frame of
// Run's is written within a second, and its answer awaited for five. It is for
// authors of adapters.
func (s *Session) Run(parent context.Context, ws frames, f func(context.Context) error) {
	if parent != nil && parent.Err() != nil { // as of a timeout around the handler, which has returned
		parent = context.WithoutCancel(parent)
	}
	closing := func(code int, alone bool) error { return sayClose(ws, code, alone) }
	if s == nil {
		_ = s.Serve(closing, func() error { return f(parent) })
		return
	}
	x := (*exchange)(s)
	ctx, cancel := context.WithCancelCause(context.WithValue(parent, exchangeKey{}, x))
	defer cancel(errSessionEnded)
	x.setCancel(cancel)
	if x.c.Saw(conn.Closed) {
		cancel(errSessionEnded)
	}
	if x.c.Begin() { // a panic after f has closed the connection is one all the same
		defer x.c.Release()
	}
	returned := false
	defer func() {
		if v := recover(); isAPanic(v, returned) {
			s.Settle()
			s.Panicked(v)
		}
		takenBack(x.c)
	}()
	if err := s.Serve(closing, func() error { return f(ctx) }); err != nil {
		x.noteError(err)
	}
	returned = true
}

// Panicked tells a panic v of the one who has the session, and closes its
// connection. On a nil Session, where the guard is not known either, the panic is
// logged by [slog.Default]. It is for authors of adapters.
func (s *Session) Panicked(v any) {
	if s == nil {
		slog.Error("panic in a WebSocket session", slog.String("panic", journal.PanicText(v)), slog.String("stack", string(debug.Stack())))
		return
	}
	r := Request{c: s.c, x: (*exchange)(s)}
	r.notePanic(v)
}
