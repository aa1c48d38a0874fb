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

// errTLSBelow is the error of Serve, and of Accept where that shows no earlier, for
// a TLS listener: net/http would no longer see TLS, and so neither HTTP/2 nor
// Request.TLS would work.
var errTLSBelow = errors.New("quietws: Serve or Guard.Listener was given a TLS listener; give it the raw one and put TLS above it: Guard.TLSListener, or tls.NewListener(guard.Listener(ln), config)")

// Listener returns ln watched: each connection that it accepts is counted, and
// ends in exactly one [event.Class]. Give it the raw listener, or one of
// go-proxyproto, and put TLS above it:
//
//	tls.NewListener(guard.Listener(ln), config)
//
// A listener above it whose connections neither embed a net.Conn nor have a NetConn
// method hides them from the guard: put it below. Over connections that the guard
// watches already, as where one listener below cmux and those that cmux makes are
// both the guard's, it changes nothing: each is counted once.
// Over a TLS listener, where HTTP/2 and Request.TLS would no longer work, its first
// Accept returns an error. Accept does not return errors that pass, such as too
// many open files: it waits, from 5 ms to a second, tells it once in
// [Config.Collapse], and goes on, so a server whose Serve ends at any error lives.
//
// It belongs to a server that the guard is attached to. Without [Guard.Attach] or
// [Guard.Wrap] nobody tells it of requests, which a line in the log then says, and
// TLS errors are in the server's log.
func (g *Guard) Listener(ln net.Listener) net.Listener {
	if g == nil {
		return ln
	}
	return &listener{Listener: ln, g: g, Source: conn.Source{Watch: g.watch}, done: make(chan struct{})}
}

// TLSListener returns ln, the raw listener, watched and TLS above it, as
// [tls.NewListener] has it: config must have a certificate, and for HTTP/2 name
// "h2" in NextProtos. It does the same as tls.NewListener over [Guard.Listener],
// but knows of TLS before the server shows it, and contains panics of config's
// functions: the handshake fails, and the panic is logged.
func (g *Guard) TLSListener(ln net.Listener, config *tls.Config) net.Listener {
	if g == nil {
		return tls.NewListener(ln, config)
	}
	watched := &listener{Listener: ln, g: g, Source: conn.Source{Watch: g.watch}, done: make(chan struct{})}
	watched.TLS.Store(true)
	return &tlsListener{Listener: tls.NewListener(watched, g.containedConfig(config))}
}

// tlsListener tells each watched connection who is above it.
type tlsListener struct{ net.Listener }

func (l *tlsListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if c := conn.Of(nc); c != nil {
		c.LookAbove(nc)
	}
	return nc, err
}

// The pause after an error of Accept that passes: doubled each time.
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
			case c != nil && guardOf(c) == l.g: // watched below, as is right for TLS, or below go-proxyproto
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

// passes reports whether an error of Accept is a shortage that ends by itself.
func passes(err error) bool {
	return usererror.Is(err, syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM)
}

// acceptFailed counts a shortage, and tells it at most once in each window of
// Config.Collapse: at its limit a server accepts one connection and fails at the
// next, over and over.
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

// listensAlone logs, once, that connections are watched and nobody tells of the
// requests on them: then a request cannot be told from what is none.
func (g *Guard) listensAlone() {
	if !g.once.alone.CompareAndSwap(false, true) {
		return
	}
	g.journal.Note(slog.LevelWarn, "connections are watched, but no server is attached",
		slog.String("remedy", "call the guard's or the adapter's Attach before the server serves, or use Serve; with Guard.Listener alone requests and sessions are not seen"))
}

// isTLSListener reports whether ln makes TLS connections out of those of a
// listener that nobody watches. It is false where that cannot be seen.
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

// listenerIn returns the listener in the field Listener of ln, nil if there is
// none: where it is embedded, and in go-proxyproto's.
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

// maxListeners is how many layers of listeners are looked through.
const maxListeners = 8

// connTable finds the conn.Conn of a foreign connection.
type connTable struct{ m sync.Map }

// hashable reports whether nc can be a key: a listener may return anything.
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

// notWatched logs, once, that connections of a type that cannot be compared are
// not counted.
func (g *Guard) notWatched(nc net.Conn) {
	if g.once.strange.CompareAndSwap(false, true) {
		g.journal.Note(slog.LevelWarn, "connections of this listener are not counted", slog.String("type", fmt.Sprintf("%T", nc)),
			slog.String("remedy", "put Guard.Listener below the listener that makes them, or let it return pointers"))
	}
}
