package core

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"reflect"
	"sync"
	"syscall"
	"time"

	"github.com/quietws/quietws/core/internal/conn"
	"github.com/quietws/quietws/core/internal/journal"
	"github.com/quietws/quietws/core/internal/usererror"
)

// listener watches what it accepts.
type listener struct {
	net.Listener
	g *Guard
	conn.Source

	once sync.Once
	done chan struct{}
}

// errTLSBelow is the error of Serve for a TLS listener, or of Accept if only that can see
// it. Over such a listener net/http does not see TLS, so neither HTTP/2 nor Request.TLS
// works.
var errTLSBelow = errors.New("quietws: Serve or Guard.Listener was given a TLS listener; give it the raw one and put TLS above it: Guard.TLSListener, or tls.NewListener(guard.Listener(ln), config)")

// Listener returns ln watched: each connection that it accepts is counted, and ends in
// exactly one [event.Class]. Give it the raw listener, or one of go-proxyproto, and put
// TLS above it:
//
//	tls.NewListener(guard.Listener(ln), config)
//
// If a listener above it makes connections that neither embed a net.Conn nor have a
// NetConn method, the guard cannot see through them: put that listener below. Over
// connections that the guard watches already it changes nothing, and each is counted
// once; that happens if you watch the listener below cmux as well as those that cmux
// makes.
//
// Over a TLS listener HTTP/2 and Request.TLS would not work, so its first Accept returns
// an error. Accept does not return temporary errors, such as too many open files. It
// waits, from 5 ms up to a second, logs the error once per [Config.Collapse], and tries
// again. So a server whose Serve ends at any error survives.
//
// The listener is for a server that the guard is attached to. Without [Guard.Attach] or
// [Guard.Wrap] the guard does not see the requests, which a line in the log then says,
// and TLS errors are in the server's log.
func (g *Guard) Listener(ln net.Listener) net.Listener {
	if g == nil {
		return ln
	}
	return &listener{Listener: ln, g: g, Source: conn.Source{Watch: g.watch}, done: make(chan struct{})}
}

// TLSListener returns the raw listener ln, watched, with TLS above it, as
// [tls.NewListener] does: config must have a certificate, and for HTTP/2 must name "h2"
// in NextProtos. It does the same as tls.NewListener over [Guard.Listener], but it knows
// of TLS before the server shows it, and it contains panics of config's functions: the
// handshake fails, and the panic is logged.
func (g *Guard) TLSListener(ln net.Listener, config *tls.Config) net.Listener {
	if g == nil {
		return tls.NewListener(ln, config)
	}
	watched := &listener{Listener: ln, g: g, Source: conn.Source{Watch: g.watch}, done: make(chan struct{})}
	watched.TLS.Store(true)
	return &tlsListener{Listener: tls.NewListener(watched, g.containedConfig(config))}
}

// tlsListener shows each watched connection the TLS connection above it.
type tlsListener struct{ net.Listener }

func (l *tlsListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if c := conn.Of(nc); c != nil {
		c.LookAbove(nc)
	}
	return nc, err
}

// The pause after a temporary error of Accept, doubled each time.
const (
	acceptPauseMin = 5 * time.Millisecond
	acceptPauseMax = time.Second
)

func (l *listener) Accept() (net.Conn, error) {
	var pause time.Duration
	for {
		nc, err := l.Listener.Accept()
		if err == nil {
			c := conn.Of(nc)
			switch {
			case c != nil && guardOf(c) == l.g: // already watched below, as with TLS or go-proxyproto in between
				c.LookAbove(nc)
				return nc, nil
			case conn.IsTLS(nc):
				_ = nc.Close()
				return nil, errTLSBelow
			}
			l.g.stats.accepted.Add(1)
			return conn.New(nc, &l.Source, conn.Accepted), nil
		}
		if !passes(err) {
			return nil, err
		}
		l.g.acceptFailed(err)
		pause = min(max(2*pause, acceptPauseMin), acceptPauseMax)
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-l.done:
			t.Stop()
			return nil, net.ErrClosed
		}
	}
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.done) })
	return l.Listener.Close()
}

// passes reports whether an error of Accept is a shortage that ends without help.
func passes(err error) bool {
	return usererror.Is(err, syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM)
}

// acceptFailed counts a shortage, and logs it at most once in each window of
// Config.Collapse: a server at its limit accepts one connection and fails at the next,
// again and again.
func (g *Guard) acceptFailed(err error) {
	g.stats.acceptErrors.Add(1)
	now := int64(g.now()) + 1
	last := g.once.starved.Load()
	if last != 0 && now-last < int64(g.config.Collapse) || !g.once.starved.CompareAndSwap(last, now) {
		return
	}
	g.journal.Note(slog.LevelError, "cannot accept connections, retrying",
		slog.String("error", journal.Text(usererror.Text(err))),
		slog.String("remedy", "raise the limit of open files (ulimit -n, LimitNOFILE=) or find what leaks them"))
}

// listensAlone logs, once, that connections are watched but their requests are not
// reported. Then the guard cannot distinguish a request from anything else.
func (g *Guard) listensAlone() {
	if !g.once.alone.CompareAndSwap(false, true) {
		return
	}
	g.journal.Note(slog.LevelWarn, "connections are watched, but no server is attached",
		slog.String("remedy", "call the guard's or the adapter's Attach before the server serves, or use Serve; with Guard.Listener alone requests and sessions are not seen"))
}

// isTLSListener reports whether ln makes TLS connections out of those of a listener that
// is not watched. It is false where that cannot be seen.
func isTLSListener(ln net.Listener) bool {
	isTLS := false
	for range maxListeners {
		switch ln.(type) {
		case *listener, *tlsListener:
			return false
		case *net.TCPListener, *net.UnixListener:
			return isTLS
		case nil:
			return false
		}
		isTLS = isTLS || reflect.TypeOf(ln) == tlsListeners
		ln = listenerIn(ln)
	}
	return false
}

// tlsListeners is the type that tls.NewListener returns.
var tlsListeners = reflect.TypeOf(tls.NewListener(nil, nil))

// listenerIn returns the listener in the field Listener of ln, nil if there is none. The
// field may be embedded; in go-proxyproto's type it is not.
func listenerIn(ln net.Listener) net.Listener {
	v := reflect.Indirect(reflect.ValueOf(ln))
	if v.Kind() != reflect.Struct {
		return nil
	}
	f, ok := v.Type().FieldByName("Listener")
	if !ok || len(f.Index) != 1 || f.Type != reflect.TypeFor[net.Listener]() {
		return nil
	}
	inner, _ := v.FieldByIndex(f.Index).Interface().(net.Listener)
	return inner
}

// maxListeners limits how many layers of listeners are examined.
const maxListeners = 8

// connTable finds the conn.Conn of a connection that the guard did not accept.
type connTable struct{ m sync.Map }

// hashable reports whether nc can be a map key: a listener may return any type.
func hashable(nc net.Conn) bool {
	v := reflect.ValueOf(nc)
	return v.Kind() == reflect.Pointer || v.Comparable()
}

func (t *connTable) load(nc net.Conn) *conn.Conn {
	if !hashable(nc) {
		return nil
	}
	c, _ := t.m.Load(nc)
	found, _ := c.(*conn.Conn)
	return found
}

func (t *connTable) store(nc net.Conn, c *conn.Conn) { t.m.Store(nc, c) }

func (t *connTable) delete(nc net.Conn) {
	if hashable(nc) {
		t.m.Delete(nc)
	}
}

// notWatched logs, once, that connections of a type that cannot be compared are not
// counted.
func (g *Guard) notWatched(nc net.Conn) {
	if g.once.strange.CompareAndSwap(false, true) {
		g.journal.Note(slog.LevelWarn, "connections of this listener are not counted", slog.String("type", fmt.Sprintf("%T", nc)),
			slog.String("remedy", "put Guard.Listener below the listener that makes them, or let it return pointers"))
	}
}
