package main

import (
	"context"
	"net"
	"net/http"

	"github.com/coder/websocket"
	framework "github.com/labstack/echo/v5"

	"github.com/quietws/quietws/core"
	echows "github.com/quietws/quietws/echows/echov5"
)

func onEcho5(g *core.Guard) serves {
	e := framework.New()
	for path, h := range plain {
		e.GET(path, framework.WrapHandler(h))
	}
	if g == nil {
		e.GET("/ws", framework.WrapHandler(http.HandlerFunc(echoes)))
		return alone(e)
	}
	e.GET("/ws", echows.Handler(g, func(ctx context.Context, _ *framework.Context, ws *websocket.Conn) error {
		return echo(ctx, ws)
	}, nil))
	e.GET("/panic", func(*framework.Context) error { panic(fault) })
	e.GET("/ws/panic", echows.Handler(g, func(ctx context.Context, _ *framework.Context, ws *websocket.Conn) error {
		await(ctx, ws)
		panic(fault)
	}, nil))
	e.GET("/own/panic", framework.WrapHandler(http.HandlerFunc(panics)), echows.Endpoint(g))
	return func(ctx context.Context, ln net.Listener) error { return echows.ServeListener(ctx, g, e, ln) }
}
