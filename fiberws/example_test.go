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
	"github.com/gofiber/contrib/websocket"
	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/logger"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/probetest"
	"github.com/quietws/quietws/fiberws"
)

// echoes sends each message back. The error of ReadMessage is how it learns that
// the client left, or was told good-bye at a drain.
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

// newGuard is core.New(core.Config{}), whose error an application returns.
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

// ask prints what requests are answered.
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
// closes the guard. Here another program has the address.
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

// RunTLS takes files. Here they are missing.
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

	app := fiber.New(fiber.Config{ReadTimeout: 30 * time.Second, DisableStartupMessage: true})
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

	app := fiber.New(fiber.Config{ReadTimeout: 30 * time.Second, DisableStartupMessage: true})
	app.Get("/ws", fiberws.Handler(guard, echoes))

	ctx, stop := context.WithTimeout(context.Background(), 50*time.Millisecond) // signal.NotifyContext(…, syscall.SIGTERM)
	defer stop()
	config := &tls.Config{Certificates: []tls.Certificate{certificate}}
	fmt.Println(fiberws.ServeTLS(ctx, guard, app, "127.0.0.1:0", config)) // ":8443"
	// Output: <nil>
}

// A listener of one's own, such as one with the PROXY protocol or a systemd
// socket.
func ExampleServeListener() {
	guard := newGuard()
	defer guard.Close()
	ln, target := loopback()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()

	app := fiber.New(fiber.Config{DisableStartupMessage: true})
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

// A route that is wholly the guard's: a session for a client, the health answer
// for a prober, 426 for a person, 403 for a page of another origin.
func ExampleHandler() {
	guard := newGuard()
	defer guard.Close()
	ln, target := loopback()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()

	app := fiber.New(fiber.Config{DisableStartupMessage: true})
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

	stop() // a deploy: the client is told
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

// An application with contrib/websocket as it was, and one handler more on the
// route.
func ExampleEndpoint() {
	guard := newGuard()
	defer guard.Close()
	ln, target := loopback()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()

	app := fiber.New(fiber.Config{DisableStartupMessage: true})
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
	ask(target, probetest.ALB("/chat"), probetest.BadKey("/chat")) // the library would take the key
	stop()
	fmt.Println(<-served)
	// Output:
	// welcome
	// /chat 426
	// /chat 400
	// <nil>
}

// A goodbye on a route of one's own. It is kept on conn.Conn: conn itself is
// another client's when the function has returned, which is why Settle waits.
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
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
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

// A panic in a session of contrib's is told in the log, and its text not to the
// client.
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

	app := fiber.New(fiber.Config{DisableStartupMessage: true})
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
	guard.Close() // Observe is through
	fmt.Printf("%q %v\n", message, err)
	// Output:
	// handler_panic a secret
	// session <nil>
	// "" <nil>
}

// For who keeps app.Listen: Attach before it, and with app.Listener on a listener
// of the guard's every connection is counted in its exact class.
func ExampleAttach() {
	guard := newGuard()
	defer guard.Close()
	ln, target := loopback()

	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Get("/ws", fiberws.Handler(guard, echoes))
	fiberws.Attach(guard, app)
	served := make(chan error)
	go func() { served <- app.Listener(guard.Listener(ln)) }()

	ask(target, probetest.Kubelet("/livez"))
	_, err := guard.Drain(context.Background()) // lets probers notice, which Shutdown cannot
	fmt.Println(err, app.Shutdown(), <-served)
	fmt.Println("connections:", guard.Snapshot().Accepted)
	// Output:
	// /livez 200
	// <nil> <nil> <nil>
	// connections: 1
}

// One line, before the others, and the rest of the application as it is.
func ExampleMiddleware() {
	guard := newGuard()
	defer guard.Close()
	ln, target := loopback()

	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Use(fiberws.Middleware(guard))
	app.Get("/", func(c *fiber.Ctx) error { return c.SendString("hello") })
	served := make(chan error)
	go func() { served <- app.Listener(ln) }()

	ask(target, probetest.Kubelet("/readyz"), probetest.PlainGet("/"))
	fmt.Println(app.Shutdown(), <-served)
	// Output:
	// /readyz 200
	// / 200
	// <nil> <nil>
}

// Probes out of the access log. As Next it is asked before the chain; after it, as
// in the logger's Done, it knows more.
func ExampleQuiet() {
	guard := newGuard()
	defer guard.Close()
	ln, target := loopback()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()

	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Use(logger.New(logger.Config{
		Next:   fiberws.Quiet(guard),
		Format: "${method} ${path} ${status}\n",
		Output: os.Stdout,
	}))
	app.Get("/readyz", func(c *fiber.Ctx) error { return c.SendString("the application's own") })
	app.Get("/page", func(c *fiber.Ctx) error { return c.SendString("hello") })
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
