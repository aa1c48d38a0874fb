package core

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/conn"
	"github.com/quietws/quietws/core/internal/conn/conntest"
)

// wrapping is like the connections of cmux and netutil.LimitListener.
type wrapping struct{ net.Conn }

type wrapper struct{ net.Listener }

func (l wrapper) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &wrapping{nc}, nil
}

// secured is a TLS connection in a type of its own; over is its listener.
type secured struct{ *tls.Conn }

type securer struct{ net.Listener }

func (l securer) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &secured{nc.(*tls.Conn)}, nil
}

// stating is a TLS connection of another library.
type stating struct{ net.Conn }

func (stating) ConnectionState() tls.ConnectionState { return tls.ConnectionState{} }

type stater struct{ net.Listener }

func (l stater) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	return stating{nc}, err
}

// A guard below cmux, and the same guard on the listeners that cmux makes: each
// connection is counted once.
func TestGuardBelowAndAbove(t *testing.T) {
	for _, s := range stands4 {
		g := quietGuard(t, Config{})
		srv := &http.Server{Handler: http.NotFoundHandler()}
		if s.attached {
			g.Attach(srv)
		} else {
			srv.Handler = g.Wrap(srv.Handler)
		}
		address := served(t, srv, func(ln net.Listener) net.Listener {
			ln = wrapper{wrapper{g.Listener(ln)}}
			if s.listen {
				ln = g.Listener(ln)
			}
			return ln
		})
		heard(t, address, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		_ = srv.Close()
		waitClosed(t, g)
		if got := g.Snapshot(); got.Accepted != 1 || got.Closed[event.HTTP] != 1 {
			t.Errorf("%s: %d accepted, %v", s.name, got.Accepted, got.Closed)
		}
	}
}

// TLS below the guard is found by the methods of its connections, TLS above it by what
// they embed.
func TestTLSByAbility(t *testing.T) {
	config := conntest.TLS(t)
	for name, over := range map[string]func(net.Listener) net.Listener{
		"tls.Conn":      func(ln net.Listener) net.Listener { return tls.NewListener(ln, config) },
		"embedded":      func(ln net.Listener) net.Listener { return securer{tls.NewListener(ln, config)} },
		"by other code": func(ln net.Listener) net.Listener { return stater{ln} },
	} {
		g := quietGuard(t, Config{})
		nc, _ := conntest.TCPPair(t)
		if got, err := g.Listener(over(&scripted{script: []any{nc}, closed: make(chan struct{})})).Accept(); !errors.Is(err, errTLSBelow) {
			t.Errorf("%s: Accept returned %v, %v", name, got, err)
		}
		above, _ := conntest.TCPPair(t)
		got, err := g.Listener(over(g.Listener(&scripted{script: []any{above}, closed: make(chan struct{})}))).Accept()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		c := conn.Of(got)
		if c == nil {
			// A type that embeds *tls.Conn has its NetConn.
			t.Fatalf("%s: the watched connection is not found", name)
		}
		if !c.IsUnderTLS() || (c.Above() == nil) != (name == "by other code") {
			t.Errorf("%s: TLS is above, known %v, %v", name, c.IsUnderTLS(), c.Above())
		}
		_ = got.Close()
	}
}

// A TLS listener is an error of Serve at once, not only at its first connection.
func TestServeRefusesTLSListener(t *testing.T) {
	config := conntest.TLS(t)
	raw := func() net.Listener {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return ln
	}
	for name, ln := range map[string]net.Listener{
		"tls.NewListener": tls.NewListener(raw(), config), "wrapped": wrapper{tls.NewListener(raw(), config)},
		"over a wrapped one": tls.NewListener(wrapper{raw()}, config),
	} {
		other := raw()
		err := quietGuard(t, Config{}).Serve(t.Context(), &http.Server{}, other, ln)
		if !errors.Is(err, errTLSBelow) || !strings.Contains(err.Error(), "Guard.TLSListener") {
			t.Errorf("%s: Serve returned %v", name, err)
		}
		for _, ln := range []net.Listener{ln, other} {
			if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("%s: a listener is open: %v", name, err)
			}
		}
	}

	g := quietGuard(t, Config{})
	ctx, stop := context.WithCancel(t.Context())
	served, ln := make(chan error, 1), tls.NewListener(wrapper{g.Listener(raw())}, config)
	go func() { served <- g.Serve(ctx, &http.Server{Handler: http.NotFoundHandler()}, ln) }()
	c, err := tls.Dial("tcp", ln.Addr().String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(c, "GET / HTTP/1.0\r\n\r\n")
	if p, _ := io.ReadAll(c); !strings.Contains(string(p), "404") {
		t.Errorf("TLS over the guard's listener was answered %q", p)
	}
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
	if n := g.Snapshot().Accepted; n != 1 {
		t.Errorf("%d accepted, want 1", n)
	}
}
