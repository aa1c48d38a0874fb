package librarytest

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"testing"
	"time"

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
		Start: start, Framework: coretest.Echo(),
		Hooks: []string{"ConnState", "ConnContext", "BaseContext", "OnShutdown"},
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
	srv.RegisterOnShutdown(func() { s.Hook("OnShutdown") })
	ln, served := s.Listener, make(chan error, 1)
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
		echows.Attach(s.Guard, e)
	}
	e.Listener = ln
	if s.TLS != nil {
		srv.TLSConfig, e.TLSListener = s.TLS, tls.NewListener(ln, s.TLS)
	}
	go func() { served <- e.StartServer(srv) }()
	return func(ctx context.Context) error {
		err := e.Shutdown(ctx)
		<-served
		return err
	}
}

func app(s coretest.Setup) *echo.Echo {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.StdLogger = log.New(s.ServerLog, "", 0)
	skip, endpoint := middleware.DefaultSkipper, func(next echo.HandlerFunc) echo.HandlerFunc { return next }
	if s.Guard != nil {
		skip, endpoint = echows.Quiet(s.Guard), echows.Endpoint(s.Guard)
		e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
			return func(c echo.Context) error {
				before := skip(c)
				defer func() { s.Asked(c.Request().URL.Path, before, skip(c)) }()
				return next(c)
			}
		})
	}
	e.Use(middleware.LoggerWithConfig(middleware.LoggerConfig{Format: "${status} ${method} ${path}\n", Output: s.AccessLog, Skipper: skip}))
	if s.App.ErrorHandler {
		e.HTTPErrorHandler = func(_ error, c echo.Context) { _ = c.String(http.StatusInternalServerError, "custom") }
	}
	if s.App.EndpointAround {
		e.Use(endpoint)
	}
	text := func(status int, body string) echo.HandlerFunc {
		return func(c echo.Context) error { return c.String(status, body) }
	}
	for _, a := range s.App.Answers() {
		e.GET(a.Path, text(a.Status, a.Body))
	}
	if s.App.CatchAll {
		e.Any("/*", func(c echo.Context) error { s.Caught(); return c.String(200, "catch-all") })
	}
	e.GET("/key/:x", func(c echo.Context) error { return c.String(200, "key "+c.Param("x")) })
	e.GET("/error", func(echo.Context) error { return coretest.ErrOnPurpose })
	e.GET("/panic", func(echo.Context) error { panic(coretest.PanicText) })
	e.GET("/panic/lent/:x", func(c echo.Context) error { panic(coretest.Lent(c.Param("x"))) })
	e.GET("/log", func(c echo.Context) error { c.Echo().StdLogger.Print(coretest.LogLine); return c.String(200, "logged") })
	e.GET("/hijack", func(c echo.Context) error {
		conn, _, err := c.Response().Hijack()
		if err == nil {
			_, _ = io.WriteString(conn, coretest.HijackText)
			err = conn.Close()
		}
		return err
	})
	own := func(c echo.Context) error {
		return c.String(coretest.OwnStatus(c.QueryString()), coretest.OwnBody)
	}
	session := gorillaRoute(coretest.SharedSocket)
	e.Any(coretest.HealthPath, own)
	e.POST(coretest.BesidePath, own)
	e.Any(coretest.SharedPath, func(c echo.Context) error {
		if gorilla.IsWebSocketUpgrade(c.Request()) {
			return session(c)
		}
		return own(c)
	}, endpoint)
	for _, k := range coretest.Sockets() {
		switch k.Family {
		case coretest.Handler:
			e.GET(k.Path, coderRoute(s.Guard, k))
		case coretest.Endpoint:
			e.GET(k.Path, gorillaRoute(k), endpoint)
		default:
			e.GET(k.Path, gorillaRoute(k))
		}
	}
	return e
}

func coderRoute(g *core.Guard, k coretest.Socket) echo.HandlerFunc {
	options := &coder.AcceptOptions{Subprotocols: []string{coretest.Subprotocol}, CompressionMode: coder.CompressionContextTakeover}
	session := func(ctx context.Context, _ echo.Context, ws *coder.Conn) error {
		return k.Session(func() error {
			typ, b, err := ws.Read(ctx)
			if err == nil {
				err = ws.Write(ctx, typ, b)
			}
			return err
		})
	}
	if g != nil {
		return echows.Handler(g, session, options)
	}
	return func(c echo.Context) error {
		ws, err := coder.Accept(c.Response(), c.Request(), options)
		if err != nil {
			return nil // it is answered
		}
		defer ws.CloseNow()
		return session(c.Request().Context(), c, ws)
	}
}

// gorillaRoute is a route as in Echo's documentation.
func gorillaRoute(k coretest.Socket) echo.HandlerFunc {
	up := gorilla.Upgrader{Subprotocols: []string{coretest.Subprotocol}, EnableCompression: true}
	return func(c echo.Context) error {
		ws, err := up.Upgrade(c.Response(), c.Request(), nil)
		if err != nil {
			return err
		}
		if k.Family == coretest.Endpoint {
			core.SessionOf(c.Request().Context()).OnDrain(func() {
				_ = ws.WriteControl(gorilla.CloseMessage, gorilla.FormatCloseMessage(gorilla.CloseGoingAway, ""), time.Now().Add(time.Second))
			})
		}
		echo := func() error {
			typ, b, err := ws.ReadMessage()
			if err == nil {
				err = ws.WriteMessage(typ, b)
			}
			return err
		}
		if k.Early() {
			go func() { _ = k.Session(echo); _ = ws.Close() }()
			return nil
		}
		if !k.LeavesOpen() {
			defer ws.Close()
		}
		return k.Session(echo)
	}
}
