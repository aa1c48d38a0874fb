// Command echo5 is a WebSocket server on Echo v5 with quietws. Open
// http://localhost:8080 to see what to try.
package main

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"
	"github.com/labstack/echo/v5"
	"github.com/labstack/echo/v5/middleware"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/prom"
	echows "github.com/quietws/quietws/echows/echov5"
	"github.com/quietws/quietws/examples/internal/setup"
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
		ProbePaths: []string{"/gorilla"},
	})
	if err != nil {
		return err
	}
	prometheus.MustRegister(prom.NewCollector(guard))

	e := echo.New()
	e.Use(accessLog(guard), middleware.Recover())
	e.GET("/ws", echows.Handler(guard, echoes, nil))
	e.GET("/gorilla", echoesWithGorilla, echows.Endpoint(guard))
	e.GET("/metrics", echo.WrapHandler(promhttp.Handler()))
	e.GET("/", echo.WrapHandler(http.HandlerFunc(setup.Page)))

	if o.Cert != "" {
		return echows.RunTLS(guard, e, o.Addr, o.Cert, o.Key)
	}
	return echows.Run(guard, e, o.Addr)
}

// accessLog is Echo's own, without the probes. Quiet also works as its Skipper, which
// is called before the chain: there the first probe of a WebSocket route is not yet
// known as one.
func accessLog(guard *core.Guard) echo.MiddlewareFunc {
	quiet := echows.Quiet(guard)
	return middleware.RequestLoggerWithConfig(middleware.RequestLoggerConfig{
		LogMethod:   true,
		LogURIPath:  true,
		LogStatus:   true,
		LogRemoteIP: true,
		LogLatency:  true,
		HandleError: true,
		LogValuesFunc: func(c *echo.Context, v middleware.RequestLoggerValues) error {
			if quiet(c) {
				return nil
			}
			slog.Info("request", "method", v.Method, "path", v.URIPath, "status", v.Status,
				"remote", v.RemoteIP, "duration", v.Latency)
			return nil
		},
	})
}

// echoes sends every message back. The guard handles the end of the session: Read
// returns an error when the client leaves, and at a drain the client gets a close
// frame.
func echoes(ctx context.Context, _ *echo.Context, ws *websocket.Conn) error {
	for {
		kind, data, err := ws.Read(ctx)
		if err != nil {
			return err
		}
		if err := ws.Write(ctx, kind, data); err != nil {
			return err
		}
	}
}

var upgrader gorilla.Upgrader

// echoesWithGorilla does the same with a library of your own choice. The guard does not
// write its frames, so the goodbye at a drain is sent here.
func echoesWithGorilla(c *echo.Context) error {
	ws, err := upgrader.Upgrade(c.Response(), c.Request(), nil)
	if err != nil {
		return nil // the client has been answered
	}
	defer func() { _ = ws.Close() }()
	ws.SetReadLimit(32 << 10)

	core.SessionOf(c.Request().Context()).OnDrain(func() {
		goodbye := gorilla.FormatCloseMessage(gorilla.CloseGoingAway, "")
		_ = ws.WriteControl(gorilla.CloseMessage, goodbye, time.Now().Add(time.Second))
	})
	for {
		kind, data, err := ws.ReadMessage()
		if err != nil {
			return err // its code becomes the session's
		}
		if err := ws.WriteMessage(kind, data); err != nil {
			return err
		}
	}
}
