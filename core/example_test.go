package core_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/probetest"
	"github.com/quietws/quietws/internal/plainws"
)

// echo is an application's own WebSocket handler, with any library: it sends each message
// back. An error of Read shows that the client left or that the server drains.
func echo(w http.ResponseWriter, r *http.Request) {
	ws, err := plainws.Upgrade(w, r, nil)
	if err != nil {
		return // the client has been answered, and the log has its line
	}
	defer func() { _ = ws.Close() }()
	core.SessionOf(r.Context()).OnDrain(func() { _ = ws.Goodbye(plainws.GoingAway) })
	for {
		kind, data, err := ws.Read()
		if err != nil || ws.Write(kind, data) != nil {
			return
		}
	}
}

// stdout is a log without the attributes that differ from run to run.
func stdout() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			switch a.Key {
			case slog.TimeKey, "remote", "remedy":
				return slog.Attr{}
			}
			return a
		},
	}))
}

// A complete server on net/http. It ends with its context: with a context that ends at
// SIGTERM, its sessions are drained.
func ExampleGuard_Serve() {
	guard, err := core.New(core.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer guard.Close()

	mux := http.NewServeMux()
	mux.Handle("/ws", guard.Endpoint(http.HandlerFunc(echo)))
	ln, err := net.Listen("tcp", "127.0.0.1:0") // ":8080"
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background()) // signal.NotifyContext(…, os.Interrupt, syscall.SIGTERM)
	served := make(chan error)
	go func() { served <- guard.Serve(ctx, &http.Server{Handler: mux}, ln) }()

	target := probetest.Target{Addr: ln.Addr().String()}
	res, err := probetest.Do(ctx, target, probetest.Kubelet("/livez"))
	fmt.Print(res.Status, " ", res.Body)
	if err != nil {
		fmt.Println(err)
	}
	stop()
	fmt.Println("served until the context ended:", <-served)
	// Output:
	// 200 ok
	// served until the context ended: <nil>
}

// Only the outermost layer, on a server that other code owns: health routes, probers and
// refused handshakes, but no counts of connections.
func ExampleGuard_Wrap() {
	guard, err := core.New(core.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer guard.Close()

	mux := http.NewServeMux()
	mux.Handle("/ws", guard.Endpoint(http.HandlerFunc(echo)))
	mux.HandleFunc("/startupz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "the application's own") })
	server := httptest.NewServer(guard.Wrap(mux))
	defer server.Close()

	for _, path := range []string{"/livez", "/startupz", "/nothing"} {
		res, err := server.Client().Get(server.URL + path)
		if err != nil {
			fmt.Println(err)
			return
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		fmt.Print(path, " ", res.StatusCode, " ", string(body))
	}
	// Output:
	// /livez 200 ok
	// /startupz 200 the application's own
	// /nothing 404 404 page not found
}

// The application's library serves the route. On a path of ProbePaths a known prober is
// answered before it.
func ExampleGuard_Endpoint() {
	guard, err := core.New(core.Config{ProbePaths: []string{"/ws"}}) // the load balancer asks here
	if err != nil {
		fmt.Println(err)
		return
	}
	defer guard.Close()

	mux := http.NewServeMux()
	mux.Handle("/ws", guard.Endpoint(http.HandlerFunc(echo)))
	server := httptest.NewServer(guard.Wrap(mux))
	defer server.Close()

	target := probetest.Target{Addr: server.Listener.Addr().String()}
	for _, r := range []probetest.Request{probetest.ALB("/ws"), probetest.PlainGet("/ws"), probetest.WebSocket("/ws"), probetest.BadKey("/ws")} {
		res, err := probetest.Do(context.Background(), target, r)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(res.Status)
	}
	// Output:
	// 200
	// 426
	// 101
	// 400
}

// A TLS server that calls Serve itself. Without the guard net/http would print a line for
// each connection that a platform opens and closes again.
func ExampleGuard_Attach() {
	ended := make(chan struct{}, 3)
	guard, err := core.New(core.Config{
		Logger:  stdout(),
		Observe: func(event.Event) { ended <- struct{}{} },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer guard.Close()

	server := httptest.NewUnstartedServer(http.NewServeMux())
	guard.Attach(server.Config) // an *http.Server, before its Serve
	server.StartTLS()
	defer server.Close()

	target := probetest.Target{Addr: server.Listener.Addr().String()}
	for range cap(ended) {
		if _, err := probetest.Connect(context.Background(), target, probetest.FIN); err != nil {
			fmt.Println(err)
			return
		}
		<-ended
	}
	fmt.Println(guard.Snapshot().Closed[event.TCPProbe], "counted")
	// Output:
	// level=INFO msg="health routes" /healthz=quietws /livez=quietws /readyz=quietws /startupz=quietws
	// level=INFO msg="probe seen: counted, no longer logged" class=tcp_probe prober=unknown
	// 3 counted
}

// One server on a plain port and on a TLS port. Each connection ends in exactly one class.
// The guard goes below TLS.
func ExampleGuard_Listener() {
	certificate, _, err := probetest.Certificate()
	if err != nil {
		fmt.Println(err)
		return
	}
	config := &tls.Config{Certificates: []tls.Certificate{certificate}}

	ended := make(chan event.Class, 3)
	guard, err := core.New(core.Config{Observe: func(e event.Event) { ended <- e.Class }})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer guard.Close()
	server := &http.Server{Handler: http.NewServeMux()}
	guard.Attach(server)
	defer server.Close()

	plain, _ := net.Listen("tcp", "127.0.0.1:0")
	secure, _ := net.Listen("tcp", "127.0.0.1:0")
	go server.Serve(guard.Listener(plain))
	go server.Serve(guard.TLSListener(secure, config)) // or tls.NewListener(guard.Listener(secure), config)

	ctx := context.Background()
	for _, ln := range []net.Listener{plain, secure} {
		if _, err := probetest.Connect(ctx, probetest.Target{Addr: ln.Addr().String()}, probetest.FIN); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(<-ended)
	}
	if _, err := probetest.Do(ctx, probetest.Target{Addr: secure.Addr().String()}, probetest.PlainGet("/")); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(<-ended)
	s := guard.Snapshot()
	fmt.Println(s.Accepted, s.Open)
	// Output:
	// tcp_probe
	// tcp_probe
	// wrong_protocol
	// 3 0
}

// If you call Shutdown yourself, drain before it: net/http's Shutdown does not wait for
// sessions.
func ExampleGuard_Drain() {
	guard, err := core.New(core.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("/ws", guard.Endpoint(http.HandlerFunc(echo)))
	server := &http.Server{Handler: mux}
	guard.Attach(server)
	ln, _ := net.Listen("tcp", "127.0.0.1:0")
	go server.Serve(guard.Listener(ln))

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	client, _, err := probetest.Open(ctx, probetest.Target{Addr: ln.Addr().String(), Path: "/ws"})
	if err != nil {
		fmt.Println(err)
		return
	}
	code := make(chan int)
	go func() {
		goodbye, _ := client.Read(ctx)
		_, _ = client.Close(ctx, goodbye.Code()) // answers it
		code <- goodbye.Code()
	}()

	report, err := guard.Drain(ctx)
	fmt.Println(report.Sessions, report.Closed, report.Dropped, err)
	fmt.Println(server.Shutdown(ctx), guard.Close())
	fmt.Println(<-code)
	// Output:
	// 1 1 0 <nil>
	// <nil> <nil>
	// 1001
}

// The typed reason of each refused handshake, for your own alerts and counters.
func ExampleConfig_observe() {
	guard, err := core.New(core.Config{
		Observe: func(e event.Event) {
			var refused *event.HandshakeError
			if errors.As(e.Err, &refused) {
				fmt.Println(e.Path, refused.Status, refused.Reason, refused.Field)
			}
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("/ws", guard.Endpoint(http.HandlerFunc(echo)))
	server := httptest.NewServer(guard.Wrap(mux))

	target := probetest.Target{Addr: server.Listener.Addr().String()}
	for _, r := range []probetest.Request{probetest.NoUpgrade("/ws"), probetest.BadKey("/ws"), probetest.WebSocket("/old")} {
		if _, err := probetest.Do(context.Background(), target, r); err != nil {
			fmt.Println(err)
		}
	}
	server.Close()
	guard.Close() // after Close, Observe is not called
	// Output:
	// /ws 426 upgrade_stripped Upgrade
	// /ws 400 bad_key Sec-Websocket-Key
	// /old 404 no_route
}
