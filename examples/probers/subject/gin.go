package main

import (
	"context"
	"net"
	"net/http"

	"github.com/coder/websocket"
	framework "github.com/gin-gonic/gin"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/ginws"
)

func onGin(g *core.Guard) serves {
	framework.SetMode(framework.ReleaseMode)
	engine := framework.New()
	for path, h := range plain {
		engine.GET(path, framework.WrapH(h))
	}
	if g == nil {
		engine.GET("/ws", framework.WrapH(http.HandlerFunc(echoes)))
		return alone(engine)
	}
	engine.GET("/ws", ginws.Handler(g, func(ctx context.Context, _ *framework.Context, ws *websocket.Conn) error {
		return echo(ctx, ws)
	}, nil))
	engine.GET("/panic", func(*framework.Context) { panic(fault) })
	engine.GET("/ws/panic", ginws.Handler(g, func(ctx context.Context, _ *framework.Context, ws *websocket.Conn) error {
		await(ctx, ws)
		panic(fault)
	}, nil))
	engine.GET("/own/panic", ginws.Endpoint(g), framework.WrapH(http.HandlerFunc(panics)))
	return func(ctx context.Context, ln net.Listener) error { return ginws.ServeListener(ctx, g, engine, ln) }
}
