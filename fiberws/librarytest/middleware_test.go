package librarytest

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/contrib/websocket"
	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/cache"
	"github.com/gofiber/fiber/v2/middleware/compress"
	"github.com/gofiber/fiber/v2/middleware/csrf"
	"github.com/gofiber/fiber/v2/middleware/etag"
	"github.com/gofiber/fiber/v2/middleware/helmet"
	"github.com/gofiber/fiber/v2/middleware/limiter"
	"github.com/gofiber/fiber/v2/middleware/timeout"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/probetest"
	"github.com/quietws/quietws/fiberws"
)

// layers are middleware that applications use. timeout wraps a handler, the others are
// added with Use.
var layers = map[string]func() fiber.Handler{
	"compress": func() fiber.Handler { return compress.New() },
	"etag":     func() fiber.Handler { return etag.New() },
	"cache":    func() fiber.Handler { return cache.New() },
	"limiter":  func() fiber.Handler { return limiter.New(limiter.Config{Max: 100}) },
	"csrf":     func() fiber.Handler { return csrf.New() },
	"helmet":   func() fiber.Handler { return helmet.New() },
	"cache with Next": func() fiber.Handler {
		return cache.New(cache.Config{Next: fiberws.IsUpgrade})
	},
}

// outcome is what happened to one client after the other.
type outcome struct {
	sessions []bool // opened, and echoed
	log      string
}

// try serves an application with these layers: "bare" without quietws, "Handler",
// or "Endpoint" with contrib behind it.
func try(t *testing.T, order []string, kind string) outcome {
	t.Helper()
	var log bytes.Buffer // read when the guard is closed
	g, err := core.New(core.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	around := func(h fiber.Handler) fiber.Handler { return h }
	for _, name := range order {
		if name == "timeout" {
			around = func(h fiber.Handler) fiber.Handler { return timeout.NewWithContext(h, time.Minute) }
		} else {
			app.Use(layers[name]())
		}
	}
	echo := func(ws *websocket.Conn) error {
		for {
			kind, b, err := ws.ReadMessage()
			if err == nil {
				err = ws.WriteMessage(kind, b)
			}
			if err != nil {
				return err
			}
		}
	}
	contrib := websocket.New(func(ws *websocket.Conn) { _ = echo(ws) })
	switch kind {
	case "Handler":
		app.Get("/ws", around(fiberws.Handler(g, func(ctx context.Context, ws *websocket.Conn) error {
			if err := ctx.Err(); err != nil {
				t.Errorf("behind %q the session begins with a context that has ended: %v", order, err)
			}
			return echo(ws)
		})))
	case "Endpoint":
		app.Get("/ws", fiberws.Endpoint(g), around(contrib))
	default:
		app.Get("/ws", around(contrib))
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		if kind == "bare" {
			served <- app.Listener(ln)
			return
		}
		served <- fiberws.ServeListener(ctx, g, app, ln)
	}()
	var o outcome
	for range 3 {
		o.sessions = append(o.sessions, opens(t, ln.Addr().String()))
	}
	if kind == "bare" {
		_ = app.Shutdown()
	}
	cancel()
	if err := errors.Join(<-served, g.Close()); err != nil {
		t.Error(err)
	}
	o.log = log.String()
	return o
}

// opens reports whether a session opens and echoes.
func opens(t *testing.T, addr string) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	s, _, err := probetest.Open(ctx, probetest.Target{Addr: addr, Path: "/ws"}, probetest.Field{Name: "Accept-Encoding", Value: "gzip, br"})
	if err != nil {
		return false
	}
	if err := s.SendText(ctx, "to and fro"); err != nil {
		return false
	}
	f, err := s.Read(ctx)
	echoed := err == nil && string(f.Payload) == "to and fro"
	res, err := s.Close(ctx, 1000)
	return echoed && err == nil && res.CloseCode == 1000
}

// A session opens and echoes if it does without quietws. If it does not, a log line
// names the layer.
func TestMiddlewareOfFiber(t *testing.T) {
	all := []string{"compress", "etag", "cache", "limiter", "csrf", "helmet", "timeout"}
	for _, order := range [][]string{
		nil, {"compress"}, {"etag"}, {"cache"}, {"limiter"}, {"csrf"}, {"helmet"}, {"timeout"},
		all, {"helmet", "csrf", "limiter", "cache", "etag", "compress", "timeout"}, {"limiter", "cache", "helmet", "compress", "timeout", "csrf", "etag"},
		{"cache with Next", "compress", "etag", "limiter", "csrf", "helmet", "timeout"},
	} {
		bare := try(t, order, "bare")
		for _, kind := range []string{"Handler", "Endpoint"} {
			got := try(t, order, kind)
			if !slices.Equal(got.sessions, bare.sessions) {
				t.Errorf("%s behind %q: sessions %v, without quietws %v\n%s", kind, order, got.sessions, bare.sessions, got.log)
			}
			fails := slices.Contains(got.sessions, false)
			if names := strings.Contains(got.log, "Fiber's cache middleware"); names != fails || fails != slices.Contains(order, "cache") {
				t.Errorf("%s behind %q: sessions %v, and the log is\n%s", kind, order, got.sessions, got.log)
			}
		}
	}
}
