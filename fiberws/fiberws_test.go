package fiberws_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofiber/contrib/websocket"
	"github.com/gofiber/fiber/v2"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/probetest"
	"github.com/quietws/quietws/fiberws"
)

// served is an app that Serve serves until the test ends.
type served struct {
	*testing.T
	guard  *core.Guard
	target probetest.Target
	stop   func()

	mu     sync.Mutex
	events []event.Event
	log    bytes.Buffer // to be read when the guard is closed
}

func serve(t *testing.T, config core.Config, app *fiber.App, routes func(*core.Guard)) *served {
	t.Helper()
	return serveBy(t, fiberws.ServeListener, config, app, routes)
}

// byItself returns an app that serves without Attach.
func byItself(ctx context.Context, _ *core.Guard, app *fiber.App, listeners ...net.Listener) error {
	defer context.AfterFunc(ctx, func() { _ = app.Shutdown() })()
	return app.Listener(listeners[0])
}

func serveBy(t *testing.T, serve func(context.Context, *core.Guard, *fiber.App, ...net.Listener) error,
	config core.Config, app *fiber.App, routes func(*core.Guard),
) *served {
	t.Helper()
	s := &served{T: t}
	if config.Logger == nil {
		config.Logger = slog.New(slog.NewTextHandler(&s.log, nil))
	}
	config.Observe = func(e event.Event) {
		s.mu.Lock()
		s.events = append(s.events, e)
		s.mu.Unlock()
	}
	g, err := core.New(config)
	if err != nil {
		t.Fatal(err)
	}
	s.guard = g
	routes(g)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.target = probetest.Target{Addr: ln.Addr().String(), Path: "/ws"}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- serve(ctx, g, app, ln) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(s.stop)
	return s
}

func newApp(config fiber.Config) *fiber.App {
	config.DisableStartupMessage = true
	return fiber.New(config)
}

func (s *served) do(r probetest.Request) probetest.Result {
	s.Helper()
	res, err := probetest.Do(s.Context(), s.target, r)
	if err != nil {
		s.Fatal(err)
	}
	return res
}

// ended waits until n connections have ended.
func (s *served) ended(n uint64) core.Snapshot {
	s.Helper()
	deadline := time.Now().Add(8 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		snap := s.guard.Snapshot()
		if snap.Accepted >= n && snap.Open == 0 && snap.SessionsOpen == 0 {
			return snap
		}
		if time.Now().After(deadline) {
			s.Fatalf("accepted %d, open %d: want %d that have ended", snap.Accepted, snap.Open, n)
		}
		<-tick.C
	}
}

func field(name, value string) probetest.Field { return probetest.Field{Name: name, Value: value} }

// echo is the function of a Handler that sends everything back.
func echo(_ context.Context, ws *websocket.Conn) error {
	for {
		kind, b, err := ws.ReadMessage()
		if err != nil {
			return err
		}
		if err := ws.WriteMessage(kind, b); err != nil {
			return err
		}
	}
}

// Data that is not a request neither reaches the app's ErrorHandler nor comes back to
// the client; a passed limit of the app's does reach the ErrorHandler.
func TestErrorHandlerGetsWhatIsTheApps(t *testing.T) {
	var mu sync.Mutex
	var got []string
	app := newApp(fiber.Config{BodyLimit: 10, ReadTimeout: 100 * time.Millisecond, ErrorHandler: func(c *fiber.Ctx, err error) error {
		mu.Lock()
		got = append(got, err.Error())
		mu.Unlock()
		return c.Status(418).SendString("mine")
	}})
	s := serve(t, core.Config{}, app, func(*core.Guard) {
		app.Post("/body", func(c *fiber.Ctx) error { return nil })
	})
	for _, name := range []string{"tcp-connect-rst", "tcp-connect-fin", "tcp-connect-silent", "request-cut-rst", "request-cut-fin", "request-cut-silent", "junk-random", "proxy-v1-fin"} {
		scenario, ok := probetest.Find(name)
		if !ok {
			t.Fatalf("no scenario %q", name)
		}
		if _, err := scenario.Run(t.Context(), s.target); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	res, err := probetest.Exchange(t.Context(), s.target, []byte("s3cr3t\r\n\r\n"), probetest.HalfClose)
	if err != nil || res.Status != 400 || strings.Contains(res.Body, "s3cr3t") {
		t.Errorf("answered %d %q, %v", res.Status, res.Body, err)
	}
	s.ended(9)
	mu.Lock()
	if len(got) > 0 {
		t.Errorf("the ErrorHandler got %q", got)
	}
	mu.Unlock()
	for rule, r := range map[string]probetest.Request{
		"a body over BodyLimit":              {Method: "POST", Path: "/body", Body: "more than ten bytes"},
		"a head over ReadBufferSize":         probetest.Request{Path: "/body"}.With(field("X-Long", strings.Repeat("x", 8<<10))),
		"a request for a path without route": {Path: "/nowhere"},
	} {
		if res := s.do(r); res.Status != 418 || res.Body != "mine" {
			t.Errorf("%s: answered %d %q", rule, res.Status, res.Body)
		}
	}
	// A head that was read, and a body that does not arrive.
	res, err = probetest.Exchange(t.Context(), s.target, []byte("POST /body HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nab"), probetest.Silence)
	if err != nil || res.Status != 418 || res.Body != "mine" {
		t.Errorf("half a body: answered %d %q, %v", res.Status, res.Body, err)
	}
	if len(got) != 4 {
		t.Errorf("the ErrorHandler got %q", got)
	}
}

// If the request has "close", fasthttp reports hijacked and then closes. If the last
// line of Connection is just "close", it decides so before any handler runs.
func TestConnectionCloseIsASession(t *testing.T) {
	app := newApp(fiber.Config{})
	s := serve(t, core.Config{}, app, func(g *core.Guard) {
		app.Get("/ws", fiberws.Handler(g, echo))
		app.Get("/own", fiberws.Endpoint(g), websocket.New(func(ws *websocket.Conn) { _ = echo(context.Background(), ws) }))
	})
	n := uint64(0)
	for _, path := range []string{"/ws", "/own"} {
		for _, lines := range [][]string{{"close, Upgrade"}, {"Upgrade, close"}, {"close", "Upgrade"}, {"keep-alive", "Upgrade"}, {"Upgrade", "close"}, {"keep-alive, Upgrade", "close"}} {
			r := probetest.WebSocket(path).Without("Connection")
			for _, l := range lines {
				r = r.With(field("Connection", l))
			}
			n++
			res, err := probetest.Handshake(t.Context(), s.target, r)
			if err != nil || res.Status != 101 {
				t.Errorf("%s, Connection: %q: answered %d, %v", path, lines, res.Status, err)
			}
		}
	}
	if snap := s.ended(n); snap.Closed[event.SessionEnded] != n {
		t.Errorf("classes: %v, want %d sessions", snap.Closed, n)
	}
}

// Fiber refuses a method that it does not know, except on a health route.
func TestUnknownMethod(t *testing.T) {
	app := newApp(fiber.Config{})
	s := serve(t, core.Config{}, app, func(*core.Guard) {})
	for path, want := range map[string]int{"/": 400, "/livez": 405, "/readyz": 405} {
		if res := s.do(probetest.Request{Method: "PURGE", Path: path}); res.Status != want {
			t.Errorf("PURGE %s: answered %d, want %d", path, res.Status, want)
		}
	}
	if snap := s.ended(3); snap.Closed[event.HTTP] != 1 || snap.Closed[event.HTTPProbe] != 2 {
		t.Errorf("classes: %v, want one http and two probes", snap.Closed)
	}
}

// Origins are used as given. Without them pages of the same host are allowed. Clients
// that are not browsers are always allowed.
func TestOrigins(t *testing.T) {
	app := newApp(fiber.Config{})
	s := serve(t, core.Config{}, app, func(g *core.Guard) {
		for path, origins := range map[string][]string{"/same": nil, "/all": {"*"}, "/listed": {"https://one.example", "http://[::1]:8080"}, "/null": {"null"}} {
			app.Get(path, fiberws.Handler(g, echo, websocket.Config{Origins: origins}))
		}
	})
	self := "http://" + s.target.Addr
	for _, row := range []struct {
		path, origin string
		status       int
	}{
		{"/same", "https://evil.example", 403},
		{"/listed", "https://evil.example", 403},
		{"/listed", "http://one.example", 403},
		{"/listed", self, 403},
		{"/null", "null", 101}, // a sandboxed page, or one from a file
		{"/listed", "null", 403},
		{"/same", "null", 403},
		{"/same", "", 101},
		{"/same", self, 101},
		{"/all", "https://evil.example", 101},
		{"/listed", "", 101},
		{"/listed", "https://one.example", 101},
		{"/listed", "http://[::1]:8080", 101},
	} {
		r := probetest.WebSocket(row.path)
		if row.origin != "" {
			r = r.With(field("Origin", row.origin))
		}
		if res := s.do(r); res.Status != row.status {
			t.Errorf("%s from %q: answered %d, want %d", row.path, row.origin, res.Status, row.status)
		}
	}
}

// What is kept of a request does not change when fasthttp reuses its buffers: events,
// the errors in them, and lines that are logged later.
func TestStringsStay(t *testing.T) {
	app := newApp(fiber.Config{})
	var log strings.Builder // written by one goroutine, read when it has ended
	s := serve(t, core.Config{Logger: slog.New(slog.NewTextHandler(&log, nil)), Collapse: time.Hour}, app, func(g *core.Guard) {
		app.Get("/ws/:room", fiberws.Handler(g, func(_ context.Context, ws *websocket.Conn) error {
			if room := ws.Params("room"); room != "first-of-all" {
				t.Errorf("the room is %q", room)
			}
			return echo(context.Background(), ws)
		}))
	})
	from := field("X-Forwarded-For", "203.0.113.77")
	s.do(probetest.WebSocket("/first/of/all").With(from))
	s.do(probetest.Foreign("/ws/first-of-all").With(from))
	ws, _, err := probetest.Open(t.Context(), probetest.Target{Addr: s.target.Addr, Path: "/ws/first-of-all"}, from)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		s.do(probetest.Request{Path: "/ZZZZZZZZZZZZZZZZ", Header: []probetest.Field{field("X-Forwarded-For", "ZZZZZZZZZZZZ"), field("Origin", "ZZZZZZZZZZZZZZZZZZZZZZZZZZZZ")}})
		s.do(probetest.Request{Path: "/ws/ZZZZZZZZZZZZ", Header: []probetest.Field{field("User-Agent", "kube-probe/ZZZZZZZZZ")}})
	}
	if _, err := ws.Close(t.Context(), 1000); err != nil {
		t.Error(err)
	}
	s.ended(43)
	s.stop()
	paths := map[event.Class]string{}
	for _, e := range s.events {
		if e.Class == event.HTTPProbe {
			continue
		}
		paths[e.Class] += e.Path + " "
		if e.Method != "GET" || e.Forwarded != "203.0.113.77" {
			t.Errorf("event %+v", e)
		}
		var refused *event.HandshakeError
		if e.Reason == event.ReasonOriginForbidden && (!errors.As(e.Err, &refused) || refused.Field != "Origin" || refused.Status != 403) {
			t.Errorf("the error is %v", e.Err)
		}
	}
	if paths[event.HandshakeRefused] != "/first/of/all /ws/first-of-all " || paths[event.SessionEnded] != "/ws/first-of-all " || len(paths) != 2 {
		t.Errorf("paths: %v", paths)
	}
	if text := log.String(); strings.Count(text, "first") < 2 || strings.Contains(text, "path=/ZZZ") {
		t.Errorf("the log: %s", text)
	}
}

// Sessions come and go while the drain sends its goodbyes: contrib and fasthttp reuse
// their connections, and no frame of one session may reach another's client. Each
// session keeps sending its own name, and gets one close frame at its end, with 1001
// only if its own moment has come.
func TestGoodbyeReachesItsOwnSession(t *testing.T) {
	var mu sync.Mutex
	moments, dismissed := make(map[string]bool), make(map[string]bool)
	note := func(m map[string]bool, name string) {
		mu.Lock()
		defer mu.Unlock()
		m[name] = true
	}
	app := newApp(fiber.Config{})
	s := serve(t, core.Config{Drain: core.DrainConfig{Timeout: 8 * time.Second, Spread: 300 * time.Millisecond}}, app, func(g *core.Guard) {
		app.Get("/ws/:name", fiberws.Handler(g, func(ctx context.Context, ws *websocket.Conn) error {
			name := ws.Params("name")
			core.SessionOf(ctx).OnDrain(func() { note(moments, name) })
			for range 3 { // few messages, so that sessions end while others begin
				kind, b, err := ws.ReadMessage()
				if err != nil {
					return err
				}
				if err := ws.WriteMessage(kind, b); err != nil {
					return err
				}
			}
			return nil
		}))
	})
	talk := func(name string) (more bool) {
		target := s.target
		target.Path = "/ws/" + name
		ws, res, err := probetest.Open(t.Context(), target)
		if err != nil {
			if res.Status == 101 {
				t.Errorf("the session has no beginning: %v", err)
			}
			return false // refused by the drain
		}
		defer func() { _, _ = ws.Vanish(probetest.FIN) }()
		for {
			_ = ws.SendText(t.Context(), name)
			f, err := ws.Read(t.Context())
			if err != nil {
				t.Errorf("ended without a close frame: %v", err)
				return true
			}
			if f.Opcode == probetest.OpClose {
				if code := f.Code(); code == 1001 {
					note(dismissed, name)
				} else if code != 1000 {
					t.Errorf("close code %d", code)
				}
				_ = ws.Send(t.Context(), probetest.CloseFrame(1000, ""))
				if f, err := ws.Read(t.Context()); err == nil {
					t.Errorf("another frame after the close frame: %+v", f)
				}
				return true
			}
			if string(f.Payload) != name {
				t.Errorf("%q got %q", name, f.Payload)
			}
		}
	}
	var clients sync.WaitGroup
	for i := range 8 {
		clients.Go(func() {
			for n, more := 0, true; more; n++ {
				more = talk(fmt.Sprintf("%d-%d", i, n))
			}
		})
	}
	until(t, "there were many", func() bool { return s.guard.Snapshot().Accepted >= 200 })
	s.stop()
	clients.Wait()
	for name := range dismissed {
		if !moments[name] {
			t.Errorf("the client of %s got somebody else's goodbye", name)
		}
	}
}
