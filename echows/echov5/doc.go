// Package echows puts a [core.Guard] on Echo v5. It translates and holds no rule:
// what is a probe, what is refused and what is told the core decides, and its
// documentation says. A whole server:
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
//		"github.com/labstack/echo/v5"
//
//		"github.com/quietws/quietws/core"
//		"github.com/quietws/quietws/echows/echov5"
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
//		e.GET("/ws", echows.Handler(guard, func(ctx context.Context, c *echo.Context, ws *websocket.Conn) error {
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
// GET /livez, /readyz, /startupz and /healthz are answered, each only where the
// application has no route of its own there; probes stay out of the server's log; a
// refused handshake is told with what mends it; and at SIGTERM each session gets a
// close frame, 1001, before the listener goes.
//
// # Which one
//
// [Serve] takes the place of e.Start. [Attach] is for who keeps an echo.StartConfig, and
// [Middleware] one line for who wants nothing else: it counts no connections and
// drains when you call [core.Guard.Drain]. [Handler] serves WebSocket with
// coder/websocket; [Endpoint] goes on a route of your own library. [Quiet] keeps
// probes out of access logs, metrics and traces.
package echows
