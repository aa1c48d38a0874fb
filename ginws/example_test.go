package ginws_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"syscall"
	"time"

	"github.com/coder/websocket"
	"github.com/gin-gonic/gin"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/probetest"
	"github.com/quietws/quietws/ginws"
)

// echoes sends each message back. It returns the error of Read when the client has
// left or a drain has closed the session.
func echoes(ctx context.Context, _ *gin.Context, ws *websocket.Conn) error {
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
	engine := gin.New()
	engine.GET("/ws", ginws.Handler(guard, echoes, nil))

	ln, target := listen()
	defer ln.Close()
	err := ginws.Run(guard, engine, target.Addr) // ":8080"
	fmt.Println(errors.Is(err, syscall.EADDRINUSE))
	// Output: true
}

// RunTLS takes the names of files. Here they do not exist.
func ExampleRunTLS() {
	guard := newGuard()
	engine := gin.New()
	engine.GET("/ws", ginws.Handler(guard, echoes, nil))

	err := ginws.RunTLS(guard, engine, ":8443", "cert.pem", "key.pem")
	fmt.Println(errors.Is(err, fs.ErrNotExist))
	// Output: true
}

// Serve takes the place of engine.Run. Give it a context that ends at SIGTERM, and it
// returns when the sessions are drained.
func ExampleServe() {
	guard := newGuard()
	defer guard.Close()

	engine := gin.New()
	engine.GET("/ws", ginws.Handler(guard, echoes, nil))

	ctx, stop := context.WithTimeout(context.Background(), 50*time.Millisecond) // signal.NotifyContext(…, syscall.SIGTERM)
	defer stop()
	err := ginws.Serve(ctx, guard, engine, "127.0.0.1:0") // ":8080"
	fmt.Println(err)
	// Output: <nil>
}

// ServeTLS does the same over TLS, and takes the place of engine.RunTLS.
func ExampleServeTLS() {
	guard := newGuard()
	defer guard.Close()
	certificate, _, err := probetest.Certificate() // tls.LoadX509KeyPair("cert.pem", "key.pem")
	if err != nil {
		fmt.Println(err)
		return
	}

	engine := gin.New()
	engine.GET("/ws", ginws.Handler(guard, echoes, nil))

	ctx, stop := context.WithTimeout(context.Background(), 50*time.Millisecond) // signal.NotifyContext(…, syscall.SIGTERM)
	defer stop()
	config := &tls.Config{Certificates: []tls.Certificate{certificate}}
	fmt.Println(ginws.ServeTLS(ctx, guard, engine, "127.0.0.1:0", config)) // ":8443"
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

	engine := gin.New()
	engine.GET("/ws", ginws.Handler(guard, echoes, nil))
	served := make(chan error)
	go func() { served <- ginws.ServeListener(ctx, guard, engine, ln) }()

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

	engine := gin.New()
	engine.GET("/ws", ginws.Handler(guard, echoes, &websocket.AcceptOptions{OriginPatterns: []string{"*.example.com"}}))
	served := make(chan error)
	go func() { served <- ginws.ServeListener(ctx, guard, engine, ln) }()

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
	chat := func(c *gin.Context) {
		ws, err := websocket.Accept(c.Writer, c.Request, nil)
		if err != nil {
			return // the client has been answered
		}
		defer ws.CloseNow()
		core.SessionOf(c).OnDrain(func() { _ = ws.Close(websocket.StatusGoingAway, "") })
		for {
			kind, message, err := ws.Read(c.Request.Context())
			if err != nil {
				_ = c.Error(err) // its code becomes the session's
				return
			}
			if ws.Write(c.Request.Context(), kind, message) != nil {
				return
			}
		}
	}

	guard := newGuard()
	defer guard.Close()
	ln, target := listen()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	engine := gin.New()
	engine.GET("/chat", ginws.Endpoint(guard), chat)
	served := make(chan error)
	go func() { served <- ginws.ServeListener(ctx, guard, engine, ln) }()

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

// Keeping an http.Server: call Attach before its Serve. On one of the guard's
// listeners every connection is counted in its exact class.
func ExampleAttach() {
	guard := newGuard()
	defer guard.Close()
	ln, target := listen()

	engine := gin.New()
	engine.GET("/ws", ginws.Handler(guard, echoes, nil))
	server := &http.Server{Handler: engine, ReadHeaderTimeout: 5 * time.Second}
	ginws.Attach(guard, server, engine)
	served := make(chan error)
	go func() { served <- server.Serve(guard.Listener(ln)) }()

	ask(target, probetest.Kubelet("/livez"))
	ctx := context.Background()
	_, err := guard.Drain(ctx) // Shutdown alone does not wait for the sessions
	fmt.Println(err, server.Shutdown(ctx), <-served)
	fmt.Println("connections:", guard.Snapshot().Accepted)
	// Output:
	// /livez 200
	// <nil> <nil> http: Server closed
	// connections: 1
}

// One line before the routes; the rest of the application stays as it is, engine.Run
// too.
func ExampleMiddleware() {
	guard := newGuard()
	defer guard.Close()

	engine := gin.New()
	engine.Use(ginws.Middleware(guard))
	engine.GET("/", func(c *gin.Context) { c.String(http.StatusOK, "hello") })
	server := httptest.NewServer(engine)
	defer server.Close()

	target := probetest.Target{Addr: server.Listener.Addr().String()}
	ask(target, probetest.Kubelet("/readyz"), probetest.PlainGet("/"))
	// Output:
	// /readyz 200
	// / 200
}

// Keeping probes out of the access log: Gin calls Skip after the chain.
func ExampleQuiet() {
	guard := newGuard()
	defer guard.Close()
	ln, target := listen()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()

	engine := gin.New()
	engine.Use(gin.LoggerWithConfig(gin.LoggerConfig{
		Skip:      ginws.Quiet(guard),
		Formatter: func(p gin.LogFormatterParams) string { return fmt.Sprintln(p.Method, p.Path, p.StatusCode) },
		Output:    os.Stdout,
	}))
	engine.GET("/readyz", func(c *gin.Context) { c.String(http.StatusOK, "the application's own") })
	engine.GET("/page", func(c *gin.Context) { c.String(http.StatusOK, "hello") })
	served := make(chan error)
	go func() { served <- ginws.ServeListener(ctx, guard, engine, ln) }()

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
