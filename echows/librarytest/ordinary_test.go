package librarytest

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/coretest"
	"github.com/quietws/quietws/echows"
)

// ordinary is the application that [coretest.Ordinary] describes.
func ordinary() *echo.Echo {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.Logger.SetOutput(io.Discard)
	e.StdLogger.SetOutput(io.Discard)
	e.Use(middleware.Gzip(), middleware.CORS(), middleware.Secure())
	e.GET("/", func(c echo.Context) error { return c.String(http.StatusOK, "hello") })
	e.GET("/page", func(c echo.Context) error {
		c.Response().Header().Set("ETag", `"1"`)
		http.ServeContent(c.Response(), c.Request(), "page.txt", time.Unix(1, 0), strings.NewReader(strings.Repeat("a page ", 50)))
		return nil
	})
	e.Any("/echo", func(c echo.Context) error {
		body, err := io.ReadAll(c.Request().Body)
		if err != nil {
			return err
		}
		return c.Blob(http.StatusOK, "text/plain", body)
	})
	e.POST("/form", func(c echo.Context) error {
		file, err := c.FormFile("file")
		if err != nil {
			return c.String(http.StatusOK, c.FormValue("note"))
		}
		return c.JSON(http.StatusOK, []any{c.FormValue("note"), file.Filename, file.Size})
	})
	e.GET("/redirect", func(c echo.Context) error { return c.Redirect(http.StatusFound, "/page") })
	e.GET("/stream", func(c echo.Context) error {
		for range 3 {
			if _, err := c.Response().Write([]byte("a line\n")); err != nil {
				return err
			}
			c.Response().Flush()
		}
		return nil
	})
	e.GET("/error", func(echo.Context) error { return errors.New("an error") })
	e.GET("/panic", func(echo.Context) error { panic("a panic") })
	e.GET("/ws", gorillaEchoes)
	return e
}

// An application's answers are the same with and without quietws, byte for byte.
func TestOrdinaryRequests(t *testing.T) {
	guarded := func(add func(*core.Guard, *echo.Echo)) string {
		g, err := core.New(core.Config{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = g.Close() })
		e := ordinary()
		add(g, e)
		return started(t, e, nil)
	}
	served := func() string {
		g, err := core.New(core.Config{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- echows.ServeListener(ctx, g, ordinary(), ln) }()
		t.Cleanup(func() {
			stop()
			if err := errors.Join(<-done, g.Close()); err != nil {
				t.Error(err)
			}
		})
		return ln.Addr().String()
	}
	coretest.SameAnswers(t, started(t, ordinary(), nil), map[string]string{
		"Pre":    guarded(func(g *core.Guard, e *echo.Echo) { e.Pre(echows.Middleware(g)) }),
		"Use":    guarded(func(g *core.Guard, e *echo.Echo) { e.Use(echows.Middleware(g)) }),
		"Attach": guarded(echows.Attach),
		"Serve":  served(),
	})
}
