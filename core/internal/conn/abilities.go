package conn

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// The interfaces that servers and libraries look for on a connection, in addition to
// net.Conn. Each method calls that of the connection below.

var (
	_ io.ReaderFrom                     = (*Conn)(nil) // net/http: sendfile
	_ io.WriterTo                       = (*Conn)(nil)
	_ syscall.Conn                      = (*Conn)(nil)
	_ interface{ CloseWrite() error }   = (*Conn)(nil) // net/http: without it early answers become resets
	_ interface{ NetConn() net.Conn }   = (*Conn)(nil)
	_ interface{ SetLinger(int) error } = (*Conn)(nil)
)

// ReadFrom implements io.ReaderFrom, with sendfile if the connection below has it. Bytes
// are counted when it returns.
func (c *Conn) ReadFrom(r io.Reader) (int64, error) {
	rf, ok := c.Conn.(io.ReaderFrom)
	if !ok {
		return io.Copy(struct{ io.Writer }{c}, r) // only the writer, or io.Copy would call ReadFrom again
	}
	var answered int64
	if c.Saw(Upgraded) { // a proxy copies the answer to the handshake too
		var err error
		if answered, err = c.copyAnswer(r); err != nil {
			if err == io.EOF {
				err = nil
			}
			return answered, err
		}
	} else if c.answer.Load() == 0 {
		c.answer.CompareAndSwap(0, answerOther)
	}
	n, err := rf.ReadFrom(r)
	c.noteWrite(n, ownError(err, "write", "sendfile"))
	return answered + n, err
}

// copyAnswer copies from r until the answer to the handshake is known. The error is
// io.EOF if r ended before.
func (c *Conn) copyAnswer(r io.Reader) (written int64, err error) {
	var p []byte
	for err == nil && c.unanswered() {
		if p == nil {
			p = make([]byte, 512)
		}
		n, readErr := r.Read(p)
		if n > 0 {
			n, err = c.Write(p[:n])
			written += int64(n)
		}
		if err == nil {
			err = readErr
		}
	}
	return written, err
}

// WriteTo implements io.WriterTo, with splice if the connection below has it. Bytes are
// counted when it returns.
func (c *Conn) WriteTo(w io.Writer) (int64, error) {
	wt, ok := c.Conn.(io.WriterTo)
	if !ok {
		return io.Copy(w, struct{ io.Reader }{c})
	}
	n, err := wt.WriteTo(w)
	if err == nil {
		c.noteRead(nil, n, io.EOF)
	} else {
		c.noteRead(nil, n, ownError(err, "read", ""))
	}
	return n, err
}

// ownError returns err if it comes from this side of a copy: an error of the named
// operation or system call. It returns nil if the other side may have caused it.
func ownError(err error, operation, call string) error {
	for e := err; e != nil; e = errors.Unwrap(e) {
		switch v := e.(type) {
		case *net.OpError:
			if v.Op == operation {
				return err
			}
		case *os.SyscallError:
			if v.Syscall == call {
				return err
			}
		}
	}
	return nil
}

// CloseWrite closes the writing side.
func (c *Conn) CloseWrite() error {
	if cw, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return cw.CloseWrite()
	}
	return errors.ErrUnsupported
}

// CloseRead closes the reading side.
func (c *Conn) CloseRead() error {
	if cr, ok := c.Conn.(interface{ CloseRead() error }); ok {
		return cr.CloseRead()
	}
	return errors.ErrUnsupported
}

// SyscallConn implements syscall.Conn. Bytes read and written through it are not seen.
func (c *Conn) SyscallConn() (syscall.RawConn, error) {
	if sc, ok := c.Conn.(syscall.Conn); ok {
		return sc.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}

// File returns a copy of the file descriptor of the connection below.
func (c *Conn) File() (*os.File, error) {
	if f, ok := c.Conn.(interface{ File() (*os.File, error) }); ok {
		return f.File()
	}
	return nil, errors.ErrUnsupported
}

// SetKeepAlive is like the method of net.TCPConn.
func (c *Conn) SetKeepAlive(on bool) error {
	if s, ok := c.Conn.(interface{ SetKeepAlive(bool) error }); ok {
		return s.SetKeepAlive(on)
	}
	return errors.ErrUnsupported
}

// SetKeepAlivePeriod is like the method of net.TCPConn.
func (c *Conn) SetKeepAlivePeriod(d time.Duration) error {
	if s, ok := c.Conn.(interface{ SetKeepAlivePeriod(time.Duration) error }); ok {
		return s.SetKeepAlivePeriod(d)
	}
	return errors.ErrUnsupported
}

// SetKeepAliveConfig is like the method of net.TCPConn.
func (c *Conn) SetKeepAliveConfig(config net.KeepAliveConfig) error {
	if s, ok := c.Conn.(interface {
		SetKeepAliveConfig(net.KeepAliveConfig) error
	}); ok {
		return s.SetKeepAliveConfig(config)
	}
	return errors.ErrUnsupported
}

// SetLinger is like the method of net.TCPConn.
func (c *Conn) SetLinger(sec int) error {
	if s, ok := c.Conn.(interface{ SetLinger(int) error }); ok {
		return s.SetLinger(sec)
	}
	return errors.ErrUnsupported
}

// SetNoDelay is like the method of net.TCPConn.
func (c *Conn) SetNoDelay(on bool) error {
	if s, ok := c.Conn.(interface{ SetNoDelay(bool) error }); ok {
		return s.SetNoDelay(on)
	}
	return errors.ErrUnsupported
}

// SetReadBuffer is like the method of net.TCPConn.
func (c *Conn) SetReadBuffer(bytes int) error {
	if s, ok := c.Conn.(interface{ SetReadBuffer(int) error }); ok {
		return s.SetReadBuffer(bytes)
	}
	return errors.ErrUnsupported
}

// SetWriteBuffer is like the method of net.TCPConn.
func (c *Conn) SetWriteBuffer(bytes int) error {
	if s, ok := c.Conn.(interface{ SetWriteBuffer(int) error }); ok {
		return s.SetWriteBuffer(bytes)
	}
	return errors.ErrUnsupported
}
