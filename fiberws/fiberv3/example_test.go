package fiberws_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"syscall"
	"time"

	fastws "github.com/fasthttp/websocket"
	"github.com/gofiber/contrib/v3/websocket"
	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/middleware/logger"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/probetest"
	fiberws "github.com/quietws/quietws/fiberws/fiberv3"
)

// echoes sends each message back. It returns the error of ReadMessage when the client
// has left or a drain has closed the session.
func echoes(_ context.Context, ws *websocket.Conn) error {
	for {
		kind, message, err := ws.ReadMessage()
		if err != nil {
			return err
		}
		if err := ws.WriteMessage(kind, message); err != nil {
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

// loopback is net.Listen("tcp", ":8080") elsewhere.
func loopback() (net.Listener, probetest.Target) {
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
	app := fiber.New()
	app.Get("/ws", fiberws.Handler(guard, echoes))

	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ln.Close()
	err = fiberws.Run(guard, app, ln.Addr().String()) // ":8080"
	fmt.Println(errors.Is(err, syscall.EADDRINUSE))
	// Output: true
}

// RunTLS takes the names of files. Here they do not exist.
func ExampleRunTLS() {
	guard := newGuard()
	app := fiber.New()
	app.Get("/ws", fiberws.Handler(guard, echoes))

	err := fiberws.RunTLS(guard, app, ":8443", "cert.pem", "key.pem")
	fmt.Println(errors.Is(err, fs.ErrNotExist))
	// Output: true
}

// Serve takes the place of app.Listen. Give it a context that ends at SIGTERM, and
// it returns when the sessions are drained.
func ExampleServe() {
	guard := newGuard()
	defer guard.Close()

	app := fiber.New(fiber.Config{ReadTimeout: 30 * time.Second})
	app.Get("/ws", fiberws.Handler(guard, echoes))

	ctx, stop := context.WithTimeout(context.Background(), 50*time.Millisecond) // signal.NotifyContext(…, syscall.SIGTERM)
	defer stop()
	err := fiberws.Serve(ctx, guard, app, "127.0.0.1:0") // ":8080"
	fmt.Println(err)
	// Output: <nil>
}

// ServeTLS does the same over TLS, and takes the place of app.ListenTLS.
func ExampleServeTLS() {
	guard := newGuard()
	defer guard.Close()
	certificate, _, err := probetest.Certificate() // tls.LoadX509KeyPair("cert.pem", "key.pem")
	if err != nil {
		fmt.Println(err)
		return
	}

	app := fiber.New(fiber.Config{ReadTimeout: 30 * time.Second})
	app.Get("/ws", fiberws.Handler(guard, echoes))

	ctx, stop := context.WithTimeout(context.Background(), 50*time.Millisecond) // signal.NotifyContext(…, syscall.SIGTERM)
	defer stop()
	config := &tls.Config{Certificates: []tls.Certificate{certificate}}
	fmt.Println(fiberws.ServeTLS(ctx, guard, app, "127.0.0.1:0", config)) // ":8443"
	// Output: <nil>
}

// Serving on your own listener, such as one with the PROXY protocol or a systemd
// socket.
func ExampleServeListener() {
	guard := newGuard()
	defer guard.Close()
	ln, target := loopback()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()

	app := fiber.New()
	app.Get("/ws", fiberws.Handler(guard, echoes))
	served := make(chan error)
	go func() { served <- fiberws.ServeListener(ctx, guard, app, ln) }()

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
	ln, target := loopback()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()

	app := fiber.New()
	app.Get("/ws", fiberws.Handler(guard, echoes, websocket.Config{Origins: []string{"https://app.example.com"}}))
	served := make(chan error)
	go func() { served <- fiberws.ServeListener(ctx, guard, app, ln) }()

	client, _, err := fastws.DefaultDialer.Dial("ws://"+target.Addr+"/ws", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	_ = client.WriteMessage(fastws.TextMessage, []byte("hello"))
	_, message, _ := client.ReadMessage()
	fmt.Println(string(message))

	ask(target, probetest.ALB("/ws"), probetest.PlainGet("/ws"), probetest.Foreign("/ws"))

	stop() // a deployment: the client gets a close frame
	_, _, err = client.ReadMessage()
	fmt.Println(err)
	fmt.Println(<-served)
	// Output:
	// hello
	// /ws 200
	// /ws 426
	// /ws 403
	// websocket: close 1001 (going away)
	// <nil>
}

// An application that keeps contrib/websocket, with one more handler on the route.
func ExampleEndpoint() {
	guard := newGuard()
	defer guard.Close()
	ln, target := loopback()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()

	app := fiber.New()
	app.Get("/chat", fiberws.Endpoint(guard), websocket.New(func(ws *websocket.Conn) {
		_ = ws.WriteMessage(websocket.TextMessage, []byte("welcome"))
	}, websocket.Config{RecoverHandler: fiberws.Recover}))
	served := make(chan error)
	go func() { served <- fiberws.ServeListener(ctx, guard, app, ln) }()

	client, _, err := fastws.DefaultDialer.Dial("ws://"+target.Addr+"/chat", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	_, message, _ := client.ReadMessage()
	fmt.Println(string(message))
	ask(target, probetest.ALB("/chat"), probetest.BadKey("/chat")) // the library would accept the key
	stop()
	fmt.Println(<-served)
	// Output:
	// welcome
	// /chat 426
	// /chat 400
	// <nil>
}

// A goodbye on your own route. It uses conn.Conn: conn itself is reused for another
// client once the function has returned, which is why Settle waits.
func ExampleSessionOf() {
	chat := func(conn *websocket.Conn) {
		session, inner := fiberws.SessionOf(conn), conn.Conn
		session.OnDrain(func() {
			goodbye := websocket.FormatCloseMessage(websocket.CloseGoingAway, "")
			_ = inner.WriteControl(websocket.CloseMessage, goodbye, time.Now().Add(time.Second))
		})
		defer session.Settle()
		for {
			kind, message, err := conn.ReadMessage()
			var closed *fastws.CloseError
			if errors.As(err, &closed) {
				session.Ended(closed.Code)
			}
			if err != nil || conn.WriteMessage(kind, message) != nil {
				return
			}
		}
	}

	guard := newGuard()
	defer guard.Close()
	ln, target := loopback()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	app := fiber.New()
	app.Get("/chat", fiberws.Endpoint(guard), websocket.New(chat, websocket.Config{RecoverHandler: fiberws.Recover}))
	served := make(chan error)
	go func() { served <- fiberws.ServeListener(ctx, guard, app, ln) }()

	client, _, err := fastws.DefaultDialer.Dial("ws://"+target.Addr+"/chat", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	_ = client.WriteMessage(fastws.TextMessage, []byte("hello"))
	_, message, _ := client.ReadMessage()
	stop()
	_, _, err = client.ReadMessage()
	fmt.Println(string(message), err)
	fmt.Println(<-served, guard.Snapshot().Drained)
	// Output:
	// hello websocket: close 1001 (going away)
	// <nil> map[answered:1 closed:0 dropped:0]
}

// A panic in a session of contrib's is logged, and its text is not sent to the client.
func ExampleRecover() {
	guard, err := core.New(core.Config{
		Logger:  slog.New(slog.DiscardHandler),
		Observe: func(e event.Event) { fmt.Println(e.Class, e.Panic) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ln, target := loopback()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()

	app := fiber.New()
	app.Get("/chat", fiberws.Endpoint(guard), websocket.New(func(*websocket.Conn) {
		panic("a secret")
	}, websocket.Config{RecoverHandler: fiberws.Recover}))
	served := make(chan error)
	go func() { served <- fiberws.ServeListener(ctx, guard, app, ln) }()

	client, _, err := fastws.DefaultDialer.Dial("ws://"+target.Addr+"/chat", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	_, message, _ := client.ReadMessage()
	stop()
	err = <-served
	guard.Close() // Observe has returned
	fmt.Printf("%q %v\n", message, err)
	// Output:
	// handler_panic a secret
	// session <nil>
	// "" <nil>
}

// For applications that keep app.Listen: Attach before it, and with app.Listener on a listener
// of the guard's every connection is counted in its exact class.
func ExampleAttach() {
	guard := newGuard()
	defer guard.Close()
	ln, target := loopback()

	app := fiber.New()
	app.Get("/ws", fiberws.Handler(guard, echoes))
	fiberws.Attach(guard, app)
	served := make(chan error)
	go func() { served <- app.Listener(guard.Listener(ln), fiber.ListenConfig{DisableStartupMessage: true}) }()

	ask(target, probetest.Kubelet("/livez"))
	_, err := guard.Drain(context.Background()) // gives probers time to notice, which Shutdown does not
	fmt.Println(err, app.Shutdown(), <-served)
	fmt.Println("connections:", guard.Snapshot().Accepted)
	// Output:
	// /livez 200
	// <nil> <nil> <nil>
	// connections: 1
}

// One line before other middleware; the rest of the application stays as it is.
func ExampleMiddleware() {
	guard := newGuard()
	defer guard.Close()
	ln, target := loopback()

	app := fiber.New()
	app.Use(fiberws.Middleware(guard))
	app.Get("/", func(c fiber.Ctx) error { return c.SendString("hello") })
	served := make(chan error)
	go func() { served <- app.Listener(ln, fiber.ListenConfig{DisableStartupMessage: true}) }()

	ask(target, probetest.Kubelet("/readyz"), probetest.PlainGet("/"))
	fmt.Println(app.Shutdown(), <-served)
	// Output:
	// /readyz 200
	// / 200
	// <nil> <nil>
}

// Keeping probes out of the access log. Next is called before the chain; after it, as
// in the logger's Done, Quiet knows more.
func ExampleQuiet() {
	guard := newGuard()
	defer guard.Close()
	ln, target := loopback()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()

	app := fiber.New()
	app.Use(logger.New(logger.Config{
		Next:   fiberws.Quiet(guard),
		Format: "${method} ${path} ${status}\n",
		Stream: os.Stdout,
	}))
	app.Get("/readyz", func(c fiber.Ctx) error { return c.SendString("the application's own") })
	app.Get("/page", func(c fiber.Ctx) error { return c.SendString("hello") })
	served := make(chan error)
	go func() { served <- fiberws.ServeListener(ctx, guard, app, ln) }()

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
