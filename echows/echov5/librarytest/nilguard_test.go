package librarytest

import (
	"context"
	"log/slog"
	"net"
	"testing"

	"github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"
	"github.com/labstack/echo/v5"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/coretest"
	echows "github.com/quietws/quietws/echows/echov5"
)

func TestNilGuard(t *testing.T) {
	var g *core.Guard
	e := echo.New()
	e.Logger = slog.New(slog.DiscardHandler)
	e.Pre(echows.Middleware(g))
	echows.Attach(g, e, new(echo.StartConfig))
	quiet := echows.Quiet(g)
	e.GET("/app", func(c *echo.Context) error {
		if quiet(c) {
			t.Errorf("%v is a probe", c.Request())
		}
		return c.String(200, "app")
	})
	e.GET("/ws", echows.Handler(g, func(ctx context.Context, _ *echo.Context, ws *websocket.Conn) error {
		kind, message, err := ws.Read(ctx)
		if err != nil {
			return err
		}
		return ws.Write(ctx, kind, message)
	}, nil))
	e.GET("/own", func(c *echo.Context) error {
		ws, err := new(gorilla.Upgrader).Upgrade(c.Response(), c.Request(), nil)
		if err != nil {
			return nil
		}
		defer ws.Close()
		core.SessionOf(c.Request().Context()).OnDrain(func() {})
		kind, message, err := ws.ReadMessage()
		if err != nil {
			return nil
		}
		return ws.WriteMessage(kind, message)
	}, echows.Endpoint(g))
	coretest.RunNilGuard(t, func(ctx context.Context, ln net.Listener) error { return echows.ServeListener(ctx, g, e, ln) })
}

func TestNilFunction(t *testing.T) {
	defer func() {
		if got := recover(); got != "echows.Handler: nil function" {
			t.Errorf("panic %v", got)
		}
	}()
	echows.Handler(nil, nil, nil)
}
