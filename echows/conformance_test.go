package echows_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"testing"

	coder "github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"
	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/coretest"
	"github.com/quietws/quietws/echows"
)

// TestConformance runs the suite on Echo: coder/websocket through Handler,
// gorilla/websocket through Endpoint.
func TestConformance(t *testing.T) {
	coretest.Run(t, coretest.Adapter{
		Start: start, HTTP2: true, ErrorHandler: true,
		Hooks: []string{"ConnState", "ConnContext", "BaseContext", "RegisterOnShutdown"},
	})
}

func start(t testing.TB, s coretest.Setup) func(context.Context) error {
	e := app(s)
	srv := e.Server
	if s.TLS != nil && s.Layer != coretest.Serve {
		srv = e.TLSServer
	}
	srv.ReadHeaderTimeout = s.HeadTimeout
	srv.ConnState = func(net.Conn, http.ConnState) { s.Hook("ConnState") }
	srv.ConnContext = func(ctx context.Context, _ net.Conn) context.Context { s.Hook("ConnContext"); return ctx }
	srv.BaseContext = func(net.Listener) context.Context { s.Hook("BaseContext"); return context.Background() }
	srv.RegisterOnShutdown(func() { s.Hook("RegisterOnShutdown") })
	ln := s.Listener
	served := make(chan error, 1)
	switch s.Layer {
	case coretest.Serve:
		if s.TLS != nil {
			ln = s.Guard.TLSListener(ln, s.TLS)
		}
		ctx, cancel := context.WithCancel(context.Background())
		go func() { served <- echows.ServeListener(ctx, s.Guard, e, ln) }()
		return func(context.Context) error { cancel(); return <-served }
	case coretest.Middleware:
		e.Pre(echows.Middleware(s.Guard))
	case coretest.Inner:
		e.Use(echows.Middleware(s.Guard)) // after the access log
	case coretest.AttachListener:
		ln = s.Guard.Listener(ln)
		fallthrough
	case coretest.Attach:
		if err := echows.Attach(s.Guard, e); err != nil {
			t.Fatal(err)
		}
	}
	if s.TLS != nil {
		srv.TLSConfig, e.TLSListener = s.TLS, tls.NewListener(ln, s.TLS)
	} else {
		e.Listener = ln
	}
	go func() { served <- e.StartServer(srv) }()
	return func(ctx context.Context) error {
		err := e.Shutdown(ctx)
		if e := <-served; !errors.Is(e, http.ErrServerClosed) {
			return e
		}
		return err
	}
}

func app(s coretest.Setup) *echo.Echo {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.StdLogger = log.New(s.ServerLog, "", 0)
	skip := middleware.DefaultSkipper
	if s.Guard != nil {
		quiet := echows.Quiet(s.Guard)
		skip = quiet
		e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
			return func(c echo.Context) error {
				before := quiet(c)
				defer func() { s.Asked(c.Request().URL.Path, before, quiet(c)) }()
				return next(c)
			}
		})
	}
	e.Use(middleware.LoggerWithConfig(middleware.LoggerConfig{Format: "${status} ${method} ${path}\n", Output: s.AccessLog, Skipper: skip}))
	if s.App.ErrorHandler {
		e.HTTPErrorHandler = func(_ error, c echo.Context) { _ = c.String(http.StatusInternalServerError, "custom") }
	}
	text := func(status int, body string) echo.HandlerFunc {
		return func(c echo.Context) error { return c.String(status, body) }
	}
	e.GET("/app", text(200, "app"))
	e.GET("/key/:x", func(c echo.Context) error { return c.String(200, "key "+c.Param("x")) })
	e.GET("/error", func(echo.Context) error { return errors.New("the handler fails on purpose") })
	e.GET("/fail", text(500, "fail"))
	e.GET("/forbidden", text(401, "forbidden"))
	e.GET("/panic", func(echo.Context) error { panic(coretest.PanicText) })
	e.GET("/log", func(c echo.Context) error { c.Echo().StdLogger.Print(coretest.LogLine); return c.String(200, "logged") })
	if s.App.OwnReady {
		e.GET("/readyz", text(200, "own"))
	}
	if s.App.CatchAll {
		e.Any("/*", text(200, "catch-all"))
	}
	endpoint := func(next echo.HandlerFunc) echo.HandlerFunc { return next }
	if s.Guard != nil {
		endpoint = echows.Endpoint(s.Guard)
	}
	for _, how := range []string{"", "/panic", "/error"} {
		e.GET("/ws"+how, coderRoute(s.Guard, how))
	}
	for _, how := range []string{"", "/panic", "/panic-open", "/error", "/early"} {
		e.GET("/own"+how, gorillaRoute(how), endpoint)
		e.GET("/bare"+how, gorillaRoute(how))
	}
	return e
}

var errOnPurpose = errors.New("the handler fails on purpose")

func coderRoute(g *core.Guard, how string) echo.HandlerFunc {
	options := &coder.AcceptOptions{Subprotocols: []string{coretest.Subprotocol}, CompressionMode: coder.CompressionContextTakeover}
	session := func(ctx context.Context, _ echo.Context, ws *coder.Conn) error {
		switch how {
		case "/panic":
			panic(coretest.PanicText)
		case "/error":
			return errOnPurpose
		}
		for {
			typ, b, err := ws.Read(ctx)
			if err == nil {
				err = ws.Write(ctx, typ, b)
			}
			if err != nil {
				return err
			}
		}
	}
	if g != nil {
		return echows.Handler(g, session, options)
	}
	return func(c echo.Context) error {
		ws, err := coder.Accept(c.Response(), c.Request(), options)
		if err != nil {
			return nil
		}
		defer ws.CloseNow()
		return session(c.Request().Context(), c, ws)
	}
}

// gorillaRoute is a route as Echo's own documentation has it.
func gorillaRoute(how string) echo.HandlerFunc {
	up := gorilla.Upgrader{Subprotocols: []string{coretest.Subprotocol}, EnableCompression: true}
	return func(c echo.Context) error {
		ws, err := up.Upgrade(c.Response(), c.Request(), nil)
		if err != nil {
			return err
		}
		switch how {
		case "/early":
			go echoes(ws)
			return nil
		case "/panic-open":
			panic(coretest.PanicText)
		}
		defer ws.Close()
		switch how {
		case "/panic":
			panic(coretest.PanicText)
		case "/error":
			return errOnPurpose
		}
		return echoes(ws)
	}
}

func echoes(ws *gorilla.Conn) error {
	defer ws.Close()
	for {
		typ, b, err := ws.ReadMessage()
		if err == nil {
			err = ws.WriteMessage(typ, b)
		}
		if err != nil {
			return fmt.Errorf("echo: %w", err)
		}
	}
}
