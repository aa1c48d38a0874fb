package probetest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
)

// Session is an open WebSocket session with its frames in the caller's hands.
// It is for one goroutine at a time.
type Session struct{ w *wire }

// Open completes a handshake for [Target.Path] with more header lines, an
// Origin or a cookie, and returns the session, which the caller has to end by
// [Session.Close] or [Session.Vanish]. Where the server refuses, the session
// is nil and the error says how; the Result has the answer in both cases.
func Open(ctx context.Context, t Target, more ...Field) (*Session, Result, error) {
	w, err := open(ctx, t)
	if err != nil {
		return nil, Result{}, err
	}
	r := WebSocket(t.path()).With(more...)
	if err = w.upgrade(t, r, nil); err == nil {
		err = w.res.Err
	}
	if err == nil && w.res.Status != http.StatusSwitchingProtocols {
		err = fmt.Errorf("probetest: the handshake was answered %d, not 101", w.res.Status)
	}
	if err != nil {
		w.close()
		return nil, w.res, err
	}
	w.release() // the session is not bound to this context
	return &Session{w}, w.res, nil
}

// conn.Conn returns the connection under the session, above TLS. It begins with
// what the server sent after its answer.
func (s *Session) Conn() net.Conn { return &sessionConn{s.w.conn, s.w.br} }

type sessionConn struct {
	net.Conn
	br *bufio.Reader
}

func (c *sessionConn) Read(b []byte) (int, error) { return c.br.Read(b) }

// SendText sends a text message in one masked frame.
func (s *Session) SendText(ctx context.Context, text string) error {
	return s.Send(ctx, Frame{Opcode: OpText, Payload: []byte(text)})
}

// Send sends one frame, masked.
func (s *Session) Send(ctx context.Context, f Frame) error {
	defer s.bind(ctx)()
	if err := s.w.write(f.Bytes()); err != nil {
		return err
	}
	return s.w.res.Err
}

// Read reads one frame. Nothing is answered, pings neither.
func (s *Session) Read(ctx context.Context) (Frame, error) {
	defer s.bind(ctx)()
	f, err := readFrame(s.w.br)
	if timedOut(err) {
		return f, fmt.Errorf("probetest: no frame: %w", s.w.ctxErr())
	}
	return f, err
}

// Close does the closing handshake (RFC 6455 §7.1.2) with this code, reads on
// to the server's close frame and to its FIN, and returns how it ended.
func (s *Session) Close(ctx context.Context, code int) (Result, error) {
	defer s.bind(ctx)()
	return s.w.goodbye(code)
}

// Vanish ends the session without a close frame, what RFC 6455 §7.1.5 calls
// 1006: with FIN as when the client's process is killed, which under TLS sends
// no close_notify either; with RST as when a NAT or firewall gives it up.
func (s *Session) Vanish(end End) (Result, error) {
	defer s.w.close()
	if end == RST {
		return s.w.finish(RST)
	}
	_ = s.w.tcp.CloseWrite()
	return s.w.res, nil
}

func (s *Session) bind(ctx context.Context) (release func()) {
	s.w.bind(bounded(ctx))
	return func() { s.w.release() }
}

// goodbye does the closing handshake. The server closes the TCP connection
// first (RFC 6455 §7.1.1), so that is waited for.
func (w *wire) goodbye(code int) (Result, error) {
	defer func() { _ = w.tcp.Close() }()
	if err := w.write(CloseFrame(code, "").Bytes()); err != nil {
		return w.res, err
	}
	for {
		f, err := readFrame(w.br)
		switch {
		case timedOut(err):
			w.res.Ending = StillOpen
			return w.res, fmt.Errorf("probetest: the server does not close: %w", w.ctxErr())
		case err != nil:
			w.ended(w.gone)
			if w.res.CloseCode == 0 {
				w.res.Err = errors.Join(errors.New("probetest: the server left without a close frame"), err)
			}
			return w.res, nil
		case f.Opcode == OpClose && w.res.CloseCode == 0:
			w.res.CloseCode = f.Code()
		}
	}
}
