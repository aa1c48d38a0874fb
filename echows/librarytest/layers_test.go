package librarytest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"
	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/probetest"
	"github.com/quietws/quietws/echows"
)

// layers are middleware of Echo that many applications use, in a common order.
var layers = []struct {
	name string
	make func() echo.MiddlewareFunc
}{
	{"Recover", middleware.Recover},
	{"RateLimiter", func() echo.MiddlewareFunc {
		return middleware.RateLimiter(middleware.NewRateLimiterMemoryStore(1000))
	}},
	{"Secure", middleware.Secure},
	{"CORS", middleware.CORS},
	{"CSRF", middleware.CSRF},
	{"BodyDump", func() echo.MiddlewareFunc { return middleware.BodyDump(func(echo.Context, []byte, []byte) {}) }},
	{"Gzip", middleware.Gzip},
	{"Timeout", func() echo.MiddlewareFunc {
		return middleware.TimeoutWithConfig(middleware.TimeoutConfig{Timeout: time.Minute}) //nolint:staticcheck // deprecated, but widely used
	}},
}

// stacks are each layer alone, all of them, and three more orders.
func stacks() (all [][]int) {
	every := make([]int, len(layers))
	for i := range layers {
		all = append(all, []int{i})
		every[i] = i
	}
	backwards := slices.Clone(every)
	slices.Reverse(backwards)
	// Without Timeout, behind which no library can open a session.
	return append(all, every, backwards, []int{6, 5, 0, 3, 7, 2, 4, 1}, []int{6, 5, 4, 3, 2, 1, 0})
}

// A session opens and echoes behind each layer if it does on the bare server, and with
// Handler behind all but Timeout. If it does not, a log line names the layer in the
// way.
func TestLayers(t *testing.T) {
	guards := map[string]func(*core.Guard, *echo.Echo, func()){
		"the route alone": func(_ *core.Guard, _ *echo.Echo, use func()) { use() },
		"Attach":          func(g *core.Guard, e *echo.Echo, use func()) { use(); echows.Attach(g, e) },
		"Use before": func(g *core.Guard, e *echo.Echo, use func()) {
			e.Use(echows.Middleware(g))
			use()
		},
		"Use after": func(g *core.Guard, e *echo.Echo, use func()) {
			use()
			e.Use(echows.Middleware(g))
		},
	}
	var running sync.WaitGroup // they mostly wait
	for name, add := range guards {
		for _, stack := range stacks() {
			for _, path := range []string{"/handler", "/coder", "/gorilla"} {
				running.Go(func() {
					if err := behind(t, add, stack, path); err != nil {
						var names []string
						for _, i := range stack {
							names = append(names, layers[i].name)
						}
						t.Errorf("%s, %s behind %s: %v", name, path, strings.Join(names, ", "), err)
					}
				})
			}
		}
	}
	running.Wait()
}

func behind(t *testing.T, add func(*core.Guard, *echo.Echo, func()), stack []int, path string) error {
	events := make(chan event.Event, 10)
	guard, err := core.New(core.Config{Logger: slog.New(slog.DiscardHandler), Observe: func(e event.Event) { events <- e }})
	if err != nil {
		return err
	}
	defer func() { _ = guard.Close() }()
	e := echo.New()
	e.Logger.SetOutput(io.Discard)
	e.StdLogger.SetOutput(io.Discard)
	add(guard, e, func() {
		for _, i := range stack {
			e.Use(layers[i].make())
		}
	})
	e.GET("/handler", echows.Handler(guard, echoes, nil))
	e.GET("/coder", coderEchoes, echows.Endpoint(guard))
	e.GET("/gorilla", gorillaEchoes, echows.Endpoint(guard))
	opened, err := tries(t, e, path, events)
	if opened || err != nil {
		return err
	}
	if path == "/handler" && !slices.Contains(stack, 7) {
		return fmt.Errorf("no session")
	}
	bare := echo.New()
	bare.Logger.SetOutput(io.Discard)
	bare.StdLogger.SetOutput(io.Discard)
	for _, i := range stack {
		bare.Use(layers[i].make())
	}
	bare.GET("/handler", coderEchoes)
	bare.GET("/coder", coderEchoes)
	bare.GET("/gorilla", gorillaEchoes)
	if opened, _ := tries(t, bare, path, nil); opened {
		return fmt.Errorf("no session, but the bare server has one")
	}
	return nil
}

func coderEchoes(c echo.Context) error {
	ws, err := websocket.Accept(c.Response(), c.Request(), nil)
	if err != nil {
		return nil
	}
	defer func() { _ = ws.CloseNow() }()
	return echoes(c.Request().Context(), c, ws)
}

func gorillaEchoes(c echo.Context) error {
	var upgrader gorilla.Upgrader
	ws, err := upgrader.Upgrade(c.Response(), c.Request(), nil)
	if err != nil {
		return nil
	}
	defer func() { _ = ws.Close() }()
	for {
		kind, p, err := ws.ReadMessage()
		if err != nil {
			return nil
		}
		if err := ws.WriteMessage(kind, p); err != nil {
			return nil
		}
	}
}

// tries reports whether a session opens and echoes. If not, the failure must be an
// event that names a layer; events is nil on the bare server, which has none.
func tries(t *testing.T, e *echo.Echo, path string, events <-chan event.Event) (opened bool, err error) {
	srv := httptest.NewUnstartedServer(nil)
	srv.Config = e.Server
	srv.Config.Handler, srv.Config.ErrorLog = e, e.StdLogger
	if events != nil && e.Server.ConnState != nil { // attached, so Handler is already set
		srv.Config.Handler = e.Server.Handler
	}
	srv.Start()
	defer srv.Close()
	nc, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		return false, err
	}
	defer func() { _ = nc.Close() }()
	r := probetest.WebSocket(path).With(probetest.Field{Name: "Accept-Encoding", Value: "gzip"})
	if _, err := nc.Write(r.Bytes(probetest.Target{Addr: srv.Listener.Addr().String()})); err != nil {
		return false, err
	}
	answered := make(chan string, 1)
	br := bufio.NewReader(nc)
	go func() {
		status, _ := br.ReadString('\n')
		answered <- status
	}()
	patience := 20 * time.Second
	if events == nil {
		patience = 2 * time.Second
	}
	status := ""
	select {
	case status = <-answered:
	case e := <-events:
		return false, names(e)
	case <-time.After(patience):
		if events != nil {
			return false, fmt.Errorf("no answer and no log line within %v", patience)
		}
		return false, nil
	}
	if !strings.Contains(status, " 101 ") {
		if events == nil {
			return false, nil
		}
		select {
		case e := <-events:
			return false, names(e)
		case <-time.After(patience):
			return false, fmt.Errorf("answered %q, and no log line", status)
		}
	}
	_ = nc.SetDeadline(time.Now().Add(patience))
	if _, err := nc.Write(probetest.Frame{Opcode: probetest.OpText, Payload: []byte("hello")}.Bytes()); err != nil {
		return false, err
	}
	echoed := make(chan error, 1)
	go func() {
		for line := status; line != "\r\n"; {
			var err error
			if line, err = br.ReadString('\n'); err != nil {
				echoed <- err
				return
			}
		}
		echo := make([]byte, 7)
		_, err := io.ReadFull(br, echo)
		if err == nil && string(echo[2:]) != "hello" {
			err = fmt.Errorf("echoed %q", echo)
		}
		echoed <- err
	}()
	select {
	case err := <-echoed:
		return err == nil, err
	case e := <-events: // Timeout writes a 101 with no session after it
		return false, names(e)
	}
}

// names checks that e is about a layer.
func names(e event.Event) error {
	if e.Class != event.UpgradeFailed || !strings.Contains(e.Remedy, "github.com/labstack/echo/v4/middleware.gzipResponseWriter") &&
		!strings.Contains(e.Remedy, "net/http.timeoutWriter") {
		return fmt.Errorf("logged %v/%v: %s", e.Class, e.Reason, e.Remedy)
	}
	return nil
}

// This version of Proxy copies the answer to a handshake with io.Copy: its sessions
// count as sessions at once.
func TestSessionsThroughProxy(t *testing.T) {
	upstream := echo.New()
	upstream.GET("/ws", gorillaEchoes)
	behind := httptest.NewServer(upstream)
	defer behind.Close()
	target, err := url.Parse(behind.URL)
	if err != nil {
		t.Fatal(err)
	}
	for name, add := range map[string]func(*core.Guard, *echo.Echo){
		"Attach": echows.Attach,
		"Pre":    func(g *core.Guard, e *echo.Echo) { e.Pre(echows.Middleware(g)) },
	} {
		events := make(chan event.Event, 10)
		guard, err := core.New(core.Config{Logger: slog.New(slog.DiscardHandler), Observe: func(e event.Event) { events <- e }})
		if err != nil {
			t.Fatal(err)
		}
		e := echo.New()
		e.HideBanner, e.HidePort = true, true
		e.Logger.SetOutput(io.Discard)
		e.Use(middleware.Proxy(middleware.NewRandomBalancer([]*middleware.ProxyTarget{{URL: target}})))
		add(guard, e)
		addr := started(t, e, nil)
		ws, _, err := gorilla.DefaultDialer.Dial("ws://"+addr+"/ws", nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := ws.WriteMessage(gorilla.TextMessage, []byte("hello")); err != nil {
			t.Fatal(err)
		}
		if _, p, err := ws.ReadMessage(); err != nil || string(p) != "hello" {
			t.Errorf("%s: echoed %q, %v", name, p, err)
		}
		if s := guard.Snapshot(); len(s.Handshakes) != 1 || s.Handshakes[0] != (core.HandshakeCount{Result: "accepted", N: 1}) {
			t.Errorf("%s: counted %v", name, s.Handshakes)
		}
		// Proxy ends when both sides have closed, and does not report to the server behind
		// it that the client has gone.
		_ = ws.WriteMessage(gorilla.CloseMessage, gorilla.FormatCloseMessage(gorilla.CloseNormalClosure, ""))
		_, _, _ = ws.ReadMessage()
		_ = ws.Close()
		if got := <-events; got.Class != event.SessionEnded {
			t.Errorf("%s: logged %v/%v", name, got.Class, got.Reason)
		}
		_ = guard.Close()
	}
}

func echoes(ctx context.Context, _ echo.Context, ws *websocket.Conn) error {
	for {
		kind, p, err := ws.Read(ctx)
		if err != nil {
			return err
		}
		if err := ws.Write(ctx, kind, p); err != nil {
			return err
		}
	}
}
