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

	"github.com/gin-gonic/gin"
	gorilla "github.com/gorilla/websocket"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/coretest"
	"github.com/quietws/quietws/ginws"
)

// ordinary is the application that [coretest.Ordinary] describes.
func ordinary(middleware ...gin.HandlerFunc) *gin.Engine {
	engine := gin.New()
	engine.Use(middleware...)
	engine.GET("/", func(c *gin.Context) { c.String(http.StatusOK, "hello") })
	engine.GET("/page", func(c *gin.Context) {
		c.Header("ETag", `"1"`)
		http.ServeContent(c.Writer, c.Request, "page.txt", time.Unix(1, 0), strings.NewReader(strings.Repeat("a page ", 50)))
	})
	engine.Any("/echo", func(c *gin.Context) {
		body, err := io.ReadAll(c.Request.Body)
		if err != nil {
			c.String(http.StatusBadRequest, "%v", err)
			return
		}
		c.Data(http.StatusOK, "text/plain", body)
	})
	engine.POST("/form", func(c *gin.Context) {
		file, err := c.FormFile("file")
		if err != nil {
			c.String(http.StatusOK, c.PostForm("note"))
			return
		}
		c.JSON(http.StatusOK, []any{c.PostForm("note"), file.Filename, file.Size})
	})
	engine.GET("/redirect", func(c *gin.Context) { c.Redirect(http.StatusFound, "/page") })
	engine.GET("/stream", func(c *gin.Context) {
		lines := 0
		c.Stream(func(w io.Writer) bool {
			_, _ = io.WriteString(w, "a line\n")
			lines++
			return lines < 3
		})
	})
	engine.GET("/error", func(c *gin.Context) { _ = c.AbortWithError(http.StatusInternalServerError, errors.New("an error")) })
	engine.GET("/panic", func(*gin.Context) { panic("a panic") })
	engine.GET("/ws", func(c *gin.Context) {
		up := gorilla.Upgrader{Subprotocols: []string{"chat"}, EnableCompression: true}
		ws, err := up.Upgrade(c.Writer, c.Request, nil)
		if err != nil {
			return
		}
		defer func() { _ = ws.Close() }()
		for {
			kind, p, err := ws.ReadMessage()
			if err != nil || ws.WriteMessage(kind, p) != nil {
				return
			}
		}
	})
	return engine
}

// An application's answers are the same with and without quietws, byte for byte.
func TestOrdinaryRequests(t *testing.T) {
	newGuard := func() *core.Guard {
		g, err := core.New(core.Config{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = g.Close() })
		return g
	}
	at := func(srv *http.Server) string {
		addr, _ := started(t, srv, nil)
		return addr
	}
	attached := func() string {
		engine := ordinary()
		srv := &http.Server{Handler: engine}
		ginws.Attach(newGuard(), srv, engine)
		return at(srv)
	}
	served := func() string {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		g := newGuard()
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- ginws.ServeListener(ctx, g, ordinary(), ln) }()
		t.Cleanup(func() {
			stop()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
		return ln.Addr().String()
	}
	coretest.SameAnswers(t, at(&http.Server{Handler: ordinary()}), map[string]string{
		"Middleware": at(&http.Server{Handler: ordinary(ginws.Middleware(newGuard()))}),
		"Attach":     attached(),
		"Serve":      served(),
	})
}
