package core

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// What servers and libraries assert on a connection, besides net.Conn. Each
// method hands on to the connection below.

var (
	_ io.ReaderFrom                     = (*Conn)(nil) // net/http: sendfile
	_ io.WriterTo                       = (*Conn)(nil)
	_ syscall.Conn                      = (*Conn)(nil)
	_ interface{ CloseWrite() error }   = (*Conn)(nil) // net/http: or early answers become resets
	_ interface{ NetConn() net.Conn }   = (*Conn)(nil)
	_ interface{ SetLinger(int) error } = (*Conn)(nil)
)

// ReadFrom implements io.ReaderFrom, with sendfile where the connection below
// has it. Bytes are counted when it returns.
func (c *Conn) ReadFrom(r io.Reader) (int64, error) {
	rf, ok := c.Conn.(io.ReaderFrom)
	if !ok {
		return io.Copy(struct{ io.Writer }{c}, r) // the writer alone, or io.Copy would come back here
	}
	if c.answer.Load() == 0 {
		c.answer.CompareAndSwap(0, answerOther)
	}
	n, err := rf.ReadFrom(r)
	c.noteWrite(n, err)
	return n, err
}

// WriteTo implements io.WriterTo, with splice where the connection below has
// it. Bytes are counted when it returns.
func (c *Conn) WriteTo(w io.Writer) (int64, error) {
	wt, ok := c.Conn.(io.WriterTo)
	if !ok {
		return io.Copy(w, struct{ io.Reader }{c})
	}
	n, err := wt.WriteTo(w)
	if err == nil {
		err = io.EOF
	}
	c.noteRead(nil, n, err)
	if err == io.EOF {
		err = nil
	}
	return n, err
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

// SyscallConn implements syscall.Conn. What is read and written through it is
// not seen.
func (c *Conn) SyscallConn() (syscall.RawConn, error) {
	if sc, ok := c.Conn.(syscall.Conn); ok {
		return sc.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}

// File returns a copy of the file descriptor below.
func (c *Conn) File() (*os.File, error) {
	if f, ok := c.Conn.(interface{ File() (*os.File, error) }); ok {
		return f.File()
	}
	return nil, errors.ErrUnsupported
}

// tcp is what *net.TCPConn lets one set.
type tcp interface {
	SetKeepAlive(bool) error
	SetKeepAlivePeriod(time.Duration) error
	SetKeepAliveConfig(net.KeepAliveConfig) error
	SetLinger(int) error
	SetNoDelay(bool) error
	SetReadBuffer(int) error
	SetWriteBuffer(int) error
}

func (c *Conn) tcp(set func(tcp) error) error {
	if t, ok := c.Conn.(tcp); ok {
		return set(t)
	}
	return errors.ErrUnsupported
}

// SetKeepAlive is that of net.TCPConn.
func (c *Conn) SetKeepAlive(on bool) error {
	return c.tcp(func(t tcp) error { return t.SetKeepAlive(on) })
}

// SetKeepAlivePeriod is that of net.TCPConn.
func (c *Conn) SetKeepAlivePeriod(d time.Duration) error {
	return c.tcp(func(t tcp) error { return t.SetKeepAlivePeriod(d) })
}

// SetKeepAliveConfig is that of net.TCPConn.
func (c *Conn) SetKeepAliveConfig(config net.KeepAliveConfig) error {
	return c.tcp(func(t tcp) error { return t.SetKeepAliveConfig(config) })
}

// SetLinger is that of net.TCPConn.
func (c *Conn) SetLinger(sec int) error {
	return c.tcp(func(t tcp) error { return t.SetLinger(sec) })
}

// SetNoDelay is that of net.TCPConn.
func (c *Conn) SetNoDelay(on bool) error {
	return c.tcp(func(t tcp) error { return t.SetNoDelay(on) })
}

// SetReadBuffer is that of net.TCPConn.
func (c *Conn) SetReadBuffer(bytes int) error {
	return c.tcp(func(t tcp) error { return t.SetReadBuffer(bytes) })
}

// SetWriteBuffer is that of net.TCPConn.
func (c *Conn) SetWriteBuffer(bytes int) error {
	return c.tcp(func(t tcp) error { return t.SetWriteBuffer(bytes) })
}
