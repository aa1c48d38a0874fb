package librarytest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"
	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/probetest"
	"github.com/quietws/quietws/echows"
)

// existing is a realistic application: routes of its own on two of the health paths,
// wildcards, other origins, compression, and an error handler that does not check
// Committed.
func existing() *echo.Echo {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.Logger.SetOutput(io.Discard)
	e.HTTPErrorHandler = func(err error, c echo.Context) {
		code := http.StatusInternalServerError
		var he *echo.HTTPError
		if errors.As(err, &he) {
			code = he.Code
		}
		_ = c.JSON(code, map[string]int{"problem": code})
	}
	e.Use(middleware.Recover())
	e.GET("/healthz", func(c echo.Context) error { return c.JSON(http.StatusOK, "my health") })
	e.Any("/readyz", func(c echo.Context) error { return c.String(http.StatusTeapot, "my readiness") })
	e.GET("/:key", func(c echo.Context) error { return c.String(http.StatusOK, "key "+c.Param("key")) })
	e.GET("/files/*", func(c echo.Context) error { return c.String(http.StatusOK, "file "+c.Param("*")) })
	e.POST("/post", func(c echo.Context) error {
		body, err := io.ReadAll(c.Request().Body)
		if err != nil {
			return err
		}
		return c.Blob(http.StatusCreated, "application/octet-stream", body)
	})
	e.GET("/fail", func(echo.Context) error { return errors.New("no") })
	e.GET("/teapot", func(echo.Context) error { return echo.NewHTTPError(http.StatusTeapot) })
	e.GET("/panic", func(echo.Context) error { panic("boom") })
	e.GET("/stream", func(c echo.Context) error {
		for range 3 {
			if _, err := c.Response().Write([]byte("data\n")); err != nil {
				return err
			}
			c.Response().Flush()
		}
		return nil
	})
	upgrader := gorilla.Upgrader{CheckOrigin: func(*http.Request) bool { return true },
		Subprotocols: []string{"chat"}, EnableCompression: true}
	e.GET("/ws/gorilla", func(c echo.Context) error {
		ws, err := upgrader.Upgrade(c.Response(), c.Request(), nil)
		if err != nil {
			return err
		}
		defer ws.Close()
		for {
			kind, p, err := ws.ReadMessage()
			if err != nil {
				return nil
			}
			if err := ws.WriteMessage(kind, p); err != nil {
				return nil
			}
		}
	})
	e.GET("/ws/coder", func(c echo.Context) error {
		ws, err := websocket.Accept(c.Response(), c.Request(), &websocket.AcceptOptions{
			InsecureSkipVerify: true, Subprotocols: []string{"chat"}, CompressionMode: websocket.CompressionContextTakeover})
		if err != nil {
			return nil
		}
		defer func() { _ = ws.CloseNow() }()
		for {
			kind, p, err := ws.Read(context.Background())
			if err != nil {
				return nil
			}
			if err := ws.Write(context.Background(), kind, p); err != nil {
				return nil
			}
		}
	})
	return e
}

// started serves e with one of its own Start methods and returns its address.
func started(t *testing.T, e *echo.Echo, certificate *tls.Certificate) (addr string) {
	t.Helper()
	serving := make(chan struct{})
	server := e.Server
	if certificate != nil {
		server = e.TLSServer
	}
	base := server.BaseContext
	server.BaseContext = func(ln net.Listener) context.Context {
		close(serving)
		if base != nil {
			return base(ln)
		}
		return context.Background()
	}
	done := make(chan error, 1)
	if certificate == nil {
		go func() { done <- e.Start("127.0.0.1:0") }()
	} else {
		go func() {
			// What StartTLS does, without its files.
			server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*certificate}, NextProtos: []string{"h2", "http/1.1"}}
			server.Addr = "127.0.0.1:0"
			done <- e.StartServer(server)
		}()
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := e.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Start returned %v, want ErrServerClosed", err)
		}
	})
	select {
	case <-serving:
	case err := <-done:
		done <- err
		t.Fatalf("Start: %v", err)
	}
	if certificate != nil {
		return e.TLSListenerAddr().String()
	}
	return e.ListenerAddr().String()
}

// An application that adds one line, Pre or Use of Middleware, or Attach, keeps all
// its answers: each request is sent with and without quietws, and the bytes of the
// answers are compared.
func TestAnExistingApplicationKeepsItsAnswers(t *testing.T) {
	certificate, roots, err := probetest.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	adds := map[string]func(*core.Guard, *echo.Echo){
		"Pre":    func(g *core.Guard, e *echo.Echo) { e.Pre(echows.Middleware(g)) },
		"Use":    func(g *core.Guard, e *echo.Echo) { e.Use(echows.Middleware(g)) },
		"Attach": echows.Attach,
		"Attach and Middleware": func(g *core.Guard, e *echo.Echo) {
			e.Use(echows.Middleware(g))
			echows.Attach(g, e)
		},
	}
	for name, add := range adds {
		for _, port := range []string{"plain", "tls"} {
			t.Run(name+"/"+port, func(t *testing.T) {
				t.Parallel()
				var cert *tls.Certificate
				target := probetest.Target{}
				if port == "tls" {
					cert, target.TLS = &certificate, &tls.Config{RootCAs: roots, ServerName: "localhost"}
				}
				guard, err := core.New(core.Config{Logger: slog.New(slog.DiscardHandler)})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = guard.Close() })
				bare, with := target, target
				bare.Addr = started(t, existing(), cert)
				e := existing()
				add(guard, e)
				with.Addr = started(t, e, cert)
				for _, r := range existingRequests() {
					want, got := answer(t, bare, r), answer(t, with, r)
					if !bytes.Equal(want, got) {
						t.Errorf("%s %s (%v): the answer changed\n--- bare\n%s\n--- with quietws\n%s", r.Method, r.Path, r.Header, want, got)
					}
				}
			})
		}
	}
}

func existingRequests() []probetest.Request {
	all := []probetest.Request{
		{Path: "/healthz"}, {Method: "HEAD", Path: "/healthz"}, {Method: "POST", Path: "/healthz"},
		{Path: "/readyz"}, {Method: "OPTIONS", Path: "/readyz"},
		{Path: "/a-key"}, {Path: "/files/a/b"}, {Path: "/files/"}, {Path: "/no/such/route"}, {Method: "DELETE", Path: "/a-key"},
		{Method: "POST", Path: "/post", Body: "a body"},
		{Path: "/fail"}, {Path: "/teapot"}, {Path: "/panic"}, {Path: "/stream"},
		probetest.Kubelet("/a-key"), probetest.ALB("/no/such/route"), probetest.Kubelet("/fail"),
		probetest.Kubelet("/healthz"), probetest.HAProxy("/a-key"), probetest.Curl("/stream"), probetest.Kubelet("/stream"),
	}
	for _, path := range []string{"/ws/gorilla", "/ws/coder", "/a-key", "/no/such/route"} {
		handshakes := []probetest.Request{
			probetest.WebSocket(path), probetest.Foreign(path), probetest.SplitConnection(path), probetest.OddCase(path),
			probetest.TokenLists(path), probetest.HTTP10(path), probetest.TwoKeys(path), probetest.BadKey(path),
			probetest.NoUpgrade(path), probetest.NoConnection(path), probetest.Version8(path), probetest.NoKey(path),
			probetest.PlainGet(path), probetest.ByMethod("POST", path), probetest.ThroughNginx(path),
			probetest.WebSocket(path).With(probetest.Field{Name: "Sec-WebSocket-Protocol", Value: "other, chat"},
				probetest.Field{Name: "Sec-WebSocket-Extensions", Value: "permessage-deflate; client_max_window_bits"}),
			probetest.Kubelet(path), probetest.ALB(path),
		}
		all = append(all, handshakes...)
	}
	return all
}

// answer returns the bytes that answer r, except the date: the head and the body, or
// after a 101 the head, the echo of a frame and the close frame.
func answer(t *testing.T, target probetest.Target, r probetest.Request) []byte {
	t.Helper()
	var nc net.Conn
	var err error
	if target.TLS == nil {
		nc, err = net.Dial("tcp", target.Addr)
	} else {
		nc, err = tls.Dial("tcp", target.Addr, target.TLS)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if err := nc.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	r.Host = "localhost" // without the port, which differs
	if _, err := nc.Write(r.Bytes(target)); err != nil {
		t.Fatal(err)
	}
	br := bufio.NewReader(nc)
	var out bytes.Buffer
	status := ""
	for {
		line, err := br.ReadString('\n')
		if status == "" {
			status = line
		}
		if !strings.HasPrefix(line, "Date: ") {
			out.WriteString(line)
		}
		if err != nil || line == "\r\n" {
			break
		}
	}
	if strings.Contains(status, " 101 ") {
		frames := append(probetest.Frame{Opcode: probetest.OpText, Payload: []byte("to and fro")}.Bytes(),
			probetest.CloseFrame(1000, "").Bytes()...)
		if _, err := nc.Write(frames); err != nil {
			t.Fatal(err)
		}
	} else if cw, ok := nc.(interface{ CloseWrite() error }); ok {
		_ = cw.CloseWrite()
	}
	rest, err := io.ReadAll(br)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatalf("%s %s: %v after %q", r.Method, r.Path, err, out.String())
	}
	out.Write(rest)
	return out.Bytes()
}
