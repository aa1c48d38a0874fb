package librarytest

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"testing"
	"time"

	coder "github.com/coder/websocket"
	"github.com/gin-gonic/gin"
	gorilla "github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/coretest"
	"github.com/quietws/quietws/ginws"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.TestMode)
	gin.DefaultWriter, gin.DefaultErrorWriter = io.Discard, io.Discard
	goleak.VerifyTestMain(m)
}

// TestConformance runs the suite on Gin: coder/websocket through Handler,
// gorilla/websocket through Endpoint. The engine has Middleware with every
// layer, which shows sessions of routes without Endpoint as 101.
func TestConformance(t *testing.T) {
	coretest.Run(t, coretest.Adapter{
		Start: start, Framework: coretest.Gin(),
		Hooks: []string{"ConnState", "ConnContext", "BaseContext", "OnShutdown"},
	})
}

func start(t testing.TB, s coretest.Setup) func(context.Context) error {
	engine := app(s)
	srv := &http.Server{
		Handler: engine.Handler(), ErrorLog: log.New(s.ServerLog, "", 0), ReadHeaderTimeout: s.HeadTimeout,
		ConnState:   func(net.Conn, http.ConnState) { s.Hook("ConnState") },
		ConnContext: func(ctx context.Context, _ net.Conn) context.Context { s.Hook("ConnContext"); return ctx },
		BaseContext: func(net.Listener) context.Context { s.Hook("BaseContext"); return context.Background() },
	}
	srv.RegisterOnShutdown(func() { s.Hook("OnShutdown") })
	ln, served := s.Listener, make(chan error, 1)
	switch s.Layer {
	case coretest.Serve: // like ginws.ServeListener, with a server that has hooks
		if s.TLS != nil {
			ln = s.Guard.TLSListener(ln, s.TLS)
		}
		ginws.Attach(s.Guard, srv, engine)
		ctx, cancel := context.WithCancel(context.Background())
		go func() { served <- s.Guard.Serve(ctx, srv, ln) }()
		return func(context.Context) error { cancel(); return <-served }
	case coretest.AttachListener:
		ln = s.Guard.Listener(ln)
		fallthrough
	case coretest.Attach:
		ginws.Attach(s.Guard, srv, engine)
	}
	if s.TLS != nil {
		ln = tls.NewListener(ln, s.TLS)
	}
	go func() { served <- srv.Serve(ln) }()
	return func(ctx context.Context) error {
		err := srv.Shutdown(ctx)
		<-served
		return err
	}
}

func app(s coretest.Setup) *gin.Engine {
	engine := gin.New()
	engine.HandleMethodNotAllowed = true
	logs := gin.LoggerConfig{Output: s.AccessLog, Formatter: func(p gin.LogFormatterParams) string {
		return fmt.Sprintf("%d %s %s\n", p.StatusCode, p.Method, p.Path)
	}}
	endpoint := func(*gin.Context) {}
	if s.Guard != nil {
		logs.Skip, endpoint = ginws.Quiet(s.Guard), ginws.Endpoint(s.Guard)
		if s.Layer != coretest.Inner {
			engine.Use(ginws.Middleware(s.Guard))
		}
		engine.Use(func(c *gin.Context) {
			before := logs.Skip(c)
			defer func() { s.Asked(c.Request.URL.Path, before, logs.Skip(c)) }()
			c.Next()
		})
	}
	engine.Use(gin.LoggerWithConfig(logs))
	if s.App.ErrorHandler {
		engine.Use(func(c *gin.Context) {
			if c.Next(); len(c.Errors) > 0 {
				c.String(http.StatusInternalServerError, "custom")
			}
		})
	}
	if s.Layer == coretest.Inner {
		engine.Use(ginws.Middleware(s.Guard))
	}
	if s.App.EndpointAround {
		engine.Use(endpoint)
	}
	text := func(status int, body string) gin.HandlerFunc {
		return func(c *gin.Context) { c.String(status, body) }
	}
	for _, a := range s.App.Answers() {
		engine.GET(a.Path, text(a.Status, a.Body))
	}
	if s.App.CatchAll {
		engine.NoRoute(func(c *gin.Context) { s.Caught(); c.String(200, "catch-all") })
	}
	engine.GET("/key/:x", func(c *gin.Context) { c.String(200, "key "+c.Param("x")) })
	engine.GET("/error", func(c *gin.Context) { _ = c.AbortWithError(http.StatusInternalServerError, coretest.ErrOnPurpose) })
	engine.GET("/panic", func(*gin.Context) { panic(coretest.PanicText) })
	engine.GET("/panic/lent/:x", func(c *gin.Context) { panic(coretest.Lent(c.Param("x"))) })
	engine.GET("/log", func(c *gin.Context) {
		c.Request.Context().Value(http.ServerContextKey).(*http.Server).ErrorLog.Print(coretest.LogLine)
		c.String(200, "logged")
	})
	engine.GET("/hijack", func(c *gin.Context) {
		if conn, _, err := c.Writer.Hijack(); err == nil {
			_, _ = io.WriteString(conn, coretest.HijackText)
			_ = conn.Close()
		}
	})
	own := func(c *gin.Context) { c.String(coretest.OwnStatus(c.Request.URL.RawQuery), coretest.OwnBody) }
	session := gorillaRoute(coretest.SharedSocket)
	engine.Any(coretest.HealthPath, own)
	engine.POST(coretest.BesidePath, own)
	engine.Any(coretest.SharedPath, endpoint, func(c *gin.Context) {
		if gorilla.IsWebSocketUpgrade(c.Request) {
			session(c)
		} else {
			own(c)
		}
	})
	for _, k := range coretest.Sockets() {
		switch k.Family {
		case coretest.Handler:
			engine.GET(k.Path, coderRoute(s.Guard, k))
		case coretest.Endpoint:
			engine.GET(k.Path, endpoint, gorillaRoute(k))
		default:
			engine.GET(k.Path, gorillaRoute(k))
		}
	}
	return engine
}

func coderRoute(g *core.Guard, k coretest.Socket) gin.HandlerFunc {
	options := &coder.AcceptOptions{Subprotocols: []string{coretest.Subprotocol}, CompressionMode: coder.CompressionContextTakeover}
	session := func(ctx context.Context, _ *gin.Context, ws *coder.Conn) error {
		return k.Session(func() error {
			typ, b, err := ws.Read(ctx)
			if err == nil {
				err = ws.Write(ctx, typ, b)
			}
			return err
		})
	}
	if g != nil {
		return ginws.Handler(g, session, options)
	}
	return func(c *gin.Context) {
		if ws, err := coder.Accept(c.Writer, c.Request, options); err == nil {
			defer ws.CloseNow()
			_ = session(c.Request.Context(), c, ws)
		}
	}
}

// gorillaRoute is a common kind of route: it answers its errors even after the
// connection has left HTTP.
func gorillaRoute(k coretest.Socket) gin.HandlerFunc {
	up := gorilla.Upgrader{Subprotocols: []string{coretest.Subprotocol}, EnableCompression: true}
	return func(c *gin.Context) {
		ws, err := up.Upgrade(c.Writer, c.Request, nil)
		if err != nil {
			return
		}
		if k.Family == coretest.Endpoint {
			core.SessionOf(c.Request.Context()).OnDrain(func() {
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
			return
		}
		if !k.LeavesOpen() {
			defer ws.Close()
		}
		if err := k.Session(echo); err != nil {
			_ = c.Error(err)
			c.AbortWithStatusJSON(http.StatusInternalServerError, gin.H{"error": err.Error()})
		}
	}
}
