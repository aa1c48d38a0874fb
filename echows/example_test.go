package echows_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"github.com/coder/websocket"
	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/probetest"
	"github.com/quietws/quietws/echows"
)

// echoes sends each message back. It returns the error of Read when the client has
// left or a drain has closed the session.
func echoes(ctx context.Context, _ echo.Context, ws *websocket.Conn) error {
	for {
		kind, message, err := ws.Read(ctx)
		if err != nil {
			return err
		}
		if err := ws.Write(ctx, kind, message); err != nil {
			return err
		}
	}
}

// newGuard is core.New(core.Config{}); an application returns its error.
func newGuard() *core.Guard {
	guard, err := core.New(core.Config{})
	if err != nil {
		panic(err)
	}
	return guard
}

// listen is net.Listen("tcp", ":8080") elsewhere.
func listen() (net.Listener, probetest.Target) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	return ln, probetest.Target{Addr: ln.Addr().String()}
}

// ask sends the requests and prints the answers.
func ask(target probetest.Target, requests ...probetest.Request) {
	for _, r := range requests {
		res, err := probetest.Do(context.Background(), target, r)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(r.Path, res.Status)
	}
}

// Run is the last line of main: it serves until SIGINT or SIGTERM, drains, and
// closes the guard. Here it fails, because the address is in use.
func ExampleRun() {
	guard := newGuard()
	e := echo.New()
	e.GET("/ws", echows.Handler(guard, echoes, nil))

	ln, target := listen()
	defer ln.Close()
	err := echows.Run(guard, e, target.Addr) // ":8080"
	fmt.Println(errors.Is(err, syscall.EADDRINUSE))
	// Output: true
}

// RunTLS takes the names of files. Here they do not exist.
func ExampleRunTLS() {
	guard := newGuard()
	e := echo.New()
	e.GET("/ws", echows.Handler(guard, echoes, nil))

	err := echows.RunTLS(guard, e, ":8443", "cert.pem", "key.pem")
	fmt.Println(errors.Is(err, fs.ErrNotExist))
	// Output: true
}

// Serve takes the place of e.Start. Give it a context that ends at SIGTERM, and it
// returns when the sessions are drained.
func ExampleServe() {
	guard := newGuard()
	defer guard.Close()

	e := echo.New()
	e.GET("/ws", echows.Handler(guard, echoes, nil))

	ctx, stop := context.WithTimeout(context.Background(), 50*time.Millisecond) // signal.NotifyContext(…, syscall.SIGTERM)
	defer stop()
	err := echows.Serve(ctx, guard, e, "127.0.0.1:0") // ":8080"
	fmt.Println(err)
	// Output: <nil>
}

// ServeTLS does the same over TLS, and takes the place of e.StartTLS.
func ExampleServeTLS() {
	guard := newGuard()
	defer guard.Close()
	certificate, _, err := probetest.Certificate() // tls.LoadX509KeyPair("cert.pem", "key.pem")
	if err != nil {
		fmt.Println(err)
		return
	}

	e := echo.New()
	e.GET("/ws", echows.Handler(guard, echoes, nil))

	ctx, stop := context.WithTimeout(context.Background(), 50*time.Millisecond) // signal.NotifyContext(…, syscall.SIGTERM)
	defer stop()
	config := &tls.Config{Certificates: []tls.Certificate{certificate}}
	fmt.Println(echows.ServeTLS(ctx, guard, e, "127.0.0.1:0", config)) // ":8443"
	// Output: <nil>
}

// Serving on your own listener, such as one with the PROXY protocol or a systemd
// socket.
func ExampleServeListener() {
	guard := newGuard()
	defer guard.Close()
	ln, target := listen()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()

	e := echo.New()
	e.GET("/ws", echows.Handler(guard, echoes, nil))
	served := make(chan error)
	go func() { served <- echows.ServeListener(ctx, guard, e, ln) }()

	ask(target, probetest.Kubelet("/livez"), probetest.PlainGet("/nothing"))
	stop()
	fmt.Println(<-served)
	// Output:
	// /livez 200
	// /nothing 404
	// <nil>
}

// A route that the guard owns: clients get a session, probers the health answer, a
// browser that opens it as a page 426, and pages of another origin 403.
func ExampleHandler() {
	guard := newGuard()
	defer guard.Close()
	ln, target := listen()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()

	e := echo.New()
	e.GET("/ws", echows.Handler(guard, echoes, &websocket.AcceptOptions{OriginPatterns: []string{"*.example.com"}}))
	served := make(chan error)
	go func() { served <- echows.ServeListener(ctx, guard, e, ln) }()

	client, _, err := websocket.Dial(ctx, "ws://"+target.Addr+"/ws", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = client.Write(ctx, websocket.MessageText, []byte("hello"))
	_, message, _ := client.Read(ctx)
	fmt.Println(string(message))

	ask(target, probetest.ALB("/ws"), probetest.PlainGet("/ws"), probetest.Foreign("/ws"))

	stop() // a deployment: the client gets a close frame
	_, _, err = client.Read(context.Background())
	fmt.Println(websocket.CloseStatus(err), <-served)
	// Output:
	// hello
	// /ws 200
	// /ws 426
	// /ws 403
	// StatusGoingAway <nil>
}

// An application that keeps its own library, here coder/websocket without Handler,
// and sends its own goodbye. With gorilla/websocket the goodbye is WriteControl.
func ExampleEndpoint() {
	chat := func(c echo.Context) error {
		ws, err := websocket.Accept(c.Response(), c.Request(), nil)
		if err != nil {
			return nil // the client has been answered
		}
		defer ws.CloseNow()
		core.SessionOf(c.Request().Context()).OnDrain(func() { _ = ws.Close(websocket.StatusGoingAway, "") })
		for {
			kind, message, err := ws.Read(c.Request().Context())
			if err != nil {
				return err // its code becomes the session's; Echo does not see it
			}
			if err := ws.Write(c.Request().Context(), kind, message); err != nil {
				return err
			}
		}
	}

	guard := newGuard()
	defer guard.Close()
	ln, target := listen()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	e := echo.New()
	e.GET("/chat", chat, echows.Endpoint(guard))
	served := make(chan error)
	go func() { served <- echows.ServeListener(ctx, guard, e, ln) }()

	client, _, err := websocket.Dial(ctx, "ws://"+target.Addr+"/chat", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.CloseNow()
	stop()
	_, _, err = client.Read(context.Background())
	fmt.Println(websocket.CloseStatus(err))
	fmt.Println(<-served)
	// Output:
	// StatusGoingAway
	// <nil>
}

// Keeping e.Start: call Attach before it. On one of the guard's listeners every
// connection is counted in its exact class.
func ExampleAttach() {
	guard := newGuard()
	defer guard.Close()
	ln, target := listen()

	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.GET("/ws", echows.Handler(guard, echoes, nil))
	echows.Attach(guard, e)
	e.Listener = guard.Listener(ln)
	served := make(chan error)
	go func() { served <- e.Start("") }()

	ask(target, probetest.Kubelet("/livez"))
	ctx := context.Background()
	_, err := guard.Drain(ctx) // Shutdown alone does not wait for the sessions
	fmt.Println(err, e.Shutdown(ctx), <-served)
	fmt.Println("connections:", guard.Snapshot().Accepted)
	// Output:
	// /livez 200
	// <nil> <nil> http: Server closed
	// connections: 1
}

// One line; the rest of the application stays as it is.
func ExampleMiddleware() {
	guard := newGuard()
	defer guard.Close()
	ln, target := listen()

	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.Pre(echows.Middleware(guard)) // before the router; e.Use works too
	e.GET("/", func(c echo.Context) error { return c.String(http.StatusOK, "hello") })
	e.Listener = ln
	served := make(chan error)
	go func() { served <- e.Start("") }()

	ask(target, probetest.Kubelet("/readyz"), probetest.PlainGet("/"))
	e.Close()
	fmt.Println(<-served)
	// Output:
	// /readyz 200
	// / 200
	// http: Server closed
}

// Keeping probes out of the access log. A Skipper is called before the chain; after
// it, as in LogValuesFunc of middleware.RequestLogger, Quiet knows more.
func ExampleQuiet() {
	guard := newGuard()
	defer guard.Close()
	ln, target := listen()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()

	e := echo.New()
	e.Use(middleware.LoggerWithConfig(middleware.LoggerConfig{
		Skipper: echows.Quiet(guard),
		Format:  "${method} ${path} ${status}\n",
		Output:  os.Stdout,
	}))
	e.GET("/readyz", func(c echo.Context) error { return c.String(http.StatusOK, "the application's own") })
	e.GET("/page", func(c echo.Context) error { return c.String(http.StatusOK, "hello") })
	served := make(chan error)
	go func() { served <- echows.ServeListener(ctx, guard, e, ln) }()

	ask(target, probetest.Kubelet("/readyz"), probetest.PlainGet("/page"), probetest.Kubelet("/page"))
	stop()
	fmt.Println(<-served)
	// Output:
	// /readyz 200
	// GET /page 200
	// /page 200
	// GET /page 200
	// /page 200
	// <nil>
}
