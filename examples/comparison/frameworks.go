package main

import (
	"context"
	"io"
	"net"
	"net/http"

	coder "github.com/coder/websocket"
	"github.com/gin-gonic/gin"
	contrib "github.com/gofiber/contrib/websocket"
	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/healthcheck"
	"github.com/labstack/echo/v4"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/echows"
	"github.com/quietws/quietws/fiberws"
	"github.com/quietws/quietws/ginws"
)

// frameworks all serve the same: a greeting on /app, an echo on /ws, a file on /file,
// and, without quietws, a handler on /readyz that answers like quietws. guard is nil for
// the bare server.
var frameworks = map[string]func(server, *core.Guard, net.Listener) error{
	"nethttp": serveNetHTTP,
	"echo":    serveEcho,
	"gin":     serveGin,
	"fiber":   serveFiber,
}

// greeting is the answer to an ordinary request.
const greeting = "Hello. It is a fine day, and nothing is the matter.\n"

// readyFields and readyBody are quietws's answer on /readyz.
var readyFields = [...][2]string{{"Cache-Control", "no-store"}, {"X-Content-Type-Options", "nosniff"}}

const readyType, readyBody = "text/plain; charset=utf-8", "ok\n"

// maxMessage is larger than any message here.
const maxMessage = 1 << 20

// echo sends messages back until the session ends.
func echoMessages(ctx context.Context, ws *coder.Conn) error {
	ws.SetReadLimit(maxMessage)
	for {
		kind, p, err := ws.Read(ctx)
		if err != nil {
			return err
		}
		if err := ws.Write(ctx, kind, p); err != nil {
			return err
		}
	}
}

// accept is the application's own WebSocket route.
func accept(w http.ResponseWriter, r *http.Request) {
	ws, err := coder.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer func() { _ = ws.CloseNow() }()
	_ = echoMessages(r.Context(), ws)
}

func serveNetHTTP(s server, guard *core.Guard, ln net.Listener) error {
	mux := http.NewServeMux()
	mux.HandleFunc("/app", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, greeting)
	})
	mux.HandleFunc("/file", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, s.File) })
	srv := &http.Server{Handler: mux}
	if guard == nil {
		mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", readyType)
			for _, f := range readyFields {
				w.Header().Set(f[0], f[1])
			}
			_, _ = io.WriteString(w, readyBody)
		})
		mux.HandleFunc("/ws", accept)
		return srv.Serve(ln)
	}
	mux.Handle("/ws", guard.Endpoint(http.HandlerFunc(accept)))
	guard.Attach(srv)
	return srv.Serve(ln)
}

func serveEcho(s server, guard *core.Guard, ln net.Listener) error {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.GET("/app", func(c echo.Context) error { return c.String(http.StatusOK, greeting) })
	e.GET("/file", func(c echo.Context) error { return c.File(s.File) })
	ws := func(c echo.Context) error { accept(c.Response(), c.Request()); return nil }
	if guard == nil {
		e.GET("/readyz", func(c echo.Context) error {
			for _, f := range readyFields {
				c.Response().Header().Set(f[0], f[1])
			}
			return c.Blob(http.StatusOK, readyType, []byte(readyBody))
		})
		e.GET("/ws", ws)
	} else {
		if s.Variant == quiet {
			e.GET("/ws", ws, echows.Endpoint(guard))
		} else {
			e.GET("/ws", echows.Handler(guard, func(ctx context.Context, _ echo.Context, ws *coder.Conn) error {
				return echoMessages(ctx, ws)
			}, nil))
		}
		echows.Attach(guard, e)
	}
	e.Listener = ln
	return e.Start("")
}

func serveGin(s server, guard *core.Guard, ln net.Listener) error {
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	engine.GET("/app", func(c *gin.Context) { c.String(http.StatusOK, greeting) })
	engine.GET("/file", func(c *gin.Context) { c.File(s.File) })
	ws := func(c *gin.Context) { accept(c.Writer, c.Request) }
	srv := &http.Server{Handler: engine}
	if guard == nil {
		engine.GET("/readyz", func(c *gin.Context) {
			for _, f := range readyFields {
				c.Header(f[0], f[1])
			}
			c.Data(http.StatusOK, readyType, []byte(readyBody))
		})
		engine.GET("/ws", ws)
		return srv.Serve(ln)
	}
	if s.Variant == quiet {
		engine.GET("/ws", ginws.Endpoint(guard), ws)
	} else {
		engine.GET("/ws", ginws.Handler(guard, func(ctx context.Context, _ *gin.Context, ws *coder.Conn) error {
			return echoMessages(ctx, ws)
		}, nil))
	}
	ginws.Attach(guard, srv, engine)
	return srv.Serve(ln)
}

func serveFiber(s server, guard *core.Guard, ln net.Listener) error {
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	if s.Variant == fibers {
		app.Use(healthcheck.New())
	}
	app.Get("/app", func(c *fiber.Ctx) error { return c.SendString(greeting) })
	app.Get("/file", func(c *fiber.Ctx) error { return c.SendFile(s.File) })
	messages := func(conn *contrib.Conn) error {
		for {
			kind, p, err := conn.ReadMessage()
			if err != nil {
				return err
			}
			if err := conn.WriteMessage(kind, p); err != nil {
				return err
			}
		}
	}
	ws := contrib.New(func(conn *contrib.Conn) { _ = messages(conn) })
	switch {
	case guard == nil:
		app.Get("/readyz", func(c *fiber.Ctx) error {
			c.Set("Content-Type", readyType)
			for _, f := range readyFields {
				c.Set(f[0], f[1])
			}
			return c.SendString(readyBody)
		})
		app.Get("/ws", ws)
		return app.Listener(ln)
	case s.Variant == quiet:
		app.Get("/ws", fiberws.Endpoint(guard), ws)
	default:
		app.Get("/ws", fiberws.Handler(guard, func(_ context.Context, conn *contrib.Conn) error { return messages(conn) }))
	}
	fiberws.Attach(guard, app)
	return app.Listener(ln)
}
