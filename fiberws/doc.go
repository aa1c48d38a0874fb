// Package fiberws puts a [core.Guard] on Fiber v2. It only translates: package core
// decides what is a probe, what is refused and what is logged, and documents it. A
// whole server:
//
//	package main
//
//	import (
//		"context"
//		"log"
//		"os"
//		"os/signal"
//		"syscall"
//
//		"github.com/gofiber/contrib/websocket"
//		"github.com/gofiber/fiber/v2"
//
//		"github.com/quietws/quietws/core"
//		"github.com/quietws/quietws/fiberws"
//	)
//
//	func main() {
//		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
//		context.AfterFunc(ctx, stop) // a second signal ends the program at once
//		if err := run(ctx); err != nil {
//			log.Fatal(err)
//		}
//	}
//
//	func run(ctx context.Context) error {
//		guard, err := core.New(core.Config{})
//		if err != nil {
//			return err
//		}
//		defer guard.Close()
//
//		app := fiber.New()
//		app.Get("/ws", fiberws.Handler(guard, func(ctx context.Context, ws *websocket.Conn) error {
//			for {
//				kind, message, err := ws.ReadMessage()
//				if err != nil {
//					return err
//				}
//				if err := ws.WriteMessage(kind, message); err != nil {
//					return err
//				}
//			}
//		}))
//		return fiberws.Serve(ctx, guard, app, ":8080")
//	}
//
// GET /livez, /readyz, /startupz and /healthz are answered, unless the application has
// its own route there. Probes stay out of the server's log. A refused handshake is
// logged with its fix. At SIGTERM each session gets a close frame with 1001 before the
// listener closes.
//
// # Which one
//
// [Serve] takes the place of app.Listen. Use [Attach] to keep app.Listen. [Middleware]
// is a single line: it counts no connections, and drains when you call
// [core.Guard.Drain]. [Handler] serves WebSocket with contrib/websocket; [Endpoint]
// goes before websocket.New on your own route, with [Recover] in its Config and
// [SessionOf] in its function. [Quiet] keeps probes out of access logs, metrics and
// traces.
//
// Apps with Prefork are not served: see [ErrPrefork]. fasthttp has no HTTP/2.
package fiberws
