package core

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/conn"
	"github.com/quietws/quietws/core/internal/conn/conntest"
	"github.com/quietws/quietws/core/probetest"
)

func TestServeTimeouts(t *testing.T) {
	for _, row := range []struct {
		rule string
		srv  *http.Server
		want time.Duration
	}{
		{"neither is set", &http.Server{}, headTimeout},
		{"the head's is set", &http.Server{ReadHeaderTimeout: time.Minute}, time.Minute},
		{"it is set to never", &http.Server{ReadHeaderTimeout: -1}, -1},
		{"the whole request's is set", &http.Server{ReadTimeout: time.Hour}, 0},
	} {
		g := quietGuard(t, Config{})
		srv := row.srv
		ctx, stop := context.WithCancel(t.Context())
		stop()
		if err := g.Serve(ctx, srv, &memoryListener{conns: make(chan net.Conn), closed: make(chan struct{})}); err != nil {
			t.Errorf("%s: %v", row.rule, err)
		}
		if srv.ReadHeaderTimeout != row.want {
			t.Errorf("%s: %v, want %v", row.rule, srv.ReadHeaderTimeout, row.want)
		}
	}
}

// Serve ends with its context, after a drain that silent connections do not delay, and
// leaves nothing open.
func TestServeDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := quietGuard(t, Config{})
		ln := &memoryListener{conns: make(chan net.Conn), closed: make(chan struct{})}
		ctx, stop := context.WithCancel(t.Context())
		running := make(chan struct{})
		served := make(chan error, 1)
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			close(running)
			<-time.After(2 * time.Second)
			_, _ = io.WriteString(w, "done\n")
		})}
		go func() { served <- g.Serve(ctx, srv, ln) }()
		var peers []net.Conn
		for _, said := range []string{"", "GET / HT", string(conntest.GetApp)} {
			server, peer := net.Pipe()
			ln.conns <- server
			if _, err := io.WriteString(peer, said); err != nil {
				t.Fatal(err)
			}
			peers = append(peers, peer)
		}
		<-running
		<-time.After(time.Second) // new connections would get a moment for their request
		start := time.Now()
		stop()
		// The silent one and the one with half a head are closed at once.
		for i, peer := range peers[:2] {
			if _, err := peer.Read(make([]byte, 1)); err != io.EOF || time.Since(start) > 100*time.Millisecond {
				t.Errorf("connection %d was closed after %v with %v", i, time.Since(start), err)
			}
		}
		// The request that runs is answered.
		answer, _ := io.ReadAll(peers[2])
		if len(answer) < 5 || string(answer[len(answer)-5:]) != "done\n" {
			t.Errorf("the request that ran was answered %q", answer)
		}
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if d := time.Since(start); d > 3*time.Second {
			t.Errorf("Serve took %v to end", d)
		}
		s := g.Snapshot()
		if s.Closed[event.ServerClosed] != 2 || s.Closed[event.HTTP] != 1 || s.Open != 0 {
			t.Errorf("%v, %d open", s.Closed, s.Open)
		}
		for _, p := range peers {
			_ = p.Close()
		}
	})
}

// An error of one listener is returned by Serve, and closes the others.
func TestServeListenerFails(t *testing.T) {
	g := quietGuard(t, Config{})
	broken := errors.New("broken")
	good := &memoryListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	bad := &scripted{script: []any{broken}, closed: make(chan struct{})}
	if err := g.Serve(t.Context(), &http.Server{}, good, bad); !errors.Is(err, broken) {
		t.Errorf("Serve: %v", err)
	}
	select {
	case <-good.closed:
	default:
		t.Error("the other listener is open")
	}
}

// If other code calls Shutdown, Serve drains too and returns no error.
func TestServeWithOwnShutdown(t *testing.T) {
	g := quietGuard(t, Config{})
	srv := &http.Server{}
	ln := &memoryListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	serving := make(chan struct{})
	srv.BaseContext = func(net.Listener) context.Context { close(serving); return context.Background() }
	served := make(chan error, 1)
	go func() { served <- g.Serve(t.Context(), srv, ln) }()
	<-serving
	if err := srv.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	select {
	case <-g.Draining():
	default:
		t.Error("a Shutdown did not begin the drain")
	}
	drained(t, g) // and it has ended before goroutines are counted
}

// Serve takes TLS in both documented ways: above the watched listener, and made by
// TLSListener. HTTP/2 and Request.TLS work, and each connection is watched once.
func TestServeOverTLS(t *testing.T) {
	own := httptest.NewUnstartedServer(nil)
	own.StartTLS()
	defer own.Close()
	for _, http2 := range []bool{false, true} {
		config, protocols := own.TLS.Clone(), new(http.Protocols)
		config.NextProtos = []string{"http/1.1"}
		if http2 {
			config.NextProtos = []string{"h2", "http/1.1"}
		}
		protocols.SetHTTP1(!http2)
		protocols.SetHTTP2(http2)
		for name, listen := range map[string]func(*Guard, net.Listener) net.Listener{
			"tls.NewListener": func(g *Guard, ln net.Listener) net.Listener { return tls.NewListener(g.Listener(ln), config) },
			"TLSListener":     func(g *Guard, ln net.Listener) net.Listener { return g.TLSListener(ln, config) },
		} {
			t.Run(fmt.Sprint(name, ", HTTP/2 ", http2), func(t *testing.T) {
				g := quietGuard(t, Config{})
				ln, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				done := make(chan error, 1)
				srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Saw", fmt.Sprint(r.ProtoMajor, r.TLS != nil))
				})}
				go func() {
					err := g.Serve(ctx, srv, listen(g, ln))
					_ = ln.Close() // or the client would wait for an answer
					done <- err
				}()
				trust := own.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
				trust.ServerName = "example.com"
				transport := &http.Transport{TLSClientConfig: trust, Protocols: protocols}
				r, err := http.NewRequestWithContext(t.Context(), "GET", "https://"+ln.Addr().String()+"/app", nil)
				if err != nil {
					t.Fatal(err)
				}
				res, err := transport.RoundTrip(r)
				if err != nil {
					t.Errorf("asked: %v; Serve: %v", err, <-done)
					return
				}
				_ = res.Body.Close()
				want := "1 true"
				if http2 {
					want = "2 true"
				}
				if got := res.Header.Get("Saw"); got != want {
					t.Errorf("the handler saw %q, want %q", got, want)
				}
				transport.CloseIdleConnections()
				waitClosed(t, g)
				if s := g.Snapshot(); s.Accepted != 1 || s.Closed[event.HTTP] != 1 {
					t.Errorf("accepted %d, %v", s.Accepted, s.Closed)
				}
				cancel()
				if err := <-done; err != nil {
					t.Errorf("Serve: %v", err)
				}
			})
		}
	}
}

// A listener of ours offers HTTP/2 to a server that speaks it, and the other protocols of
// the configuration.
func TestListenTLS(t *testing.T) {
	cert, _, err := probetest.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		rule   string
		protos []string
		http2  bool
		ask    []string
		want   string
	}{
		{"HTTP/2 by default", nil, true, []string{"h2", "http/1.1"}, "h2"},
		{"not where the server does not speak it", nil, false, []string{"h2", "http/1.1"}, "http/1.1"},
		{"not even where it is named", []string{"h2", "http/1.1"}, false, []string{"h2", "http/1.1"}, "http/1.1"},
		{"others stay, as for ACME", []string{"http/1.1", "acme-tls/1"}, false, []string{"acme-tls/1"}, "acme-tls/1"},
	} {
		g := quietGuard(t, Config{})
		config := &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: row.protos}
		err := g.Adapter().ListenTLS("tcp", "127.0.0.1:0", config, row.http2, func(ln ...net.Listener) error {
			defer func() { _ = ln[0].Close() }()
			accepted := make(chan error, 1)
			go func() {
				c, err := ln[0].Accept()
				if err == nil {
					err = errors.Join(c.(*tls.Conn).Handshake(), c.Close())
				}
				accepted <- err
			}()
			c, err := tls.Dial("tcp", ln[0].Addr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: row.ask})
			if err != nil {
				return err
			}
			if got := c.ConnectionState().NegotiatedProtocol; got != row.want {
				t.Errorf("%s: %q", row.rule, got)
			}
			return errors.Join(<-accepted, c.Close())
		})
		if err != nil {
			t.Errorf("%s: %v", row.rule, err)
		}
		if !slices.Equal(config.NextProtos, row.protos) {
			t.Errorf("%s: the user's config has changed: %q", row.rule, config.NextProtos)
		}
	}
	never := func(...net.Listener) error { t.Error("it serves"); return nil }
	a := quietGuard(t, Config{}).Adapter()
	for _, config := range []*tls.Config{nil, {}} {
		if err := a.ListenTLS("tcp", "127.0.0.1:0", config, true, never); err != errNoCertificate {
			t.Errorf("without a certificate: %v", err)
		}
	}
	if err := a.Listen("tcp", "nowhere.invalid:x", never); err == nil {
		t.Error("an invalid address is not an error")
	}
}

func TestUnserved(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	why := errors.New("why")
	if err := conn.Unserved(why, ln); err != why {
		t.Errorf("returned %v", err)
	}
	if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the listener is open: %v", err)
	}
}
