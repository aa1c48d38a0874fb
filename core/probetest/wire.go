package probetest

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

// DefaultTimeout is the time limit of every function whose context has no deadline.
const DefaultTimeout = 5 * time.Second

// maxAnswer limits how many bytes of an answer are kept.
const maxAnswer = 1 << 20

// wire is one connection to a target, its deadline, and the result so far.
type wire struct {
	tcp     *net.TCPConn
	conn    net.Conn      // tcp, or the *tls.Conn over it
	br      *bufio.Reader // over conn, by Read
	gone    error         // the first error of a read from conn: how the connection ended
	ctx     context.Context
	release func()
	res     Result
}

// dial connects without TLS, even if the target has it.
func dial(ctx context.Context, t Target) (*wire, error) {
	ctx, cancel := bounded(ctx)
	c, err := new(net.Dialer).DialContext(ctx, "tcp", t.Addr)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("probetest: %w", err)
	}
	tcp := c.(*net.TCPConn)
	w := &wire{tcp: tcp, conn: tcp}
	w.br = bufio.NewReader(w)
	w.res.Local = tcp.LocalAddr().(*net.TCPAddr).AddrPort()
	w.bind(ctx, cancel)
	return w, nil
}

// open connects and, if the target has TLS, completes a handshake.
func open(ctx context.Context, t Target) (*wire, error) {
	w, err := dial(ctx, t)
	if err != nil || t.TLS == nil {
		return w, err
	}
	if err := w.secure(t.config()); err != nil {
		w.close()
		return nil, fmt.Errorf("probetest: TLS handshake: %w", err)
	}
	return w, nil
}

func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, DefaultTimeout)
}

// bind makes the end of ctx interrupt w until w.release is called, which also clears the
// deadline.
func (w *wire) bind(ctx context.Context, cancel context.CancelFunc) {
	w.ctx = ctx
	fired := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(fired)
		_ = w.tcp.SetDeadline(time.Unix(1, 0))
	})
	w.release = func() {
		w.release = func() {}
		if !stop() {
			<-fired
		}
		cancel()
		_ = w.tcp.SetDeadline(time.Time{})
	}
}

func (w *wire) close() {
	w.release()
	_ = w.tcp.Close()
}

// secure starts TLS on w. After an error w is still plain, and the bytes received are
// lost.
func (w *wire) secure(cfg *tls.Config) error {
	c := tls.Client(w.tcp, cfg)
	if err := c.Handshake(); err != nil {
		if timedOut(err) {
			return w.ctxErr()
		}
		return err
	}
	w.conn = c
	return nil
}

// Read reads from the connection, inside TLS if it has any. It keeps the first error:
// after a reset the next read returns EOF, which parsers turn into errors of their own.
func (w *wire) Read(b []byte) (int, error) {
	n, err := w.conn.Read(b)
	if w.gone == nil && err != nil {
		w.gone = err
	}
	return n, err
}

// write sends b. A failed write is not an error, because the server's answer may still
// be there to read; the Result shows it.
func (w *wire) write(b []byte) error {
	_, err := w.conn.Write(b)
	if timedOut(err) {
		return fmt.Errorf("probetest: the server does not read: %w", w.ctxErr())
	}
	w.res.Err = err
	return nil
}

// answer reads one HTTP/1 response and skips interim ones (RFC 9110 §15.2).
func (w *wire) answer(method string) error {
	start, err := w.br.Peek(len("HTTP/"))
	if err == nil && string(start) != "HTTP/" {
		got, _ := w.br.Peek(w.br.Buffered())
		w.res.Body = string(got)
		return nil
	}
	for err == nil {
		var resp *http.Response
		resp, err = http.ReadResponse(w.br, &http.Request{Method: method})
		if err != nil || resp.StatusCode < 200 && resp.StatusCode != http.StatusSwitchingProtocols {
			continue
		}
		w.res.Proto, w.res.Status, w.res.Header = resp.Proto, resp.StatusCode, resp.Header
		if resp.StatusCode != http.StatusSwitchingProtocols {
			var body []byte
			body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
			w.res.Body = string(body)
		}
		w.res.Err = nil
		break
	}
	if err == nil {
		return nil
	}
	w.res.Err = err // io.EOF if no byte came, or what is malformed
	if w.gone != nil {
		w.ended(w.gone)
		switch {
		case !errors.Is(w.gone, io.EOF):
			w.res.Err = w.gone
		case len(start) > 0:
			w.res.Err = fmt.Errorf("probetest: the answer is cut: %w", io.ErrUnexpectedEOF)
		}
	}
	if w.res.Ending == StillOpen {
		return fmt.Errorf("probetest: no answer: %w", w.ctxErr())
	}
	return nil
}

// finish ends the connection in the given way.
func (w *wire) finish(end End) (Result, error) {
	switch end {
	case RST:
		_ = w.tcp.SetLinger(0)
	case Silence:
		w.listen()
	case HalfClose:
		w.closeWrite()
		w.listen()
	default:
		// A close with unread bytes is a reset. The FIN goes first, so that
		// the server reads the end of the stream in any case.
		w.closeWrite()
	}
	_ = w.tcp.Close()
	return w.res, nil
}

func (w *wire) closeWrite() {
	if c, ok := w.conn.(*tls.Conn); ok {
		_ = c.CloseWrite()
	}
	_ = w.tcp.CloseWrite()
}

// listen reads until the server closes or the context ends. What came is the answer if it
// is one; it is not an error if none came.
func (w *wire) listen() {
	if w.res.Status == 0 {
		fault := w.res.Err
		_ = w.answer(http.MethodGet)
		if w.res.Status == 0 {
			w.res.Err = fault
		}
	}
	_, _ = io.Copy(io.Discard, w.br)
	w.ended(w.gone)
}

// ended notes how the connection ended, from the error of a read.
func (w *wire) ended(err error) {
	var sys *os.SyscallError
	switch {
	case timedOut(err):
		w.res.Ending = StillOpen
	case errors.As(err, &sys):
		w.res.Ending = ByRST
	default:
		w.res.Ending = ByFIN
	}
}

func timedOut(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// ctxErr is why w was interrupted.
func (w *wire) ctxErr() error {
	if err := context.Cause(w.ctx); err != nil {
		return err
	}
	return context.DeadlineExceeded
}
