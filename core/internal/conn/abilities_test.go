package conn

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/quietws/quietws/core/internal/conn/conntest"
)

// spyTCP is a TCP connection that records which of its abilities were used.
type spyTCP struct {
	*net.TCPConn
	used []string
}

func (s *spyTCP) ReadFrom(r io.Reader) (int64, error) {
	s.used = append(s.used, "ReadFrom")
	return s.TCPConn.ReadFrom(r)
}

func (s *spyTCP) WriteTo(w io.Writer) (int64, error) {
	s.used = append(s.used, "WriteTo")
	return s.TCPConn.WriteTo(w)
}

// unixPair returns both ends of a connection over a unix socket.
func unixPair(t *testing.T) (server, client net.Conn) {
	t.Helper()
	dir, err := os.MkdirTemp("", "ws") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	client, err = net.Dial("unix", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err = ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _, _, _ = server.Close(), client.Close(), ln.Close(), os.RemoveAll(dir) })
	return server, client
}

// A file is sent as net/http sends it: io.Copy to the Conn calls the ReadFrom of the TCP
// connection, which uses sendfile.
func TestConnReadFrom(t *testing.T) {
	content := strings.Repeat("0123456789abcdef", 1<<13)
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	g := newRecorder(t)
	tcpServer, tcpClient := conntest.TCPPair(t)
	spy := &spyTCP{TCPConn: tcpServer}
	unixServer, unixClient := unixPair(t)
	for kind, ends := range map[string][2]net.Conn{"tcp": {spy, tcpClient}, "unix": {unixServer, unixClient}} {
		c, client := recorded(g, ends[0]), ends[1]
		file, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		received := make(chan []byte)
		go func() {
			p, _ := io.ReadAll(client)
			received <- p
		}()
		n, err := io.Copy(c, io.LimitReader(file, 100_000)) // as net/http does for a Content-Length
		if err != nil || n != 100_000 {
			t.Errorf("%s: copied %d, %v", kind, n, err)
		}
		if n, err := c.ReadFrom(file); err != nil || n != int64(len(content)-100_000) {
			t.Errorf("%s: ReadFrom sent %d, %v", kind, n, err)
		}
		if err := c.CloseWrite(); err != nil {
			t.Errorf("%s: CloseWrite: %v", kind, err)
		}
		if got := <-received; string(got) != content {
			t.Errorf("%s: %d bytes arrived, not those of the file", kind, len(got))
		}
		if c.Out.Load() != int64(len(content)) || c.answer.Load() != answerOther {
			t.Errorf("%s: counted %d bytes, answer %#x", kind, c.Out.Load(), c.answer.Load())
		}
		_, _ = c.Close(), file.Close()
	}
	if len(spy.used) != 2 {
		t.Errorf("the TCP connection's ReadFrom was used %d times, want 2: no sendfile otherwise", len(spy.used))
	}
}

func TestConnWriteTo(t *testing.T) {
	content := strings.Repeat("0123456789abcdef", 1<<12)
	g := newRecorder(t)
	tcpServer, tcpClient := conntest.TCPPair(t)
	spy := &spyTCP{TCPConn: tcpServer}
	unixServer, unixClient := unixPair(t)
	for kind, ends := range map[string][2]net.Conn{"tcp": {spy, tcpClient}, "unix": {unixServer, unixClient}} {
		c, client := recorded(g, ends[0]), ends[1]
		go func() {
			_, _ = io.WriteString(client, content)
			_ = client.(interface{ CloseWrite() error }).CloseWrite()
		}()
		var got bytes.Buffer
		if n, err := io.Copy(&got, c); err != nil || n != int64(len(content)) || got.String() != content {
			t.Errorf("%s: copied %d, %v", kind, n, err)
		}
		if f := c.evidence(); f.in != int64(len(content)) || f.readEnd != endEOF {
			t.Errorf("%s: counted %d bytes, end %d, want the peer's close", kind, f.in, f.readEnd)
		}
		_ = c.Close()
	}
	if len(spy.used) != 1 {
		t.Error("the TCP connection's WriteTo was not used: no splice")
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error)  { return 0, f.err }
func (f failing) Write([]byte) (int, error) { return 0, f.err }

// ReadFrom and WriteTo also return errors of the other end of the copy, such as a proxy's
// upstream. They say nothing about this peer.
func TestConnCopyErrorsOfOthers(t *testing.T) {
	g := newRecorder(t)
	upstream := &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	for kind, pair := range map[string]func() (net.Conn, net.Conn){
		"tcp":  func() (net.Conn, net.Conn) { s, c := conntest.TCPPair(t); return s, c },
		"unix": func() (net.Conn, net.Conn) { return unixPair(t) },
	} {
		server, client := pair()
		c := recorded(g, server)
		if _, err := c.ReadFrom(failing{upstream}); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%s: ReadFrom returned %v", kind, err)
		}
		if c.PeerGone() || c.Saw(PeerFirst) {
			t.Errorf("%s: a reset of the source of a copy counts as the peer's", kind)
		}
		if _, err := io.WriteString(client, "x"); err != nil {
			t.Fatal(err)
		}
		broken := &net.OpError{Op: "write", Net: "tcp", Err: os.NewSyscallError("write", syscall.EPIPE)}
		if _, err := c.WriteTo(failing{broken}); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("%s: WriteTo returned %v", kind, err)
		}
		if c.PeerGone() || c.Saw(PeerFirst) || c.evidence().readEnd != endNone {
			t.Errorf("%s: a reset of the target of a copy counts as the peer's", kind)
		}
		_ = c.Close()
	}
}

// The peer's own reset in the middle of a copy is noted.
func TestConnCopySeesThePeer(t *testing.T) {
	g := newRecorder(t)
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	for how, copying := range map[string]func(*Conn) error{
		"a file to it": func(c *Conn) error {
			for { // until the kernel's buffer is full
				file, err := os.Open(name)
				if err == nil {
					_, err = c.ReadFrom(file)
					_ = file.Close()
				}
				if err != nil {
					return err
				}
			}
		},
		"another source to it": func(c *Conn) error {
			_, err := c.ReadFrom(unending{})
			return err
		},
		"from it": func(c *Conn) error {
			_, err := c.WriteTo(io.Discard)
			return err
		},
	} {
		server, client := conntest.TCPPair(t)
		c := recorded(g, server)
		if err := client.SetLinger(0); err != nil {
			t.Fatal(err)
		}
		go func() { _ = client.Close() }()
		if err := copying(c); err == nil {
			t.Errorf("%s: no error, though the peer reset", how)
		}
		if !c.PeerGone() {
			t.Errorf("%s: a reset of the peer was not seen", how)
		}
		_ = c.Close()
	}
}

// A Conn can do what the *net.TCPConn or *net.UnixConn below can do. On another connection
// it returns an error; it neither panics nor recurses.
func TestConnAbilities(t *testing.T) {
	g := newRecorder(t)
	abilities := map[string]func(*Conn) error{
		"SyscallConn": func(c *Conn) error {
			raw, err := c.SyscallConn()
			if err != nil {
				return err
			}
			fd := uintptr(0)
			err = raw.Control(func(f uintptr) { fd = f })
			if err == nil && fd == 0 {
				err = errors.New("no descriptor")
			}
			return err
		},
		"File": func(c *Conn) error {
			f, err := c.File()
			if err == nil {
				err = f.Close()
			}
			return err
		},
		"SetReadBuffer":      func(c *Conn) error { return c.SetReadBuffer(1 << 16) },
		"SetWriteBuffer":     func(c *Conn) error { return c.SetWriteBuffer(1 << 16) },
		"SetKeepAlive":       func(c *Conn) error { return c.SetKeepAlive(true) },
		"SetKeepAlivePeriod": func(c *Conn) error { return c.SetKeepAlivePeriod(time.Minute) },
		"SetKeepAliveConfig": func(c *Conn) error { return c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true}) },
		"SetLinger":          func(c *Conn) error { return c.SetLinger(1) },
		"SetNoDelay":         func(c *Conn) error { return c.SetNoDelay(true) },
		"CloseRead":          func(c *Conn) error { return c.CloseRead() },
		"CloseWrite":         func(c *Conn) error { return c.CloseWrite() },
	}
	tcpServer, _ := conntest.TCPPair(t)
	unixServer, _ := unixPair(t)
	pipe, other := net.Pipe()
	t.Cleanup(func() { _, _ = pipe.Close(), other.Close() })
	// The closing methods last: the others fail after them.
	order := []string{"SyscallConn", "File", "SetReadBuffer", "SetWriteBuffer", "SetKeepAlive", "SetKeepAlivePeriod",
		"SetKeepAliveConfig", "SetLinger", "SetNoDelay", "CloseRead", "CloseWrite"}
	if len(order) != len(abilities) {
		t.Fatal("an ability is missing in order")
	}
	for _, row := range []struct {
		kind string
		conn net.Conn
		has  string
	}{
		{"tcp", tcpServer, strings.Join(order, " ")},
		{"unix", unixServer, "SyscallConn File SetReadBuffer SetWriteBuffer CloseRead CloseWrite"},
		{"pipe", pipe, ""},
		{"a Conn on a Conn", recorded(g, tcpServer), ""},
	} {
		c := recorded(g, row.conn)
		for _, name := range order {
			err := abilities[name](c)
			switch {
			case row.kind == "a Conn on a Conn":
				if errors.Is(err, errors.ErrUnsupported) {
					t.Errorf("%s, %s: %v", row.kind, name, err)
				}
			case strings.Contains(" "+row.has+" ", " "+name+" "):
				if err != nil {
					t.Errorf("%s, %s: %v", row.kind, name, err)
				}
			case !errors.Is(err, errors.ErrUnsupported):
				t.Errorf("%s, %s: %v, want errors.ErrUnsupported", row.kind, name, err)
			}
		}
		if c.NetConn() != row.conn {
			t.Errorf("%s: NetConn is not the connection below", row.kind)
		}
	}
}

// net/http needs CloseWrite so that an early answer does not become a reset.
func TestConnCloseWrite(t *testing.T) {
	g := newRecorder(t)
	server, client := conntest.TCPPair(t)
	c := recorded(g, server)
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the peer read %v, want the end", err)
	}
	if _, err := client.Write([]byte("more")); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 10)); n != 4 || err != nil {
		t.Errorf("after CloseWrite read %d, %v", n, err)
	}
	if f := c.evidence(); f.readEnd != endNone || f.saw(Closed) {
		t.Error("CloseWrite counts as Close")
	}
	_ = c.Close()
}

// unending is a reader that never ends.
type unending struct{}

func (unending) Read(p []byte) (int, error) { return len(p), nil }
