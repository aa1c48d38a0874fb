package fiberws_test

import (
	"context"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/gofiber/contrib/v3/websocket"
	"github.com/gofiber/fiber/v3"
	"github.com/valyala/fasthttp"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/probetest"
	fiberws "github.com/quietws/quietws/fiberws/fiberv3"
)

// contrib makes fasthttp leave the connection of a session open when its function
// returns, and the function in its README does not close it. With the guard it is
// closed, whether or not the route has Endpoint and Recover.
func TestNoConnectionIsKept(t *testing.T) {
	events := make(chan event.Event, 64)
	guard, err := core.New(core.Config{Logger: slog.New(slog.DiscardHandler), Observe: func(e event.Event) {
		if e.Class == event.SessionEnded || e.Class == event.HandlerPanic {
			events <- e
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer guard.Close()
	echo := func(c *websocket.Conn) {
		for {
			kind, message, err := c.ReadMessage()
			if err != nil {
				return
			}
			if err := c.WriteMessage(kind, message); err != nil {
				return
			}
		}
	}
	app := fiber.New()
	app.Get("/readme", websocket.New(echo))
	app.Get("/own", fiberws.Endpoint(guard), websocket.New(echo, websocket.Config{RecoverHandler: fiberws.Recover}))
	app.Get("/panic", fiberws.Endpoint(guard), websocket.New(func(c *websocket.Conn) {
		defer c.Close()
		panic("on purpose")
	}, websocket.Config{RecoverHandler: fiberws.Recover}))
	fiberws.Attach(guard, app)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() {
		served <- app.Listener(guard.Listener(ln), fiber.ListenConfig{DisableStartupMessage: true})
	}()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	next := func() event.Event {
		t.Helper()
		select {
		case e := <-events:
			return e
		case <-ctx.Done():
			t.Fatal("no event of the session's end: its connection is kept")
			return event.Event{}
		}
	}
	open := func(path string) *probetest.Session {
		s, _, err := probetest.Open(ctx, probetest.Target{Addr: ln.Addr().String(), Path: path})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for i := range 50 {
		s := open([]string{"/readme", "/own"}[i%2])
		if i%4 < 2 {
			if _, err := s.Close(ctx, 1000); err != nil {
				t.Error(err)
			}
		} else if _, err := s.Vanish(probetest.FIN); err != nil {
			t.Error(err)
		}
		if e := next(); e.Class != event.SessionEnded {
			t.Errorf("the end of a session is %v", e.Class)
		}
	}
	s := open("/panic")
	defer s.Conn().Close()
	if e := next(); e.Class != event.HandlerPanic {
		t.Errorf("a panic after the function has closed its connection is %v", e.Class)
	}
	if err := app.ShutdownWithContext(ctx); err != nil {
		t.Error(err)
	}
	<-served
	if got := guard.Snapshot(); got.Open != 0 || got.SessionsOpen != 0 || got.Closed[event.HandlerPanic] != 1 {
		t.Errorf("%d connections and %d sessions are open, classes %v", got.Open, got.SessionsOpen, got.Closed)
	}
}

// A short session's function may return before fasthttp reports that it has handed the
// connection over. The report then closes the connection.
func TestNoConnectionIsKeptWhoseHandlerWasFaster(t *testing.T) {
	ended := make(chan event.Event, 1)
	guard, err := core.New(core.Config{Logger: slog.New(slog.DiscardHandler), Observe: func(e event.Event) { ended <- e }})
	if err != nil {
		t.Fatal(err)
	}
	defer guard.Close()
	app := fiber.New()
	app.Get("/readme", websocket.New(func(*websocket.Conn) {}))
	returned := make(after)
	app.Server().ConnState = func(_ net.Conn, state fasthttp.ConnState) {
		if state == fasthttp.StateHijacked {
			<-returned // runs before the guard's own hook
		}
	}
	fiberws.Attach(guard, app)
	attached := app.Server().Handler
	app.Server().Handler = func(ctx *fasthttp.RequestCtx) {
		attached(ctx)
		ctx.SetUserValue("after", returned) // closed after the guard's value
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() {
		served <- app.Listener(guard.Listener(ln), fiber.ListenConfig{DisableStartupMessage: true})
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	s, _, err := probetest.Open(ctx, probetest.Target{Addr: ln.Addr().String(), Path: "/readme"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Conn().Close()
	select {
	case e := <-ended:
		if e.Class != event.SessionEnded {
			t.Errorf("the end of the session is %v", e.Class)
		}
	case <-ctx.Done():
		t.Error("the connection is kept")
	}
	if err := app.Shutdown(); err != nil {
		t.Error(err)
	}
	<-served
}

// after is a user value that says when fasthttp closes user values.
type after chan struct{}

func (a after) Close() error { close(a); return nil }
