package probetest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
)

// Session is an open WebSocket session. The caller sends and reads its frames. Use it from
// one goroutine at a time.
type Session struct{ w *wire }

// Open completes a handshake for [Target.Path] and returns the session. more has header
// lines such as Origin or Cookie. The caller must end the session with [Session.Close] or
// [Session.Vanish]. If the server refuses, the session is nil and the error says why. The
// Result has the answer in both cases.
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

// Conn returns the connection of the session, inside TLS if the target has it. Its first
// bytes are those that the server sent after its answer.
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

// Read reads one frame. It answers none, not even a ping.
func (s *Session) Read(ctx context.Context) (Frame, error) {
	defer s.bind(ctx)()
	f, err := readFrame(s.w.br)
	if timedOut(err) {
		return f, fmt.Errorf("probetest: no frame: %w", s.w.ctxErr())
	}
	return f, err
}

// Close does the closing handshake (RFC 6455 §7.1.2) with this code. It reads up to the
// server's close frame and its FIN, and returns how the session ended.
func (s *Session) Close(ctx context.Context, code int) (Result, error) {
	defer s.bind(ctx)()
	return s.w.goodbye(code)
}

// Vanish ends the session without a close frame, which is code 1006 in RFC 6455 §7.1.5:
// with FIN as when the client's process is killed, also without close_notify under TLS;
// with RST as when a NAT or firewall drops it.
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

// goodbye does the closing handshake. It waits until the server closes the TCP connection,
// which it must do first (RFC 6455 §7.1.1).
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
