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

// Serve runs a session in a handler that owns its frames, and returns f's error. It is
// for authors of adapters. f has the session until it returns.
//
// closing does the closing handshake with a code. It is called at most once: at the session's
// moment of a drain with DrainConfig.Code; otherwise, after f has returned, with 1000
// (normal closure), or with 1011 (internal error) if f returned an error without a close
// code. An error with a code means that the session is closed already (RFC 6455 §7.4.1).
// closing returns nil, or an error with the peer's code, if the peer has answered. alone
// is true if f has returned and so no longer reads. Serve waits for closing. On a nil
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
	case s.Settle(): // the drain has said goodbye
	case err == nil:
		say(1000, true)
	case closeCode(err) == 0:
		// coder/websocket closes its connection when the context of a read ends. Its
		// Close then reaches no peer, and returns nil.
		torn = usererror.Is(err, context.Canceled, context.DeadlineExceeded)
		say(1011, true)
	}
	return err
}

// frames is what the connections of gorilla/websocket and libraries derived from it can
// do; see that library for the methods.
type frames interface {
	WriteControl(kind int, data []byte, deadline time.Time) error
	SetReadDeadline(t time.Time) error
	NextReader() (kind int, r io.Reader, err error)
}

// How long a peer may take to receive a close frame, and to answer it.
const closeWait, answerWait = time.Second, 5 * time.Second

// opClose is the opcode of a close frame (RFC 6455 §11.8).
const opClose = 8

// errUnanswered is the error of a closing handshake whose answer another goroutine reads.
var errUnanswered = errors.New("quietws: the close frame is not answered yet")

// sayClose sends a close frame, and waits for the answer if no other goroutine reads.
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

// Run is Serve on the frames of ws, for a session that the server has handed over to its
// own goroutine. It is for authors of adapters.
//
// f gets a context made from parent. It ends with parent, when this server closes the
// connection, when a read or a write on it fails, or at the drain's deadline. A parent
// that has already ended, such as that of a timeout around the handler that has returned,
// does not end it.
//
// When f has returned, the session is over on this side. f's error is the session's end.
// A panic is logged, and ends only the session. Run writes its close frame within a
// second, and waits five seconds for the answer.
func (s *Session) Run(parent context.Context, ws frames, f func(context.Context) error) {
	if parent != nil && parent.Err() != nil { // such as that of a timeout around the handler, which has returned
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
	if x.c.Begin() { // a panic counts even after f has closed the connection
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

// Panicked logs a panic v of the handler that has the session, and closes its connection.
// On a nil Session, where the guard is not known either, [slog.Default] logs it. It is
// for authors of adapters.
func (s *Session) Panicked(v any) {
	if s == nil {
		slog.Error("panic in a WebSocket session", slog.String("panic", journal.PanicText(v)), slog.String("stack", string(debug.Stack())))
		return
	}
	r := Request{c: s.c, x: (*exchange)(s)}
	r.notePanic(v)
}
