// Package echows puts a [core.Guard] on Echo v4. It only translates: package core
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
//		"github.com/coder/websocket"
//		"github.com/labstack/echo/v4"
//
//		"github.com/quietws/quietws/core"
//		"github.com/quietws/quietws/echows"
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
//		e := echo.New()
//		e.GET("/ws", echows.Handler(guard, func(ctx context.Context, c echo.Context, ws *websocket.Conn) error {
//			for {
//				kind, message, err := ws.Read(ctx)
//				if err != nil {
//					return err
//				}
//				if err := ws.Write(ctx, kind, message); err != nil {
//					return err
//				}
//			}
//		}, nil))
//		return echows.Serve(ctx, guard, e, ":8080")
//	}
//
// GET /livez, /readyz, /startupz and /healthz are answered, unless the application has
// its own route there. Probes stay out of the server's log. A refused handshake is
// logged with its fix. At SIGTERM each session gets a close frame with 1001 before the
// listener closes.
//
// # Which one
//
// [Serve] takes the place of e.Start. Use [Attach] to keep e.Start. [Middleware] is a
// single line: it counts no connections, and drains when you call [core.Guard.Drain].
// [Handler] serves WebSocket with coder/websocket; [Endpoint] goes on a route that
// your own library serves. [Quiet] keeps probes out of access logs, metrics and
// traces.
package echows
