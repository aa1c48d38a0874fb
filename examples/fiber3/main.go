// Command fiber3 is a WebSocket server on Fiber v3 with quietws. Open
// http://localhost:8080 to see what to try.
package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"time"

	fastws "github.com/fasthttp/websocket"
	"github.com/gofiber/contrib/v3/websocket"
	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/middleware/adaptor"
	"github.com/gofiber/fiber/v3/middleware/logger"
	"github.com/gofiber/fiber/v3/middleware/recover"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/prom"
	"github.com/quietws/quietws/examples/internal/setup"
	fiberws "github.com/quietws/quietws/fiberws/fiberv3"
)

func main() {
	if err := run(setup.Parse()); err != nil {
		slog.Error("stopped", "error", err)
		os.Exit(1)
	}
}

func run(o setup.Options) error {
	guard, err := core.New(core.Config{
		Collapse: o.Collapse,
		Drain:    core.DrainConfig{Timeout: o.Drain},
		// On a route with Endpoint a prober gets the application's answer, a 4xx, unless
		// the route is listed here.
		ProbePaths: []string{"/contrib"},
	})
	if err != nil {
		return err
	}
	prometheus.MustRegister(prom.NewCollector(guard))

	app := fiber.New()
	app.Use(accessLog(guard), recover.New())
	app.Get("/ws", fiberws.Handler(guard, echoes))
	app.Get("/contrib", fiberws.Endpoint(guard), echoesWithContrib())
	app.Get("/metrics", adaptor.HTTPHandler(promhttp.Handler()))
	app.Get("/", adaptor.HTTPHandler(http.HandlerFunc(setup.Page)))

	if o.Cert != "" {
		return fiberws.RunTLS(guard, app, o.Addr, o.Cert, o.Key)
	}
	return fiberws.Run(guard, app, o.Addr)
}

// accessLog is Fiber's own, without the probes. Quiet also works as its Next, which is
// called before the chain: there the first probe of a WebSocket route is not yet known
// as one.
func accessLog(guard *core.Guard) fiber.Handler {
	quiet := fiberws.Quiet(guard)
	return logger.New(logger.Config{
		Stream: io.Discard, // Done has all of it, for slog
		Done: func(c fiber.Ctx, _ []byte) {
			if quiet(c) {
				return
			}
			slog.Info("request", "method", c.Method(), "path", c.Path(),
				"status", c.Response().StatusCode(), "remote", c.IP())
		},
	})
}

// echoes sends every message back. The guard handles the end of the session:
// ReadMessage returns an error when the client leaves, and at a drain the client gets a
// close frame.
func echoes(_ context.Context, ws *websocket.Conn) error {
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

// echoesWithContrib does the same with a handler of your own, which also sends the
// goodbye and the close code.
func echoesWithContrib() fiber.Handler {
	return websocket.New(func(ws *websocket.Conn) {
		session, inner := fiberws.SessionOf(ws), ws.Conn
		session.OnDrain(func() {
			goodbye := websocket.FormatCloseMessage(websocket.CloseGoingAway, "")
			_ = inner.WriteControl(websocket.CloseMessage, goodbye, time.Now().Add(time.Second))
		})
		defer session.Settle() // ws may be reused for another client after this
		var closed *fastws.CloseError
		if errors.As(echoes(context.Background(), ws), &closed) {
			session.Ended(closed.Code)
		}
	}, websocket.Config{RecoverHandler: fiberws.Recover})
}
