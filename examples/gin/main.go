// Command gin is a WebSocket server on Gin with quietws. Open
// http://localhost:8080 to see what to try.
package main

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/coder/websocket"
	"github.com/gin-gonic/gin"
	gorilla "github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/prom"
	"github.com/quietws/quietws/examples/internal/setup"
	"github.com/quietws/quietws/ginws"
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

	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	engine.Use(accessLog(guard), gin.Recovery())
	engine.GET("/ws", ginws.Handler(guard, echoes, nil))
	engine.GET("/gorilla", ginws.Endpoint(guard), echoesWithGorilla)
	engine.GET("/metrics", gin.WrapH(promhttp.Handler()))
	engine.GET("/", gin.WrapF(http.HandlerFunc(setup.Page)))

	if o.Cert != "" {
		return ginws.RunTLS(guard, engine, o.Addr, o.Cert, o.Key)
	}
	return ginws.Run(guard, engine, o.Addr)
}

// accessLog is Gin's own, in the format of all other lines and without the probes.
func accessLog(guard *core.Guard) gin.HandlerFunc {
	return gin.LoggerWithConfig(gin.LoggerConfig{
		Skip:   ginws.Quiet(guard),
		Output: io.Discard,
		Formatter: func(p gin.LogFormatterParams) string {
			slog.Info("request", "method", p.Method, "path", p.Path, "status", p.StatusCode,
				"remote", p.ClientIP, "duration", p.Latency)
			return ""
		},
	})
}

// echoes sends every message back. The guard handles the end of the session: Read
// returns an error when the client leaves, and at a drain the client gets a close
// frame.
func echoes(ctx context.Context, _ *gin.Context, ws *websocket.Conn) error {
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
func echoesWithGorilla(c *gin.Context) {
	ws, err := upgrader.Upgrade(c.Writer, c.Request, nil)
	if err != nil {
		return // the client has been answered
	}
	defer func() { _ = ws.Close() }()
	ws.SetReadLimit(32 << 10)

	core.SessionOf(c).OnDrain(func() {
		goodbye := gorilla.FormatCloseMessage(gorilla.CloseGoingAway, "")
		_ = ws.WriteControl(gorilla.CloseMessage, goodbye, time.Now().Add(time.Second))
	})
	for {
		kind, data, err := ws.ReadMessage()
		if err == nil {
			err = ws.WriteMessage(kind, data)
		}
		if err != nil {
			_ = c.Error(err) // its code becomes the session's
			return
		}
	}
}
