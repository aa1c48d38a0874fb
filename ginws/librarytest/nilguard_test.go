package librarytest

import (
	"context"
	"net"
	"net/http"
	"testing"

	"github.com/coder/websocket"
	"github.com/gin-gonic/gin"
	gorilla "github.com/gorilla/websocket"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/coretest"
	"github.com/quietws/quietws/ginws"
)

func TestNilGuard(t *testing.T) {
	var g *core.Guard
	engine := gin.New()
	engine.Use(ginws.Middleware(g))
	ginws.Attach(g, new(http.Server), engine)
	quiet := ginws.Quiet(g)
	engine.GET("/app", func(c *gin.Context) {
		if quiet(c) {
			t.Errorf("%v is a probe", c.Request)
		}
		c.String(200, "app")
	})
	engine.GET("/ws", ginws.Handler(g, func(ctx context.Context, _ *gin.Context, ws *websocket.Conn) error {
		kind, message, err := ws.Read(ctx)
		if err != nil {
			return err
		}
		return ws.Write(ctx, kind, message)
	}, nil))
	engine.GET("/own", ginws.Endpoint(g), func(c *gin.Context) {
		ws, err := new(gorilla.Upgrader).Upgrade(c.Writer, c.Request, nil)
		if err != nil {
			return
		}
		defer ws.Close()
		core.SessionOf(c).OnDrain(func() {})
		if kind, message, err := ws.ReadMessage(); err == nil {
			_ = ws.WriteMessage(kind, message)
		}
	})
	coretest.RunNilGuard(t, func(ctx context.Context, ln net.Listener) error { return ginws.ServeListener(ctx, g, engine, ln) })
}

func TestNilFunction(t *testing.T) {
	defer func() {
		if got := recover(); got != "ginws.Handler: nil function" {
			t.Errorf("panic %v", got)
		}
	}()
	ginws.Handler(nil, nil, nil)
}
