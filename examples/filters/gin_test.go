package filters

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/gin-gonic/gin"
	"go.opentelemetry.io/contrib/instrumentation/github.com/gin-gonic/gin/otelgin"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/ginws"
)

// TestGin tests both ways of tracing Gin: otelgin inside the engine, with Quiet as its
// filter, and otelhttp around it, on a server with Attach.
func TestGin(t *testing.T) {
	gin.SetMode(gin.TestMode)
	for _, row := range []struct {
		name   string
		inside bool
	}{{"otelgin", true}, {"otelhttp", false}} {
		t.Run(row.name, func(t *testing.T) {
			guard, err := core.New(core.Config{Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = guard.Close() }()
			spans := tracetest.NewSpanRecorder()
			provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
			defer func() { _ = provider.Shutdown(context.Background()) }()

			engine := gin.New()
			quiet := ginws.Quiet(guard)
			if row.inside {
				engine.Use(otelgin.Middleware("app", otelgin.WithTracerProvider(provider),
					otelgin.WithGinFilter(func(c *gin.Context) bool { return !quiet(c) })))
			}
			engine.GET("/app", func(c *gin.Context) { c.String(http.StatusOK, "app") })
			engine.GET("/readyz", func(c *gin.Context) { c.String(http.StatusOK, "mine") })
			engine.GET("/ws", ginws.Handler(guard, func(ctx context.Context, _ *gin.Context, ws *websocket.Conn) error {
				kind, message, err := ws.Read(ctx)
				if err != nil {
					return err
				}
				return ws.Write(ctx, kind, message)
			}, nil))
			srv := &http.Server{Handler: engine}
			if !row.inside {
				srv.Handler = otelhttp.NewHandler(engine, "app", otelhttp.WithTracerProvider(provider))
			}
			ginws.Attach(guard, srv, engine)
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			served := make(chan error, 1)
			go func() { served <- srv.Serve(guard.Listener(ln)) }()

			addr := ln.Addr().String()
			ws, _, err := websocket.Dial(t.Context(), "ws://"+addr+"/ws", nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := ws.Write(t.Context(), websocket.MessageText, []byte("hello")); err != nil {
				t.Fatal(err)
			}
			if _, message, err := ws.Read(t.Context()); err != nil || string(message) != "hello" {
				t.Errorf("echoed %q, %v", message, err)
			}
			_ = ws.Close(websocket.StatusNormalClosure, "")
			// From now on the guard knows that WebSocket is served there.
			for _, ask := range []struct{ path, agent, body string }{
				{"/livez", "kube-probe/1.34", "ok\n"}, // quietws
				{"/ws", "kube-probe/1.34", "ok\n"},    // quietws
				{"/readyz", "curl/8.0", "mine"},
				{"/app", "kube-probe/1.34", "app"},
			} {
				r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+ask.path, nil)
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("User-Agent", ask.agent)
				res, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				body, _ := io.ReadAll(res.Body)
				_ = res.Body.Close()
				if string(body) != ask.body {
					t.Errorf("GET %s: %q, want %q", ask.path, body, ask.body)
				}
			}
			if err := srv.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			<-served
			// The application's own two requests, and the session, whose handler may return
			// after its client has.
			for end := time.Now().Add(10 * time.Second); len(spans.Ended()) < 3 && time.Now().Before(end); {
				<-time.After(time.Millisecond)
			}
			if n := len(spans.Ended()); n != 3 || len(spans.Started()) != 3 {
				t.Errorf("%d spans of %d, want 3", n, len(spans.Started()))
			}
		})
	}
}
