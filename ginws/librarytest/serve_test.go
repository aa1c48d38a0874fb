package librarytest

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/gin-gonic/gin"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/probetest"
	"github.com/quietws/quietws/ginws"
)

// freeAddr returns an address that was free a moment ago.
func freeAddr(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	return ln.Addr().String()
}

// get requests url until the server is up, and returns the protocol and the body of
// the answer.
func get(t *testing.T, client *http.Client, url string) (proto, body string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Do(req)
		if err != nil {
			if ctx.Err() != nil {
				t.Fatal(err)
			}
			continue
		}
		b, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		return res.Proto, string(b)
	}
}

// clientOf returns a client that speaks only this protocol.
func clientOf(t *testing.T, config *tls.Config, set func(*http.Protocols)) *http.Client {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: config.Clone(), Protocols: new(http.Protocols)}
	set(transport.Protocols)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}
}

var (
	http1  = func(p *http.Protocols) { p.SetHTTP1(true) }
	http2s = func(p *http.Protocols) { p.SetHTTP2(true) }
	clear2 = func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) }
)

// Serve and ServeTLS serve the same as engine.Run and engine.RunTLS, know the engine's
// routes, and drain when their context ends.
func TestServe(t *testing.T) {
	certificate, roots, err := probetest.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	server, client := &tls.Config{Certificates: []tls.Certificate{certificate}}, &tls.Config{RootCAs: roots, ServerName: "localhost"}
	for _, row := range []struct {
		name   string
		config *tls.Config
		h2c    bool
		speaks []func(*http.Protocols)
		proto  []string
	}{
		{"plain", nil, false, []func(*http.Protocols){http1}, []string{"HTTP/1.1"}},
		{"h2c", nil, true, []func(*http.Protocols){http1, clear2}, []string{"HTTP/1.1", "HTTP/2.0"}},
		{"tls", server, false, []func(*http.Protocols){http1, http2s}, []string{"HTTP/1.1", "HTTP/2.0"}},
		{"tls, with h2c", server, true, []func(*http.Protocols){http1, http2s}, []string{"HTTP/1.1", "HTTP/2.0"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			g, events := guarded(t)
			engine := gin.New()
			engine.UseH2C = row.h2c
			engine.GET("/readyz", func(c *gin.Context) { c.String(http.StatusOK, "own") })
			engine.GET("/ws", ginws.Handler(g, func(ctx context.Context, _ *gin.Context, ws *websocket.Conn) error {
				_, _, err := ws.Read(ctx)
				return err
			}, nil))
			addr := freeAddr(t)
			ctx, end := context.WithCancel(t.Context())
			done := make(chan error, 1)
			target, scheme := probetest.Target{Addr: addr, Path: "/ws"}, "http://"
			if row.config == nil {
				go func() { done <- ginws.Serve(ctx, g, engine, addr) }()
			} else {
				target.TLS, scheme = client, "https://"
				go func() { done <- ginws.ServeTLS(ctx, g, engine, addr, row.config) }()
			}
			for i, protocol := range row.speaks {
				c := clientOf(t, target.TLS, protocol)
				for path, want := range map[string]string{"/livez": "ok\n", "/readyz": "own", "/nowhere": "404 page not found"} {
					if proto, body := get(t, c, scheme+addr+path); proto != row.proto[i] || body != want {
						t.Errorf("%s: %s %q, want %s %q", path, proto, body, row.proto[i], want)
					}
				}
			}
			session, _, err := probetest.Open(t.Context(), target)
			if err != nil {
				t.Fatal(err)
			}
			end()
			f, err := session.Read(t.Context())
			if err != nil || len(f.Payload) < 2 || int(f.Payload[0])<<8|int(f.Payload[1]) != 1001 {
				t.Errorf("at the drain the client got %v %v, want close code 1001", f, err)
			}
			_, _ = session.Close(t.Context(), 1001)
			if e := next(t, events, event.SessionEnded); e.Session.Code != 1001 {
				t.Errorf("the session ended with %+v", e.Session)
			}
			if err := <-done; err != nil {
				t.Errorf("Serve returned %v after a drain", err)
			}
			if !eventually(func() bool {
				s := g.Snapshot()
				return s.Open == 0 && s.Closed[event.SessionEnded] == 1 && s.Closed[event.HTTP] == uint64(len(row.speaks))
			}) {
				t.Errorf("open %d, %v", g.Snapshot().Open, g.Snapshot().Closed)
			}
		})
	}
}

func TestServeThatCannotStart(t *testing.T) {
	g, _ := guarded(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	taken := ln.Addr().String()
	for name, err := range map[string]error{
		"an address that is taken":           ginws.Serve(t.Context(), g, gin.New(), taken),
		"an address that is taken, with TLS": ginws.ServeTLS(t.Context(), g, gin.New(), taken, &tls.Config{}),
		"TLS without a certificate":          ginws.ServeTLS(t.Context(), g, gin.New(), "127.0.0.1:0", nil),
		"no listener":                        ginws.ServeListener(t.Context(), g, gin.New()),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// engine.Handler takes connections over for HTTP/2 without TLS: their requests reach
// Middleware.
func TestMiddlewareInsideH2C(t *testing.T) {
	g, _ := guarded(t)
	engine := gin.New()
	engine.Use(ginws.Middleware(g))
	engine.GET("/readyz", func(c *gin.Context) { c.String(http.StatusOK, "own") })
	engine.UseH2C = true
	srv := &http.Server{Handler: engine.Handler()}
	ginws.Attach(g, srv, engine)
	addr, _ := started(t, srv, nil)
	for proto, protocol := range map[string]func(*http.Protocols){"HTTP/1.1": http1, "HTTP/2.0": clear2} {
		c := clientOf(t, nil, protocol)
		for path, want := range map[string]string{"/livez": "ok\n", "/readyz": "own"} {
			if got, body := get(t, c, "http://"+addr+path); got != proto || body != want {
				t.Errorf("%s: %s %q, want %s %q", path, got, body, proto, want)
			}
		}
	}
}
