package core

import (
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/conn"
	"github.com/quietws/quietws/core/internal/conn/conntest"
	"github.com/quietws/quietws/core/internal/journal/logtest"
)

// scripted is a listener whose Accept returns the items of script, and then waits for
// Close.
type scripted struct {
	script []any // an error or a net.Conn
	calls  []time.Time
	closed chan struct{}
	once   sync.Once
}

func (l *scripted) Accept() (net.Conn, error) {
	l.calls = append(l.calls, time.Now())
	if len(l.script) == 0 {
		<-l.closed
		return nil, net.ErrClosed
	}
	now := l.script[0]
	l.script = l.script[1:]
	if err, ok := now.(error); ok {
		return nil, err
	}
	return now.(net.Conn), nil
}

func (l *scripted) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *scripted) Addr() net.Addr { return conntest.TCPAddr("127.0.0.1:80") }

// acceptError is an error like those of the net package.
func acceptError(errno syscall.Errno) error {
	return &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", errno)}
}

// Too many open files and similar errors are temporary. Accept waits, longer each time
// and at most a second, logs it once in a window, and returns the next connection. At
// such an error, fasthttp's Serve would end for good.
func TestListenerSurvivesShortage(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM} {
		synctest.Test(t, func(t *testing.T) {
			g, log := newGuardAndLog(t, Config{}, slog.LevelDebug)
			below := &scripted{closed: make(chan struct{})}
			for range 12 {
				below.script = append(below.script, acceptError(errno))
			}
			next := &conntest.Script{}
			below.script = append(below.script, next)
			ln := g.Listener(below)
			nc, err := ln.Accept()
			if err != nil {
				t.Fatalf("%v was returned", err)
			}
			if c := conn.Of(nc); c == nil || c.NetConn() != next {
				t.Errorf("Accept returned %v", nc)
			}
			wait := 5 * time.Millisecond
			for i := 1; i < len(below.calls); i++ {
				if got := below.calls[i].Sub(below.calls[i-1]); got != wait {
					t.Errorf("%v: pause %d was %v, want %v", errno, i, got, wait)
				}
				wait = min(2*wait, time.Second)
			}
			lines := linesLoggedBy(t, g, log)
			logtest.WantMessages(t, "a shortage is logged once", lines, "cannot accept connections, retrying")
			if lines[0].Level != slog.LevelError || !strings.Contains(lines[0].Attrs["error"].String(), errno.Error()) || lines[0].Attrs["remedy"].String() == "" {
				t.Errorf("%v", lines[0])
			}
			if s := g.Snapshot(); s.AcceptErrors != 12 || s.Accepted != 1 {
				t.Errorf("%d accept errors and %d accepted, want 12 and 1", s.AcceptErrors, s.Accepted)
			}

			// A second shortage, much later, is logged again.
			<-time.After(2 * defaultCollapse)
			below.script = []any{acceptError(errno), &conntest.Script{}}
			second, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			logtest.WantMessages(t, "the next shortage is another", linesLoggedBy(t, g, log), "cannot accept connections, retrying")
			_, _ = nc.Close(), second.Close()
		})
	}
}

// At the limit, each connection that ends lets one in, and the next Accept fails again.
// That is one shortage, not a hundred.
func TestListenerShortageThatComesAndGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, log := newGuardAndLog(t, Config{}, slog.LevelDebug)
		below := &scripted{closed: make(chan struct{})}
		for range 100 {
			below.script = append(below.script, acceptError(syscall.EMFILE), &conntest.Script{})
		}
		ln := g.Listener(below)
		for range 100 {
			nc, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			_ = nc.Close()
		}
		<-time.After(2 * defaultCollapse)
		logged := 0
		for _, l := range linesLoggedBy(t, g, log) {
			if strings.Contains(l.Msg, "accept") {
				logged++
			}
		}
		if logged != 1 {
			t.Errorf("a hundred shortages of 5ms each, within a second, were logged in %d lines, want one", logged)
		}
	})
}

// Every other error ends the listener as it would without the guard.
func TestListenerReturnsOtherErrors(t *testing.T) {
	g, log := newGuardAndLog(t, Config{}, slog.LevelDebug)
	for _, err := range []error{net.ErrClosed, acceptError(syscall.EINVAL), acceptError(syscall.ECONNABORTED), errors.New("proxyproto: x"), os.ErrDeadlineExceeded} {
		ln := g.Listener(&scripted{script: []any{err}, closed: make(chan struct{})})
		if nc, got := ln.Accept(); got != err || nc != nil {
			t.Errorf("Accept returned %v, %v for %v", nc, got, err)
		}
	}
	if lines := linesLoggedBy(t, g, log); len(lines) != 0 || g.Snapshot().AcceptErrors != 0 {
		t.Errorf("logged %v", lines)
	}
}

// Close ends the wait at once.
func TestListenerCloseEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := quietGuard(t, Config{})
		below := &scripted{closed: make(chan struct{})}
		for range 100 {
			below.script = append(below.script, acceptError(syscall.EMFILE))
		}
		ln := g.Listener(below)
		start := time.Now()
		go func() {
			<-time.After(20500 * time.Millisecond)
			if err := ln.Close(); err != nil {
				t.Error(err)
			}
		}()
		nc, err := ln.Accept()
		if !errors.Is(err, net.ErrClosed) || nc != nil {
			t.Errorf("Accept returned %v, %v, want net.ErrClosed", nc, err)
		}
		if d := time.Since(start); d != 20500*time.Millisecond {
			t.Errorf("Accept returned after %v, Close came after 20.5s", d)
		}
	})
}

// Over a TLS listener the server would no longer see TLS. The error says what to do, and
// the connection does not stay open.
func TestListenerOverTLS(t *testing.T) {
	cert := httptest.NewUnstartedServer(nil)
	cert.StartTLS()
	defer cert.Close()
	below, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := quietGuard(t, Config{})
	ln := g.Listener(tls.NewListener(below, cert.TLS))
	defer func() { _ = ln.Close() }()
	client, err := net.Dial("tcp", below.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	nc, err := ln.Accept()
	if nc != nil || err == nil || !strings.Contains(err.Error(), "Guard.TLSListener") || !strings.HasPrefix(err.Error(), "quietws: ") {
		t.Errorf("Accept returned %v, %v", nc, err)
	}
	if _, err := client.Read(make([]byte, 1)); err == nil {
		t.Error("the connection was left open")
	}
	if s := g.Snapshot(); s.Accepted != 0 {
		t.Errorf("%d accepted", s.Accepted)
	}
	emptyRegistry(t, g.watch.Conns)
}

// above is a listener over another, like that of go-proxyproto.
type above struct{ net.Listener }

func (l above) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	return rawConn{nc}, err
}

// Serve watches every listener that is not the guard's. Connections of a listener over
// the guard's own are not counted again; those over another guard's are.
func TestListenerOverAWatchedOne(t *testing.T) {
	g, other := quietGuard(t, Config{}), quietGuard(t, Config{})
	below := &scripted{script: []any{&conntest.Script{}, &conntest.Script{}}, closed: make(chan struct{})}
	once, twice := g.Listener(above{g.Listener(below)}), other.Listener(above{g.Listener(below)})
	for _, row := range []struct {
		ln     net.Listener
		passed bool
	}{{once, true}, {twice, false}} {
		nc, err := row.ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = nc.Close() }()
		if _, passed := nc.(rawConn); passed != row.passed {
			t.Errorf("Accept returned a %T", nc)
		}
		if conn.Of(nc) == nil {
			t.Errorf("%T shows nothing of a guard", nc)
		}
	}
	if a, b := g.Snapshot().Accepted, other.Snapshot().Accepted; a != 2 || b != 1 {
		t.Errorf("%d and %d accepted, want 2 and 1", a, b)
	}
}

// rawConn is like a connection of go-proxyproto, which has Raw but not NetConn.
type rawConn struct{ net.Conn }

func (r rawConn) Raw() net.Conn { return r.Conn }

type netConn struct{ net.Conn }

func (n netConn) NetConn() net.Conn { return n.Conn }

// deepConn wraps itself.
type deepConn struct{ net.Conn }

func (d *deepConn) NetConn() net.Conn { return d }

// hidden is a net.Conn that hides what it wraps.
type hidden interface{ net.Conn }

func TestConnOf(t *testing.T) {
	g := quietGuard(t, Config{})
	c := watched(g, &conntest.Script{})
	defer func() { _ = c.Close() }()
	secure := func(nc net.Conn) net.Conn { return tls.Server(nc, &tls.Config{}) }
	for rule, nc := range map[string]net.Conn{
		"itself": c, "under TLS": secure(c), "under go-proxyproto": rawConn{c}, "under anything with NetConn": netConn{c},
		"under TLS on go-proxyproto": secure(rawConn{c}), "under go-proxyproto on TLS": rawConn{secure(c)}, "under four": netConn{rawConn{secure(netConn{c})}},
		"embedded": struct{ net.Conn }{c}, "embedded in what a pointer is of": &wrapping{c}, "embedded in TLS that is": &secured{tls.Server(c, &tls.Config{})},
	} {
		if conn.Of(nc) != c {
			t.Errorf("%s: not found", rule)
		}
	}
	for rule, nc := range map[string]net.Conn{
		"nil": nil, "another connection": &conntest.Script{}, "under TLS": secure(&conntest.Script{}), "a Raw of nothing": rawConn{nil}, "one that stands on itself": &deepConn{},
		"hidden by a wrapper that shows nothing": struct{ hidden }{c},
	} {
		if got := conn.Of(nc); got != nil {
			t.Errorf("%s: found %v", rule, got)
		}
	}
}

// TLSListener shows each connection the TLS above it, with and without Attach, so that
// the error of a handshake decides.
func TestTLSListener(t *testing.T) {
	cert := httptest.NewUnstartedServer(nil)
	cert.StartTLS()
	defer cert.Close()
	ended := make(chan event.Event, 1)
	g := quietGuard(t, Config{Observe: func(e event.Event) { ended <- e }})
	below, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln := g.TLSListener(below, cert.TLS)
	defer func() { _ = ln.Close() }()
	for _, row := range []struct {
		name string
		bare bool
		want event.Class
	}{{"closed after the handshake", false, event.TLSProbe}, {"closed at once", true, event.TCPProbe}} {
		client, err := net.Dial("tcp", below.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		nc, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		c := conn.Of(nc)
		if c == nil || c.Above() != nc {
			t.Fatal("the watched connection does not know the tls.Conn above it")
		}
		shaken := make(chan struct{})
		go func() {
			defer close(shaken)
			if !row.bare {
				_ = tls.Client(client, &tls.Config{InsecureSkipVerify: true}).Handshake()
			}
			_ = client.Close()
		}()
		_, _ = io.Copy(io.Discard, nc)
		<-shaken
		_ = nc.Close()
		// Without ConnState, the decision waits until the handshake has ended.
		if e := <-ended; e.Class != row.want || g.Snapshot().Closed[row.want] != 1 {
			t.Errorf("%s: %v", row.name, e.Class)
		}
	}
}

// The listeners of Serve are watched once.
func TestServeWatchesOnce(t *testing.T) {
	g := quietGuard(t, Config{})
	below := &scripted{closed: make(chan struct{})}
	for _, ln := range []net.Listener{g.Listener(below), g.TLSListener(below, &tls.Config{})} {
		if g.watched(ln) != ln {
			t.Errorf("%T was watched again", ln)
		}
	}
	if ln, ok := g.watched(below).(*listener); !ok || ln.Listener != below {
		t.Error("a bare listener is not watched")
	}
	if err := g.Serve(t.Context(), &http.Server{}); !errors.Is(err, errNoListener) {
		t.Errorf("Serve without a listener: %v", err)
	}
}
