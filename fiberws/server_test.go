package fiberws_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/contrib/websocket"
	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
	"go.uber.org/goleak"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/probetest"
	"github.com/quietws/quietws/fiberws"
)

// The layers that Fiber's own Listener serves.
var ownListener = map[string]func(*core.Guard, *fiber.App){
	"Attach":     fiberws.Attach,
	"Middleware": func(g *core.Guard, app *fiber.App) { app.Use(fiberws.Middleware(g)) },
}

// listen serves app as Fiber does, on one of ownListener, until the test ends.
func listen(t *testing.T, config core.Config, app *fiber.App, layer string, routes func(*core.Guard)) (*core.Guard, probetest.Target) {
	t.Helper()
	config.Logger = slog.New(slog.DiscardHandler)
	g, err := core.New(config)
	if err != nil {
		t.Fatal(err)
	}
	ownListener[layer](g, app)
	routes(g)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- app.Listener(ln) }()
	t.Cleanup(func() {
		if err := errors.Join(app.ShutdownWithTimeout(8*time.Second), <-done, g.Close()); err != nil {
			t.Error(err)
		}
	})
	return g, probetest.Target{Addr: ln.Addr().String(), Path: "/ws"}
}

// until waits a few seconds for ok.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick, deadline := time.NewTicker(time.Millisecond), time.After(8*time.Second)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func TestServeCannotPrefork(t *testing.T) {
	app := newApp(fiber.Config{Prefork: true})
	g, err := core.New(core.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	cert, _, err := probetest.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"Serve":         fiberws.Serve(t.Context(), g, app, "127.0.0.1:0"),
		"ServeTLS":      fiberws.ServeTLS(t.Context(), g, app, "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}}),
		"ServeListener": fiberws.ServeListener(t.Context(), g, app, ln),
	} {
		if !errors.Is(err, fiberws.ErrPrefork) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the listener is open: %v", err)
	}
}

// A context that ends while the app is about to listen ends Serve: fasthttp's
// own Serve would begin after the shutdown, and never end.
func TestServeEndsBeforeItBegins(t *testing.T) {
	app := newApp(fiber.Config{})
	shut := make(chan struct{})
	app.Hooks().OnListen(func(fiber.ListenData) error { <-shut; return nil })
	app.Hooks().OnShutdown(func() error { close(shut); return nil })
	g, err := core.New(core.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	done := make(chan error, 1)
	go func() { done <- fiberws.Serve(ctx, g, app, "127.0.0.1:0") }()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(8 * time.Second):
		t.Fatal("Serve has not returned")
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
}

// app.Test serves without a server that could be shut down: no goroutine may wait for
// that.
func TestAppTestLeavesNothing(t *testing.T) {
	app := newApp(fiber.Config{})
	app.Get("/", func(c *fiber.Ctx) error { return nil })
	g, err := core.New(core.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	before := goleak.IgnoreCurrent()
	fiberws.Attach(g, app)
	res, err := app.Test(httptest.NewRequest("GET", "/", nil))
	if err != nil || res.StatusCode != 200 {
		t.Fatal(res, err)
	}
	if err := errors.Join(res.Body.Close(), g.Close()); err != nil {
		t.Error(err)
	}
	goleak.VerifyNone(t, before, goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"))
}

// With MaxConnsPerIP fasthttp wraps connections: they are still counted, answered and
// tracked, and those over the limit are counted too.
func TestMaxConnsPerIP(t *testing.T) {
	app := newApp(fiber.Config{})
	app.Server().MaxConnsPerIP = 1
	s := serve(t, core.Config{}, app, func(g *core.Guard) {
		app.Get("/ws", fiberws.Handler(g, echo))
		app.Get("/own", fiberws.Endpoint(g), websocket.New(func(ws *websocket.Conn) { _ = echo(context.Background(), ws) }))
	})
	n := uint64(0)
	for _, path := range []string{"/ws", "/own"} {
		target := s.target
		target.Path = path
		var ws *probetest.Session
		until(t, "fasthttp has counted the last one out", func() bool {
			var err error
			ws, _, err = probetest.Open(t.Context(), target)
			n++
			return err == nil
		})
		if res, err := probetest.Get(t.Context(), s.target, "/livez", ""); err != nil || res.Status != 429 {
			t.Errorf("a second connection: answered %d, %v", res.Status, err)
		}
		if _, err := ws.Close(t.Context(), 1000); err != nil {
			t.Error(err)
		}
		n++
		s.ended(n)
	}
	if snap := s.ended(n); snap.Closed[event.SessionEnded] != 2 || snap.Closed[event.ServerClosed] != n-2 {
		t.Errorf("classes of %d: %v, want 2 sessions and server_closed", n, snap.Closed)
	}
}

// A connection closed without an answer is closed below fasthttp's wrapper.
func TestMaxConnsPerIPProbes(t *testing.T) {
	app := newApp(fiber.Config{ReadTimeout: 100 * time.Millisecond})
	app.Server().MaxConnsPerIP = 100
	s := serve(t, core.Config{}, app, func(*core.Guard) {})
	n := uint64(0)
	for range 5 {
		for _, name := range []string{"tcp-connect-rst", "tcp-connect-silent"} {
			scenario, _ := probetest.Find(name)
			if _, err := scenario.Run(t.Context(), s.target); err != nil {
				t.Fatal(err)
			}
			n++
			s.ended(n)
		}
	}
	if snap := s.ended(n); snap.Closed[event.TCPProbe] != 5 || snap.Closed[event.IdleConnect] != 5 {
		t.Errorf("classes: %v, want 5 tcp_probe and 5 idle_connect", snap.Closed)
	}
}

// fasthttp reuses its wrappers once it has closed them. A connection that gets one in
// the meantime is not closed by mistake, however the session ends.
func TestMaxConnsPerIPClosesOnce(t *testing.T) {
	for layer := range ownListener {
		t.Run(layer, func(t *testing.T) {
			app := newApp(fiber.Config{ReadTimeout: 100 * time.Millisecond})
			app.Server().MaxConnsPerIP = 100
			left := make(chan struct{})
			g, target := listen(t, core.Config{Drain: core.DrainConfig{Timeout: 300 * time.Millisecond, Spread: -1}}, app, layer, func(g *core.Guard) {
				app.Get("/ws", fiberws.Handler(g, echo))
				app.Get("/panic", fiberws.Handler(g, func(context.Context, *websocket.Conn) error { panic("on purpose") }))
				app.Get("/deaf", fiberws.Handler(g, func(ctx context.Context, ws *websocket.Conn) error {
					<-ctx.Done()
					close(left)
					return nil
				}))
			})
			for range 20 {
				for _, name := range []string{"tcp-connect-rst", "tcp-connect-fin", "request-cut-rst"} {
					scenario, _ := probetest.Find(name)
					if _, err := scenario.Run(t.Context(), target); err != nil {
						t.Fatal(err)
					}
				}
				for _, path := range []string{"/ws", "/panic"} {
					target.Path = path
					ws, _, err := probetest.Open(t.Context(), target)
					if err != nil {
						t.Fatal(err)
					}
					_, _ = ws.Close(t.Context(), 1000)
				}
			}
			silent, _ := probetest.Find("tcp-connect-silent")
			if _, err := silent.Run(t.Context(), target); err != nil {
				t.Fatal(err)
			}
			until(t, "the sessions end", func() bool { return g.Snapshot().SessionsOpen == 0 })
			target.Path = "/deaf"
			if _, _, err := probetest.Open(t.Context(), target); err != nil {
				t.Fatal(err)
			}
			until(t, "the session opens", func() bool { return g.Snapshot().SessionsOpen == 1 })
			report, err := g.Drain(t.Context())
			if err != nil || report.Dropped != 1 {
				t.Errorf("the drain: %+v, %v", report, err)
			}
			<-left // its context has ended
		})
	}
}

// With DisableKeepalive connections close after each answer, but sessions still run.
func TestDisableKeepalive(t *testing.T) {
	app := newApp(fiber.Config{DisableKeepalive: true})
	s := serve(t, core.Config{}, app, func(g *core.Guard) {
		app.Get("/ws", fiberws.Handler(g, echo))
		app.Get("/own", fiberws.Endpoint(g), websocket.New(func(ws *websocket.Conn) { _ = echo(context.Background(), ws) }))
		app.Get("/app", func(c *fiber.Ctx) error { return c.SendString("app") })
	})
	for _, path := range []string{"/app", "/livez", "/nowhere"} {
		c, err := net.Dial("tcp", s.target.Addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(8 * time.Second))
		_, _ = c.Write(probetest.Request{Path: path}.Bytes(s.target))
		b, err := io.ReadAll(c)
		if err != nil || !strings.Contains(string(b), "Connection: close\r\n") {
			t.Errorf("%s: %q, %v", path, b, err)
		}
		_ = c.Close()
	}
	for _, path := range []string{"/ws", "/own"} {
		if res, err := probetest.Handshake(t.Context(), s.target, probetest.WebSocket(path)); err != nil || res.Status != 101 {
			t.Errorf("%s: answered %d, %v", path, res.Status, err)
		}
	}
	if snap := s.ended(5); snap.Closed[event.SessionEnded] != 2 {
		t.Errorf("classes: %v", snap.Closed)
	}
}

// With DisableHeaderNormalizing health requests and probers are still answered; contrib
// itself finds no key.
func TestDisableHeaderNormalizing(t *testing.T) {
	app := newApp(fiber.Config{DisableHeaderNormalizing: true})
	s := serve(t, core.Config{}, app, func(g *core.Guard) { app.Get("/ws", fiberws.Handler(g, echo)) })
	for path, want := range map[string]int{"/readyz": 200, "/ws": 200} {
		r := probetest.Request{Path: path, Header: []probetest.Field{field("user-agent", "kube-probe/1.33"), field("HOST", "example.com")}, NoHost: true}
		if res := s.do(r); res.Status != want {
			t.Errorf("%s: answered %d, want %d", path, res.Status, want)
		}
	}
}

// Hooks that a user has set on the server run before the guard's.
func TestServerHooks(t *testing.T) {
	app := newApp(fiber.Config{})
	called := make(chan string, 100)
	app.Server().HeaderReceived = func(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
		called <- "HeaderReceived " + string(h.Peek("Connection"))
		return fasthttp.RequestConfig{MaxRequestBodySize: 3}
	}
	s := serve(t, core.Config{}, app, func(*core.Guard) {
		app.Post("/app", func(c *fiber.Ctx) error { return nil })
	})
	if res := s.do(probetest.Request{Method: "POST", Path: "/app", Body: "longer"}); res.Status != 413 {
		t.Errorf("answered %d", res.Status)
	}
	if got := <-called; !strings.HasPrefix(got, "HeaderReceived") {
		t.Errorf("called: %q", got)
	}
}

// Every library sees the lines of Connection as one list, whichever layer the request
// passes first.
func TestSplitConnection(t *testing.T) {
	routes := func(app *fiber.App) func(g *core.Guard) {
		return func(g *core.Guard) {
			library := websocket.New(func(ws *websocket.Conn) { _ = echo(context.Background(), ws) })
			app.Get("/ws", fiberws.Handler(g, echo))
			app.Get("/own", fiberws.Endpoint(g), library)
			app.Get("/bare", library)
		}
	}
	check := func(target probetest.Target) {
		for _, path := range []string{"/ws", "/own", "/bare"} {
			if res, err := probetest.Handshake(t.Context(), target, probetest.SplitConnection(path)); err != nil || res.Status != 101 {
				t.Errorf("%s: answered %d, %v", path, res.Status, err)
			}
		}
	}
	app := newApp(fiber.Config{})
	check(serve(t, core.Config{}, app, routes(app)).target)
	for layer := range ownListener {
		app := newApp(fiber.Config{})
		_, target := listen(t, core.Config{}, app, layer, routes(app))
		check(target)
	}
}

// With GODEBUG=panicnil=1 panic(nil) is a panic like any other: answered 500, where
// Fiber alone ends the process.
func TestNilPanic(t *testing.T) {
	t.Setenv("GODEBUG", "panicnil=1")
	g, err := core.New(core.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = g.Close() }()
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Get("/", func(*fiber.Ctx) error { panic(nil) })
	fiberws.Attach(g, app)
	res, err := app.Test(httptest.NewRequest("GET", "/", nil))
	if err != nil || res.StatusCode != 500 {
		t.Fatalf("answered %v, %v", res, err)
	}
	_ = res.Body.Close()
}
