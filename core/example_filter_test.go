package core_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"time"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/probetest"
	"github.com/quietws/quietws/internal/plainws"
)

// New reports everything that is wrong with a Config at once.
func ExampleNew() {
	_, err := core.New(core.Config{
		Routes:      core.Routes{Ready: "ready", Health: "/livez"},
		MaxSessions: -1,
	})
	fmt.Println(err)
	// Output:
	// quietws: Config.MaxSessions is -1; it is a number of sessions, 0 for no limit
	// quietws: Config.Routes names "ready" for ready; a path begins with a slash and has no query
	// quietws: Config.Routes has "/livez" for both live and health
}

// Platforms with fixed paths. A path named in Routes is answered before the application;
// on one of ProbePaths only a known prober gets the health answer.
func ExampleConfig() {
	guard, err := core.New(core.Config{
		Routes:       core.Routes{Ready: "/api/ready", Startup: "-"},
		ProbePaths:   []string{"/"}, // GKE's load balancer asks / by default
		ProbeSources: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")},
		Drain:        core.DrainConfig{Timeout: 25 * time.Second}, // of Kubernetes' 30 s
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer guard.Close()

	mux := http.NewServeMux()
	mux.HandleFunc("/api/", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "log in first", http.StatusUnauthorized) })
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/api/", http.StatusSeeOther) })
	server := httptest.NewServer(guard.Wrap(mux))
	defer server.Close()

	target := probetest.Target{Addr: server.Listener.Addr().String()}
	for _, r := range []probetest.Request{
		probetest.Kubelet("/api/ready"), probetest.Kubelet("/startupz"), probetest.GoogleHC("/"), probetest.PlainGet("/"),
	} {
		res, err := probetest.Do(context.Background(), target, r)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(r.Path, res.Status)
	}
	// Output:
	// /api/ready 200
	// /startupz 404
	// / 200
	// / 303
}

// An access log without probes. It is around the guard's layer, and asks after the
// request.
func ExampleGuard_IsProbe() {
	guard, err := core.New(core.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer guard.Close()

	accessLog := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r)
			if !guard.IsProbe(r) {
				fmt.Println(r.Method, r.URL.Path)
			}
		})
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/admin", func(http.ResponseWriter, *http.Request) {})
	server := httptest.NewServer(accessLog(guard.Wrap(mux)))

	target := probetest.Target{Addr: server.Listener.Addr().String()}
	for _, path := range []string{"/readyz", "/admin"} { // a prober's User-Agent hides no request of the application
		if _, err := probetest.Do(context.Background(), target, probetest.Kubelet(path)); err != nil {
			fmt.Println(err)
		}
	}
	server.Close()
	// Output: GET /admin
}

// Durations of requests, without sessions, which would be requests that take hours.
func ExampleIsUpgrade() {
	observe := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r)
			if !core.IsUpgrade(r) {
				fmt.Println("measured:", r.URL.Path)
			}
		})
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(http.ResponseWriter, *http.Request) {})
	server := httptest.NewServer(observe(mux))

	target := probetest.Target{Addr: server.Listener.Addr().String()}
	for _, r := range []probetest.Request{probetest.WebSocket("/ws"), probetest.PlainGet("/page")} {
		if _, err := probetest.Do(context.Background(), target, r); err != nil {
			fmt.Println(err)
		}
	}
	server.Close()
	// Output: measured: /page
}

// A goodbye with your own library. At the session's moment of a drain, the close frame is
// sent, for example with WriteControl of gorilla/websocket. The handler reads on until
// the client has answered it.
func ExampleSession_OnDrain() {
	chat := func(w http.ResponseWriter, r *http.Request) {
		ws, err := plainws.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer ws.Close()
		session := core.SessionOf(r.Context())
		session.OnDrain(func() { _ = ws.Goodbye(plainws.GoingAway) })
		for {
			kind, message, err := ws.Read()
			if closed := (plainws.CloseError{}); errors.As(err, &closed) {
				session.Ended(closed.Code) // a handler that returns errors returns it instead
			}
			if err != nil || ws.Write(kind, message) != nil {
				return
			}
		}
	}

	guard, err := core.New(core.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("/chat", guard.Endpoint(http.HandlerFunc(chat)))
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ln, _ := net.Listen("tcp", "127.0.0.1:0")
	served := make(chan error)
	go func() { served <- guard.Serve(ctx, &http.Server{Handler: mux}, ln) }()

	client, _, err := probetest.Open(ctx, probetest.Target{Addr: ln.Addr().String(), Path: "/chat"})
	if err != nil {
		fmt.Println(err)
		return
	}
	stop()
	goodbye, err := client.Read(context.Background())
	fmt.Println(goodbye.Code(), err)
	_, err = client.Close(context.Background(), goodbye.Code()) // answers it
	fmt.Println(<-served, err, guard.Close())
	fmt.Println(guard.Snapshot().Drained)
	// Output:
	// 1001 <nil>
	// <nil> <nil> <nil>
	// map[answered:1 closed:0 dropped:0]
}

// The counters, for your own metrics. For Prometheus there is core/prom.
func ExampleGuard_Snapshot() {
	guard, err := core.New(core.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("/ws", guard.Endpoint(http.HandlerFunc(echo)))
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ln, _ := net.Listen("tcp", "127.0.0.1:0")
	served := make(chan error)
	go func() { served <- guard.Serve(ctx, &http.Server{Handler: mux}, ln) }()

	target := probetest.Target{Addr: ln.Addr().String()}
	if _, err := probetest.Do(ctx, target, probetest.Kubelet("/livez")); err != nil {
		fmt.Println(err)
	}
	client, _, err := probetest.Open(ctx, probetest.Target{Addr: ln.Addr().String(), Path: "/ws"})
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = client.SendText(ctx, "hello")
	message, _ := client.Read(ctx)
	fmt.Println(string(message.Payload))

	s := guard.Snapshot()
	fmt.Println("connections:", s.Accepted, "sessions:", s.SessionsOpen, "ready:", s.Ready)
	for _, p := range s.Probes {
		fmt.Println(p.N, p.Class, "by", p.Prober)
	}
	for _, h := range s.Handshakes {
		fmt.Println(h.N, "handshake", h.Result)
	}
	_, _ = client.Close(ctx, 1000)
	stop()
	fmt.Println(<-served, guard.Close())
	// Output:
	// hello
	// connections: 2 sessions: 1 ready: true
	// 1 http_probe by kubelet
	// 1 handshake accepted
	// <nil> <nil>
}

// For a server that other code starts, and that the guard cannot be attached to.
func ExampleGuard_ErrorLog() {
	ended := make(chan struct{}, 1)
	guard, err := core.New(core.Config{Observe: func(event.Event) { ended <- struct{}{} }})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer guard.Close()

	mine := log.New(os.Stdout, "server: ", 0)
	server := httptest.NewUnstartedServer(guard.Wrap(http.NewServeMux()))
	server.Config.ErrorLog = guard.ErrorLog(mine)
	server.Listener = guard.Listener(server.Listener)
	server.StartTLS()

	target := probetest.Target{Addr: server.Listener.Addr().String()}
	if _, err := probetest.Connect(context.Background(), target, probetest.FIN); err != nil { // no line
		fmt.Println(err)
	}
	<-ended
	server.Config.ErrorLog.Print("a line that is about no connection")
	server.Close()
	// Output: server: a line that is about no connection
}
