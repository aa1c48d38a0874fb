package main

import (
	"context"
	"crypto/tls"
	"errors"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gorilla/websocket"
	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/probetest"
	"github.com/quietws/quietws/echows"
	"github.com/quietws/quietws/fiberws"
)

// quietClock removes the time from both logs of the standard library.
func quietClock() {
	log.SetFlags(0)
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	})))
	log.SetOutput(os.Stderr) // SetDefault has taken it over
}

// guarded runs serve with a guard, and closes the guard at the end, so that its log is
// complete.
func guarded(serve func(*core.Guard) error) error {
	guard, err := core.New(core.Config{})
	if err != nil {
		return err
	}
	return errors.Join(serve(guard), guard.Close())
}

// until runs start, and ends it with shutdown when ctx ends, as in the documentation of
// every framework.
func until(ctx context.Context, start func() error, shutdown func(context.Context) error) error {
	ended := make(chan error, 1)
	go func() { ended <- start() }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.Background(), 9*time.Second)
	defer cancel()
	return shutdown(grace)
}

// withTLS puts TLS on ln, as ListenAndServeTLS does.
func withTLS(ln net.Listener, guard *core.Guard) (net.Listener, error) {
	cert, _, err := probetest.Certificate()
	if err != nil {
		return nil, err
	}
	config := &tls.Config{Certificates: []tls.Certificate{cert}}
	if guard != nil {
		return guard.TLSListener(ln, config), nil
	}
	return tls.NewListener(ln, config), nil
}

func serveNetHTTP(ctx context.Context, s scene, with bool, ln net.Listener) error {
	srv := &http.Server{Handler: http.NotFoundHandler()}
	if with {
		return guarded(func(guard *core.Guard) (err error) {
			if s.tls {
				if ln, err = withTLS(ln, guard); err != nil {
					return err
				}
			}
			return guard.Serve(ctx, srv, ln)
		})
	}
	if s.tls {
		var err error
		if ln, err = withTLS(ln, nil); err != nil {
			return err
		}
	}
	return until(ctx, func() error { return srv.Serve(ln) }, srv.Shutdown)
}

func serveFiber(ctx context.Context, _ scene, with bool, ln net.Listener) error {
	app := fiber.New(fiber.Config{
		DisableStartupMessage: true,
		ErrorHandler: func(c *fiber.Ctx, err error) error { // as in Fiber's documentation, and it logs
			code := fiber.StatusInternalServerError
			var e *fiber.Error
			if errors.As(err, &e) {
				code = e.Code
			}
			log.Printf("%s %s %d: %v", c.Method(), c.Path(), code, err)
			return c.Status(code).SendString(err.Error())
		},
	})
	app.Get("/", func(c *fiber.Ctx) error { return c.SendString("ok") })
	if with {
		return guarded(func(guard *core.Guard) error { return fiberws.ServeListener(ctx, guard, app, ln) })
	}
	return until(ctx, func() error { return app.Listener(ln) }, app.ShutdownWithContext)
}

func serveEcho(ctx context.Context, s scene, with bool, ln net.Listener) error {
	e := echo.New()
	e.HideBanner, e.HidePort, e.Listener = true, true, ln
	if s.access {
		e.Use(middleware.RequestLoggerWithConfig(middleware.RequestLoggerConfig{
			LogMethod: true, LogURIPath: true, LogStatus: true, HandleError: true,
			LogValuesFunc: func(_ echo.Context, v middleware.RequestLoggerValues) error {
				log.Printf("access %s %s %d", v.Method, v.URIPath, v.Status)
				return nil
			},
		}))
	}
	if with {
		return guarded(func(guard *core.Guard) error {
			e.GET("/ws", echoes, echows.Endpoint(guard))
			return echows.ServeListener(ctx, guard, e, ln)
		})
	}
	e.GET("/ws", echoes)
	return until(ctx, func() error { return e.Start("") }, e.Shutdown)
}

var upgrader websocket.Upgrader

// echoes is the WebSocket example of Echo's documentation, except that it ends.
func echoes(c echo.Context) error {
	ws, err := upgrader.Upgrade(c.Response(), c.Request(), nil)
	if err != nil {
		return nil // the client has been answered
	}
	defer func() { _ = ws.Close() }()
	core.SessionOf(c.Request().Context()).OnDrain(func() { // never called without quietws
		_ = ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseGoingAway, ""), time.Now().Add(time.Second))
	})
	for {
		kind, message, err := ws.ReadMessage()
		if err != nil {
			return err
		}
		if err := ws.WriteMessage(kind, message); err != nil {
			return err
		}
	}
}
