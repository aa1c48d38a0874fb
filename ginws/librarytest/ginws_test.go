package librarytest

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/gin-gonic/gin"
	gorilla "github.com/gorilla/websocket"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/probetest"
	"github.com/quietws/quietws/ginws"
)

// Attach alone is enough to judge and count everything; routes may be added until the
// server starts.
func TestAttachAlone(t *testing.T) {
	g, events := guarded(t)
	engine := gin.New()
	access := new(lines)
	engine.Use(gin.LoggerWithConfig(gin.LoggerConfig{Output: access, Skip: ginws.Quiet(g), Formatter: func(p gin.LogFormatterParams) string {
		return fmt.Sprintf("%d %s\n", p.StatusCode, p.Path)
	}}))
	serverLog := new(lines)
	srv := &http.Server{Handler: engine, ErrorLog: log.New(serverLog, "", 0)}
	ginws.Attach(g, srv, engine)
	engine.GET("/readyz", func(c *gin.Context) { c.String(http.StatusOK, "own") })
	up := gorilla.Upgrader{}
	library := func(c *gin.Context) {
		ws, err := up.Upgrade(c.Writer, c.Request, nil)
		if err != nil {
			return
		}
		defer ws.Close()
		_, _, err = ws.ReadMessage()
		c.AbortWithStatusJSON(http.StatusInternalServerError, gin.H{"error": err.Error()})
	}
	engine.GET("/library", library)
	engine.GET("/endpoint", ginws.Endpoint(g), library)
	engine.GET("/handler", ginws.Handler(g, func(ctx context.Context, _ *gin.Context, ws *websocket.Conn) error {
		_, _, err := ws.Read(ctx)
		return err
	}, nil))
	addr, stop := started(t, srv, nil)
	target := probetest.Target{Addr: addr}
	for path, want := range map[string]string{"/readyz": "own", "/livez": "ok\n"} {
		if res, err := probetest.Do(t.Context(), target, probetest.Request{Path: path}); err != nil || res.Body != want {
			t.Errorf("%s: %q %v, want %q", path, res.Body, err, want)
		}
	}
	for _, target.Path = range []string{"/library", "/endpoint", "/handler"} {
		session, _, err := probetest.Open(t.Context(), target)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := session.Close(t.Context(), 1000); err != nil {
			t.Errorf("%s: %v", target.Path, err)
		}
		if e := next(t, events, event.SessionEnded); e.Path != target.Path || e.Status != 101 {
			t.Errorf("%s: %+v", target.Path, e)
		}
	}
	if res, err := probetest.Do(t.Context(), target, probetest.WebSocket("/nowhere")); err != nil || res.Status != 404 {
		t.Errorf("%+v %v", res, err)
	}
	if e := next(t, events, event.HandshakeRefused); e.Reason != event.ReasonNoRoute || e.Status != 404 {
		t.Errorf("%+v", e)
	}
	stop()
	// Gin's own writer does not learn of the hijack: that takes Middleware.
	want := []string{"101 /endpoint\n", "101 /handler\n", "200 /library\n", "200 /readyz\n", "404 /nowhere\n"}
	if !eventually(func() bool { return slices.Equal(slices.Sorted(strings.Lines(access.String())), want) }) {
		t.Errorf("the access log is\n%swant %q", access, want)
	}
	if serverLog.String() != "" {
		t.Errorf("the server's log: %s", serverLog)
	}
}

// If Middleware cannot find the engine, a health route is the application's unless it
// answers one of the four statuses.
func TestMiddlewareThatCannotAskTheEngine(t *testing.T) {
	const ours = "ok\n"
	for _, row := range []struct {
		name, method, path string
		add                func(*gin.Engine)
		status             int
		body               string
	}{
		{"no route", "GET", "/livez", nil, 200, ours},
		{"no route, no body", "HEAD", "/livez", nil, 200, ""},
		{"a route for another method", "OPTIONS", "/livez", func(e *gin.Engine) {
			e.HandleMethodNotAllowed = true
			e.GET("/livez", func(*gin.Context) {})
		}, 200, ours},
		{"a handler for what has no route", "GET", "/livez", func(e *gin.Engine) {
			e.NoRoute(func(c *gin.Context) { c.JSON(http.StatusNotFound, "nothing") })
		}, 200, ours},
		{"the status alone", "GET", "/livez", func(e *gin.Engine) {
			e.NoRoute(func(c *gin.Context) { c.AbortWithStatus(http.StatusForbidden) })
		}, 200, ours},
		{"a status that waits to be written", "GET", "/livez", func(e *gin.Engine) {
			e.GET("/*any", func(c *gin.Context) { c.Status(http.StatusNotFound) })
		}, 200, ours},
		{"a route of its own", "GET", "/livez", func(e *gin.Engine) {
			e.GET("/livez", func(c *gin.Context) { c.String(503, "own") })
		}, 503, "own"},
		{"a route of its own that says nothing", "GET", "/livez", func(e *gin.Engine) {
			e.GET("/livez", func(c *gin.Context) { c.Status(http.StatusNoContent) })
		}, 204, ""},
		{"another path", "GET", "/nowhere", nil, 404, "404 page not found"},
	} {
		t.Run(row.name, func(t *testing.T) {
			g, _ := guarded(t)
			engine := gin.New()
			engine.Use(ginws.Middleware(g))
			if row.add != nil {
				row.add(engine)
			}
			w := httptest.NewRecorder()
			engine.ServeHTTP(w, httptest.NewRequest(row.method, row.path, nil))
			if w.Code != row.status || w.Body.String() != row.body {
				t.Errorf("answered %d %q, want %d %q", w.Code, w.Body, row.status, row.body)
			}
		})
	}
}

// Gin delays the header: the core sees the status that the client gets, no matter what
// writes it and when.
func TestTheStatusIsKnownWhenItIsWritten(t *testing.T) {
	answersErrors := func(c *gin.Context) {
		if c.Next(); len(c.Errors) > 0 && !c.Writer.Written() {
			c.String(http.StatusServiceUnavailable, "later")
		}
	}
	for _, row := range []struct {
		name   string
		outer  gin.HandlerFunc // outside Middleware
		route  gin.HandlerFunc
		status int
		class  event.Class
	}{
		{"the status alone", nil, func(c *gin.Context) { c.Status(http.StatusPaymentRequired) }, 402, event.HandshakeRefused},
		{"one that gives way to another", nil, func(c *gin.Context) { c.Status(http.StatusConflict); c.String(http.StatusPaymentRequired, "no") }, 402, event.HandshakeRefused},
		{"flushed", nil, func(c *gin.Context) { c.Status(http.StatusPaymentRequired); c.Writer.Flush() }, 402, event.HandshakeRefused},
		{"written at once", nil, func(c *gin.Context) { c.AbortWithStatus(http.StatusBadGateway) }, 502, event.UpgradeFailed},
		{"nothing", nil, func(*gin.Context) {}, 200, event.HandshakeRefused},
		{"no route", nil, nil, 404, event.HandshakeRefused},
		{"an error that somebody outside answers", answersErrors, func(c *gin.Context) { _ = c.Error(errors.New("no")) }, 503, event.UpgradeFailed},
		{"a panic that somebody outside answers", gin.Recovery(), func(*gin.Context) { panic("no") }, 500, event.HandlerPanic},
	} {
		for _, where := range []string{"Middleware", "Endpoint", "Attach and Middleware", "Attach and Endpoint"} {
			t.Run(row.name+"/"+where, func(t *testing.T) {
				attach := strings.HasPrefix(where, "Attach")
				g, events := guarded(t)
				engine := gin.New()
				if row.outer != nil {
					engine.Use(row.outer)
				}
				if strings.HasSuffix(where, "Middleware") {
					engine.Use(ginws.Middleware(g))
				} else {
					engine.Use(ginws.Endpoint(g))
				}
				if row.route != nil {
					engine.GET("/ws", row.route)
				}
				target, _, _ := served(t, g, engine, attach)
				res, err := probetest.Do(t.Context(), target, probetest.WebSocket("/ws"))
				if err != nil || res.Status != row.status {
					t.Errorf("answered %d %v, want %d", res.Status, err, row.status)
				}
				class, status := row.class, row.status
				if class == event.HandlerPanic && attach { // it was recovered before it reached the guard
					class = event.UpgradeFailed
				} else if class == event.HandlerPanic {
					status = 0
				}
				if e := next(t, events, class); e.Status != status {
					t.Errorf("logged %v with status %d, want %d", e.Class, e.Status, status)
				}
			})
		}
	}
}

// An answer of the guard is complete, both before the chain and in place of Gin's 404:
// outer middleware does not add a second one.
func TestAnAnswerWithoutABodyIsAnAnswer(t *testing.T) {
	for _, asks := range []bool{true, false} {
		g, _ := guarded(t)
		engine := gin.New()
		engine.Use(func(c *gin.Context) {
			if c.Next(); !c.Writer.Written() {
				c.String(http.StatusInternalServerError, "nothing was written")
			}
		}, ginws.Middleware(g))
		if asks {
			ginws.Attach(g, &http.Server{Handler: engine}, engine)
		}
		w := httptest.NewRecorder()
		engine.ServeHTTP(w, httptest.NewRequest(http.MethodHead, "/livez", nil))
		if w.Code != http.StatusOK || w.Body.Len() > 0 {
			t.Errorf("the engine is asked %t: answered %d %q, want 200", asks, w.Code, w.Body)
		}
	}
}

// A panic ends its session and the chain: no later handler runs.
func TestAPanicEndsTheChain(t *testing.T) {
	g, events := guarded(t)
	engine := gin.New()
	outside, inside := make(chan bool, 1), make(chan bool, 1)
	engine.Use(func(c *gin.Context) { c.Next(); outside <- c.IsAborted() })
	up := gorilla.Upgrader{}
	engine.GET("/ws", ginws.Endpoint(g), func(c *gin.Context) {
		if _, err := up.Upgrade(c.Writer, c.Request, nil); err == nil {
			panic("in the session")
		}
	}, func(*gin.Context) { inside <- true })
	target, _, _ := served(t, g, engine, false)
	target.Path = "/ws"
	session, _, err := probetest.Open(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	if f, err := session.Read(t.Context()); err == nil {
		t.Errorf("the peer got %q", f.Payload)
	}
	next(t, events, event.HandlerPanic)
	if !<-outside || len(inside) > 0 {
		t.Error("the chain went on")
	}
}

// core.SessionOf accepts a *gin.Context, whether or not ContextWithFallback is set.
func TestSessionOfAGinContext(t *testing.T) {
	for _, fallback := range []bool{false, true} {
		g, _ := guarded(t)
		engine := gin.New()
		engine.ContextWithFallback = fallback
		found := make(chan bool, 1)
		up := gorilla.Upgrader{}
		library := func(c *gin.Context) {
			if ws, err := up.Upgrade(c.Writer, c.Request, nil); err == nil {
				type key struct{}
				found <- core.SessionOf(c) != nil && core.SessionOf(context.WithValue(c, key{}, 1)) == core.SessionOf(c.Request.Context())
				_ = ws.Close()
			}
		}
		engine.GET("/library", library)
		engine.GET("/middleware", ginws.Middleware(g), library)
		engine.GET("/endpoint", ginws.Endpoint(g), library)
		engine.GET("/handler", ginws.Handler(g, func(ctx context.Context, c *gin.Context, _ *websocket.Conn) error {
			found <- core.SessionOf(c) != nil && core.SessionOf(ctx) == core.SessionOf(c)
			return nil
		}, nil))
		target, _, _ := served(t, g, engine, true)
		for _, target.Path = range []string{"/library", "/middleware", "/endpoint", "/handler"} {
			session, _, err := probetest.Open(t.Context(), target)
			if err != nil {
				t.Fatal(err)
			}
			if !<-found {
				t.Errorf("ContextWithFallback %t, %s: no session", fallback, target.Path)
			}
			_, _ = session.Close(t.Context(), 1000)
		}
		if core.SessionOf(new(gin.Context)) != nil {
			t.Error("a session of no request")
		}
	}
}
