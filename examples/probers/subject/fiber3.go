package main

import (
	"context"
	"net"

	"github.com/gofiber/contrib/v3/websocket"
	framework "github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/middleware/adaptor"

	"github.com/quietws/quietws/core"
	fiberws "github.com/quietws/quietws/fiberws/fiberv3"
)

func onFiber3(g *core.Guard) serves {
	app := framework.New()
	for path, h := range plain {
		app.Get(path, adaptor.HTTPHandler(h))
	}
	if g == nil {
		app.Get("/ws", websocket.New(func(ws *websocket.Conn) { _ = echoContrib3(ws) }))
		return func(_ context.Context, ln net.Listener) error {
			return app.Listener(ln, framework.ListenConfig{DisableStartupMessage: true})
		}
	}
	app.Get("/ws", fiberws.Handler(g, func(_ context.Context, ws *websocket.Conn) error { return echoContrib3(ws) }))
	app.Get("/panic", func(framework.Ctx) error { panic(fault) })
	app.Get("/ws/panic", fiberws.Handler(g, func(_ context.Context, ws *websocket.Conn) error {
		_, _, _ = ws.ReadMessage()
		panic(fault)
	}))
	app.Get("/own/panic", fiberws.Endpoint(g), websocket.New(func(ws *websocket.Conn) {
		_, _, _ = ws.ReadMessage()
		panic(fault)
	}, websocket.Config{RecoverHandler: fiberws.Recover}))
	return func(ctx context.Context, ln net.Listener) error { return fiberws.ServeListener(ctx, g, app, ln) }
}

func echoContrib3(ws *websocket.Conn) error {
	for {
		kind, data, err := ws.ReadMessage()
		if err != nil {
			return err
		}
		if err := ws.WriteMessage(kind, data); err != nil {
			return err
		}
	}
}
