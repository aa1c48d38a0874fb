package fiberws_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	fastws "github.com/fasthttp/websocket"
	"github.com/gofiber/contrib/websocket"
	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/logger"
	"github.com/valyala/fasthttp"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/coretest"
	"github.com/quietws/quietws/fiberws"
)

// TestConformance runs the suite on Fiber: contrib/websocket through Handler,
// and by itself behind Endpoint.
func TestConformance(t *testing.T) {
	coretest.Run(t, coretest.Adapter{
		Start: start, Framework: coretest.Fiber(),
		Hooks: []string{"ConnState", "OnListen", "OnShutdown"},
	})
}

func start(t testing.TB, s coretest.Setup) func(context.Context) error {
	app := application(s)
	app.Server().ConnState = func(net.Conn, fasthttp.ConnState) { s.Hook("ConnState") }
	app.Hooks().OnListen(func(fiber.ListenData) error { s.Hook("OnListen"); return nil })
	app.Hooks().OnShutdown(func() error { s.Hook("OnShutdown"); return nil })
	ln, served := s.Listener, make(chan error, 1)
	switch s.Layer {
	case coretest.Serve:
		if s.TLS != nil {
			ln = s.Guard.TLSListener(ln, s.TLS)
		}
		ctx, cancel := context.WithCancel(context.Background())
		go func() { served <- fiberws.ServeListener(ctx, s.Guard, app, ln) }()
		return func(context.Context) error { cancel(); return <-served }
	case coretest.AttachListener:
		ln = s.Guard.Listener(ln)
		fallthrough
	case coretest.Attach:
		fiberws.Attach(s.Guard, app)
	}
	if s.TLS != nil {
		ln = tls.NewListener(ln, s.TLS)
	}
	go func() { served <- app.Listener(ln) }()
	return func(ctx context.Context) error {
		err := app.ShutdownWithContext(ctx)
		<-served
		return err
	}
}

// serverLog is the server's own error log.
type serverLog struct{ io.Writer }

func (l serverLog) Printf(format string, args ...any) { _, _ = fmt.Fprintf(l, format+"\n", args...) }

func application(s coretest.Setup) *fiber.App {
	config := fiber.Config{DisableStartupMessage: true, ReadTimeout: s.HeadTimeout, StreamRequestBody: s.App.StreamBody}
	if s.App.ErrorHandler {
		config.ErrorHandler = func(c *fiber.Ctx, _ error) error { return c.Status(500).SendString("custom") }
	}
	app := fiber.New(config)
	app.Server().Logger = serverLog{s.ServerLog}
	var skip func(*fiber.Ctx) bool
	endpoint := func(c *fiber.Ctx) error { return c.Next() }
	if s.Guard != nil {
		skip, endpoint = fiberws.Quiet(s.Guard), fiberws.Endpoint(s.Guard)
	}
	if s.Layer == coretest.Middleware {
		app.Use(fiberws.Middleware(s.Guard))
	}
	if s.Guard != nil {
		app.Use(func(c *fiber.Ctx) error {
			before, path := skip(c), c.Path()
			defer func() { s.Asked(path, before, skip(c)) }()
			return c.Next()
		})
	}
	app.Use(logger.New(logger.Config{Format: "${status} ${method} ${path}\n", Output: s.AccessLog, Next: skip, DisableColors: true}))
	if s.Layer == coretest.Inner {
		app.Use(fiberws.Middleware(s.Guard))
	}
	if s.App.EndpointAround {
		app.Use(endpoint)
	}
	text := func(status int, body string) fiber.Handler {
		return func(c *fiber.Ctx) error { return c.Status(status).SendString(body) }
	}
	for _, a := range s.App.Answers() {
		app.Get(a.Path, text(a.Status, a.Body))
	}
	app.Get("/key/:x", func(c *fiber.Ctx) error { return c.SendString("key " + c.Params("x")) })
	app.Get("/error", func(*fiber.Ctx) error { return coretest.ErrOnPurpose })
	app.Get("/panic", func(*fiber.Ctx) error { panic(coretest.PanicText) })
	app.Get("/panic/lent/:x", func(c *fiber.Ctx) error { panic(coretest.Lent(c.Params("x"))) })
	app.Get("/log", func(c *fiber.Ctx) error {
		c.App().Server().Logger.Printf("%s", coretest.LogLine)
		return c.SendString("logged")
	})
	app.Get("/hijack", func(c *fiber.Ctx) error {
		c.Context().HijackSetNoResponse(true)
		c.Context().Hijack(func(conn net.Conn) { _, _ = io.WriteString(conn, coretest.HijackText) })
		return nil
	})
	own := func(c *fiber.Ctx) error {
		return c.Status(coretest.OwnStatus(string(c.Context().URI().QueryString()))).SendString(coretest.OwnBody)
	}
	shared := contribRoute(s.Guard, coretest.SharedSocket)
	app.All(coretest.HealthPath, own)
	app.Post(coretest.BesidePath, own)
	app.All(coretest.SharedPath, endpoint, func(c *fiber.Ctx) error {
		if websocket.IsWebSocketUpgrade(c) {
			return shared(c)
		}
		return own(c)
	})
	for _, k := range coretest.Sockets() {
		switch k.Family {
		case coretest.Handler:
			app.Get(k.Path, handlerRoute(s.Guard, k))
		case coretest.Endpoint:
			app.Get(k.Path, endpoint, contribRoute(s.Guard, k))
		default:
			app.Get(k.Path, contribRoute(nil, k))
		}
	}
	if s.App.CatchAll {
		app.All("/*", func(c *fiber.Ctx) error { s.Caught(); return c.SendString("catch-all") })
	}
	return app
}

func handlerRoute(g *core.Guard, k coretest.Socket) fiber.Handler {
	if g == nil {
		return contribRoute(nil, k)
	}
	return fiberws.Handler(g, func(_ context.Context, ws *websocket.Conn) error { return session(ws, k) }, contribConfig())
}

func contribConfig() websocket.Config {
	return websocket.Config{Subprotocols: []string{coretest.Subprotocol}, EnableCompression: true}
}

func session(ws *websocket.Conn, k coretest.Socket) error {
	return k.Session(func() error {
		typ, b, err := ws.ReadMessage()
		if err == nil {
			err = ws.WriteMessage(typ, b)
		}
		return err
	})
}

// contribRoute is a route as in contrib's documentation, and with a guard as in
// Endpoint's.
func contribRoute(g *core.Guard, k coretest.Socket) fiber.Handler {
	config := contribConfig()
	if g != nil {
		config.RecoverHandler = fiberws.Recover
	}
	return websocket.New(func(ws *websocket.Conn) {
		var s *core.Session
		if g != nil {
			s = fiberws.SessionOf(ws)
			inner := ws.Conn
			s.OnDrain(func() {
				_ = inner.WriteControl(fastws.CloseMessage, fastws.FormatCloseMessage(fastws.CloseGoingAway, ""), time.Now().Add(time.Second))
			})
			defer s.Settle()
		}
		var closed *fastws.CloseError
		if err := session(ws, k); errors.As(err, &closed) {
			s.Ended(closed.Code)
		}
	}, config)
}
