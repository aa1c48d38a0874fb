package fiberws_test

import (
	"context"
	"net"
	"testing"

	"github.com/gofiber/contrib/v3/websocket"
	"github.com/gofiber/fiber/v3"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/coretest"
	fiberws "github.com/quietws/quietws/fiberws/fiberv3"
)

func TestNilGuard(t *testing.T) {
	var g *core.Guard
	app := fiber.New()
	app.Use(fiberws.Middleware(g))
	fiberws.Attach(g, app)
	quiet := fiberws.Quiet(g)
	app.Get("/app", func(c fiber.Ctx) error {
		if quiet(c) {
			t.Errorf("%v is a probe", c)
		}
		return c.SendString("app")
	})
	once := func(ws *websocket.Conn) error {
		kind, message, err := ws.ReadMessage()
		if err != nil {
			return err
		}
		return ws.WriteMessage(kind, message)
	}
	app.Get("/ws", fiberws.Handler(g, func(_ context.Context, ws *websocket.Conn) error { return once(ws) }))
	app.Get("/own", fiberws.Endpoint(g), websocket.New(func(ws *websocket.Conn) {
		fiberws.SessionOf(ws).OnDrain(func() {})
		_ = once(ws)
	}, websocket.Config{RecoverHandler: fiberws.Recover}))
	coretest.RunNilGuard(t, func(ctx context.Context, ln net.Listener) error { return fiberws.ServeListener(ctx, g, app, ln) })
}

func TestNilFunction(t *testing.T) {
	defer func() {
		if got := recover(); got != "fiberws.Handler: nil function" {
			t.Errorf("panic %v", got)
		}
	}()
	fiberws.Handler(nil, nil)
}
