package handshakes

import (
	"context"
	"io"
	"log"
	"net/http"
	"testing"

	coder "github.com/coder/websocket"
	"github.com/gin-gonic/gin"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/gofiber/contrib/websocket"
	"github.com/gofiber/fiber/v2"
	gorilla "github.com/gorilla/websocket"
	"github.com/labstack/echo/v4"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/echows"
	"github.com/quietws/quietws/fiberws"
	"github.com/quietws/quietws/ginws"
)

// server starts an echoing server, bare without a guard, and returns its address.
type server func(*testing.T, *core.Guard) string

var servers = map[string]server{
	"Endpoint/coder":   endpoint(coderEcho),
	"Endpoint/gorilla": endpoint(gorillaEcho),
	"Endpoint/gobwas":  endpoint(gobwasEcho),
	"Endpoint/contrib": fiberEndpoint,
	"Handler/echo":     echoHandler,
	"Handler/gin":      ginHandler,
	"Handler/fiber":    fiberHandler,
}

var options = &coder.AcceptOptions{Subprotocols: []string{"chat"}, CompressionMode: coder.CompressionContextTakeover}

func coderSession(ctx context.Context, c *coder.Conn) error {
	for {
		typ, b, err := c.Read(ctx)
		if err == nil {
			err = c.Write(ctx, typ, b)
		}
		if err != nil {
			return err
		}
	}
}

func coderEcho(w http.ResponseWriter, r *http.Request) {
	if c, err := coder.Accept(w, r, options); err == nil {
		defer func() { _ = c.CloseNow() }()
		_ = coderSession(r.Context(), c)
	}
}

func gorillaEcho(w http.ResponseWriter, r *http.Request) {
	up := gorilla.Upgrader{Subprotocols: []string{"chat"}, EnableCompression: true}
	c, err := up.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer func() { _ = c.Close() }()
	for {
		typ, b, err := c.ReadMessage()
		if err == nil {
			err = c.WriteMessage(typ, b)
		}
		if err != nil {
			return
		}
	}
}

func gobwasEcho(w http.ResponseWriter, r *http.Request) {
	up := ws.HTTPUpgrader{Protocol: func(p string) bool { return p == "chat" }}
	c, _, _, err := up.Upgrade(r, w)
	if err != nil {
		return
	}
	defer func() { _ = c.Close() }()
	for {
		b, op, err := wsutil.ReadClientData(c)
		if err == nil {
			err = wsutil.WriteServerMessage(c, op, b)
		}
		if err != nil {
			return
		}
	}
}

func contribSession(c *websocket.Conn) error {
	for {
		typ, b, err := c.ReadMessage()
		if err == nil {
			err = c.WriteMessage(typ, b)
		}
		if err != nil {
			return err
		}
	}
}

var contrib = websocket.Config{Subprotocols: []string{"chat"}, EnableCompression: true}

// endpoint serves a handler of net/http.
func endpoint(h http.HandlerFunc) server {
	return func(t *testing.T, g *core.Guard) string {
		mux := http.NewServeMux()
		if g == nil {
			mux.Handle("GET /ws", h)
		} else {
			mux.Handle("GET /ws", g.Endpoint(h))
		}
		return serve(t, g, &http.Server{Handler: mux})
	}
}

// serve serves srv, with Attach if there is a guard.
func serve(t *testing.T, g *core.Guard, srv *http.Server) string {
	t.Helper()
	srv.ErrorLog = log.New(io.Discard, "", 0)
	if g != nil {
		g.Attach(srv)
	}
	ln := listen(t)
	go func() { _ = srv.Serve(ln) }()
	t.Cleanup(func() { _ = srv.Close() })
	return ln.Addr().String()
}

func echoHandler(t *testing.T, g *core.Guard) string {
	e := echo.New()
	e.GET("/ws", func(c echo.Context) error { coderEcho(c.Response(), c.Request()); return nil })
	if g != nil {
		e = echo.New()
		e.Pre(echows.Middleware(g))
		e.GET("/ws", echows.Handler(g, func(ctx context.Context, _ echo.Context, c *coder.Conn) error { return coderSession(ctx, c) }, options))
	}
	return serve(t, g, &http.Server{Handler: e})
}

func ginHandler(t *testing.T, g *core.Guard) string {
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	if g == nil {
		engine.GET("/ws", func(c *gin.Context) { coderEcho(c.Writer, c.Request) })
	} else {
		engine.Use(ginws.Middleware(g))
		engine.GET("/ws", ginws.Handler(g, func(ctx context.Context, _ *gin.Context, c *coder.Conn) error { return coderSession(ctx, c) }, options))
	}
	return serve(t, g, &http.Server{Handler: engine})
}

func fiberEndpoint(t *testing.T, g *core.Guard) string {
	handler := websocket.New(func(c *websocket.Conn) { _ = contribSession(c) }, contrib)
	return serveFiber(t, g, func(app *fiber.App) {
		if g == nil {
			app.Get("/ws", handler)
		} else {
			app.Get("/ws", fiberws.Endpoint(g), handler)
		}
	})
}

func fiberHandler(t *testing.T, g *core.Guard) string {
	return serveFiber(t, g, func(app *fiber.App) {
		if g == nil {
			app.Get("/ws", websocket.New(func(c *websocket.Conn) { _ = contribSession(c) }, contrib))
		} else {
			app.Get("/ws", fiberws.Handler(g, func(_ context.Context, c *websocket.Conn) error { return contribSession(c) }, contrib))
		}
	})
}

func serveFiber(t *testing.T, g *core.Guard, routes func(*fiber.App)) string {
	t.Helper()
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Server().Logger = log.New(io.Discard, "", 0)
	if g != nil {
		fiberws.Attach(g, app)
	}
	routes(app)
	ln := listen(t)
	go func() { _ = app.Listener(ln) }()
	t.Cleanup(func() { _ = app.ShutdownWithTimeout(0) })
	return ln.Addr().String()
}
