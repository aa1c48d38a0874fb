package librarytest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/gin-gonic/gin"
	gorilla "github.com/gorilla/websocket"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/probetest"
	"github.com/quietws/quietws/ginws"
)

// engines are Gin's default engine, and one with the opposite of every setting that
// affects answers. first is added before everything else.
var engines = map[string]func(first ...gin.HandlerFunc) *gin.Engine{
	"default": func(first ...gin.HandlerFunc) *gin.Engine {
		engine := gin.Default()
		engine.Use(first...)
		return engine
	},
	"configured": func(first ...gin.HandlerFunc) *gin.Engine {
		engine := gin.New()
		engine.HandleMethodNotAllowed, engine.RedirectFixedPath = true, true
		engine.ContextWithFallback, engine.RemoveExtraSlash = true, true
		engine.Use(first...)
		engine.Use(gin.LoggerWithWriter(io.Discard), gin.CustomRecoveryWithWriter(io.Discard, func(c *gin.Context, _ any) {
			c.AbortWithStatusJSON(http.StatusInternalServerError, gin.H{"problem": "panic"})
		}))
		engine.Use(func(c *gin.Context) { // as in Gin's documentation
			if c.Next(); len(c.Errors) > 0 {
				c.JSON(http.StatusInternalServerError, gin.H{"problem": c.Errors.Last().Error()})
			}
		})
		engine.NoRoute(func(c *gin.Context) { c.JSON(http.StatusNotFound, gin.H{"problem": "route"}) })
		engine.NoMethod(func(c *gin.Context) { c.JSON(http.StatusMethodNotAllowed, gin.H{"problem": "method"}) })
		return engine
	},
}

// routes adds realistic routes: the application's own health routes on three of the
// paths, one of them behind a redirect, wildcards, groups, answers with only a status,
// and errors that are left to middleware.
func routes(engine *gin.Engine) {
	engine.GET("/healthz", func(c *gin.Context) { c.JSON(http.StatusOK, "my health") })
	engine.Any("/readyz", func(c *gin.Context) { c.String(http.StatusTeapot, "my readiness") })
	engine.GET("/livez/", func(c *gin.Context) { c.String(http.StatusOK, "my liveness") })
	engine.GET("/key/:key", func(c *gin.Context) { c.String(http.StatusOK, "key "+c.Param("key")) })
	engine.GET("/files/*path", func(c *gin.Context) { c.String(http.StatusOK, "file "+c.Param("path")) })
	engine.POST("/post", func(c *gin.Context) {
		body, err := io.ReadAll(c.Request.Body)
		if err == nil {
			c.Data(http.StatusCreated, "application/octet-stream", body)
		}
	})
	group := engine.Group("/group", func(c *gin.Context) {
		if c.Query("no") != "" {
			c.AbortWithStatus(http.StatusUnauthorized)
		}
	})
	group.GET("/one", func(c *gin.Context) { c.String(http.StatusOK, "one") })
	group.GET("/status", func(c *gin.Context) { c.Status(http.StatusNoContent) })
	group.GET("/nothing", func(*gin.Context) {})
	group.GET("/changed", func(c *gin.Context) { c.Status(http.StatusNotFound); c.String(http.StatusOK, "found") })
	engine.GET("/fail", func(c *gin.Context) { _ = c.Error(errors.New("no")) })
	engine.GET("/abort", func(c *gin.Context) { _ = c.AbortWithError(http.StatusBadGateway, errors.New("no")) })
	engine.GET("/panic", func(*gin.Context) { panic("boom") })
	engine.GET("/deadline", func(c *gin.Context) {
		c.String(http.StatusOK, "deadline: %v", http.NewResponseController(c.Writer).SetReadDeadline(time.Time{}))
	})
	engine.GET("/stream", func(c *gin.Context) {
		n := 0
		c.Stream(func(w io.Writer) bool {
			n++
			c.SSEvent("data", n)
			return n < 3
		})
	})
	upgrader := gorilla.Upgrader{CheckOrigin: func(*http.Request) bool { return true },
		Subprotocols: []string{"chat"}, EnableCompression: true}
	engine.GET("/ws/gorilla", func(c *gin.Context) {
		ws, err := upgrader.Upgrade(c.Writer, c.Request, nil)
		if err != nil {
			_ = c.Error(err)
			return
		}
		defer func() { _ = ws.Close() }()
		for {
			kind, p, err := ws.ReadMessage()
			if err == nil {
				err = ws.WriteMessage(kind, p)
			}
			if err != nil {
				c.AbortWithStatusJSON(http.StatusInternalServerError, gin.H{"error": err.Error()})
				return
			}
		}
	})
	group.GET("/ws/coder", func(c *gin.Context) {
		ws, err := websocket.Accept(c.Writer, c.Request, &websocket.AcceptOptions{
			InsecureSkipVerify: true, Subprotocols: []string{"chat"}, CompressionMode: websocket.CompressionContextTakeover})
		if err != nil {
			return
		}
		defer func() { _ = ws.CloseNow() }()
		for {
			kind, p, err := ws.Read(c) // the *gin.Context as a context
			if err == nil {
				err = ws.Write(c, kind, p)
			}
			if err != nil {
				return
			}
		}
	})
}

// started serves srv. It returns the address, and a function that stops srv before
// the end of the test.
func started(t *testing.T, srv *http.Server, certificate *tls.Certificate) (addr string, stop func()) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if srv.ErrorLog == nil {
		srv.ErrorLog = log.New(io.Discard, "", 0)
	}
	done := make(chan error, 1)
	if certificate == nil {
		go func() { done <- srv.Serve(ln) }()
	} else {
		srv.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*certificate}}
		go func() { done <- srv.ServeTLS(ln, "", "") }()
	}
	stop = sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := srv.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve returned %v, want ErrServerClosed", err)
		}
	})
	t.Cleanup(stop)
	return ln.Addr().String(), stop
}

// wrappers are handlers that applications put around an engine.
var wrappers = map[string]func(*gin.Engine) http.Handler{
	"engine": func(e *gin.Engine) http.Handler { return e },
	"mux": func(e *gin.Engine) http.Handler {
		mux := http.NewServeMux()
		mux.Handle("/", e)
		return mux
	},
	"h2c": func(e *gin.Engine) http.Handler {
		e.UseH2C = true
		return e.Handler()
	},
	"func": func(e *gin.Engine) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { e.ServeHTTP(struct{ fullWriter }{w.(fullWriter)}, r) })
	},
}

type fullWriter interface {
	http.ResponseWriter
	http.Flusher
	http.Hijacker
	CloseNotify() <-chan bool
}

// An application that adds one line, Use of Middleware or Attach, keeps all its
// answers: each request is sent with and without quietws, and the bytes of the answers
// are compared.
func TestAnExistingApplicationKeepsItsAnswers(t *testing.T) {
	certificate, roots, err := probetest.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	adds := []struct {
		name               string
		middleware, attach bool
		wrapper            string
	}{
		{"Use", true, false, "engine"},
		{"Attach", false, true, "engine"},
		{"Attach around a mux", false, true, "mux"},
		{"Attach around h2c", false, true, "h2c"},
		{"Attach around a wrapper", false, true, "func"},
		{"Attach and Use", true, true, "engine"},
	}
	for kind, engine := range engines {
		for _, add := range adds {
			for _, port := range []string{"plain", "tls"} {
				t.Run(kind+"/"+add.name+"/"+port, func(t *testing.T) {
					t.Parallel()
					var cert *tls.Certificate
					target := probetest.Target{}
					if port == "tls" {
						cert, target.TLS = &certificate, &tls.Config{RootCAs: roots, ServerName: "localhost"}
					}
					guard, err := core.New(core.Config{Logger: slog.New(slog.DiscardHandler)})
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() { _ = guard.Close() })
					app := engine()
					routes(app)
					bare, with := target, target
					bare.Addr, _ = started(t, &http.Server{Handler: wrappers[add.wrapper](app)}, cert)

					if app = engine(); add.middleware {
						app = engine(ginws.Middleware(guard))
					}
					routes(app)
					srv := &http.Server{Handler: wrappers[add.wrapper](app)}
					if add.attach {
						ginws.Attach(guard, srv, app)
					}
					with.Addr, _ = started(t, srv, cert)
					for _, r := range existingRequests() {
						want, got := answer(t, bare, r), answer(t, with, r)
						if !bytes.Equal(want, got) {
							t.Errorf("%s %s (%v): the answer changed\n--- bare\n%s\n--- with quietws\n%s", r.Method, r.Path, r.Header, want, got)
						}
					}
				})
			}
		}
	}
}

func existingRequests() []probetest.Request {
	all := []probetest.Request{
		{Path: "/healthz"}, {Method: "HEAD", Path: "/healthz"}, {Method: "POST", Path: "/healthz"}, {Path: "/healthz/"},
		{Path: "/readyz"}, {Method: "OPTIONS", Path: "/readyz"}, {Path: "/livez"}, {Path: "/livez/"}, {Method: "HEAD", Path: "/livez"},
		{Path: "/key/a"}, {Path: "/key/a/"}, {Path: "/files/a/b"}, {Path: "/files/"}, {Path: "/files"}, {Path: "/Key/a"},
		{Path: "/no/such/route"}, {Method: "HEAD", Path: "/no/such/route"}, {Path: "//group//one"}, {Method: "DELETE", Path: "/key/a"},
		{Path: "/group/one"}, {Path: "/group/one?no=1"}, {Path: "/group/status"}, {Path: "/group/nothing"}, {Path: "/group/changed"},
		{Method: "POST", Path: "/post", Body: "a body"},
		{Path: "/fail"}, {Path: "/abort"}, {Path: "/panic"}, probetest.Request{Path: "/stream"}.With(closing),
		probetest.Kubelet("/key/a"), probetest.ALB("/no/such/route"), probetest.Kubelet("/fail"), probetest.Kubelet("/abort"),
		probetest.Kubelet("/panic"), probetest.Kubelet("/deadline"), probetest.Kubelet("/group/status"), probetest.Kubelet("/group/nothing"), probetest.Kubelet("/group/changed"),
		probetest.Kubelet("/healthz"), probetest.HAProxy("/key/a"), probetest.HAProxy("/healthz"), probetest.Kubelet("/livez"),
		probetest.Curl("/stream").With(closing), probetest.Kubelet("/stream"), probetest.Kubelet("/key/a/"), probetest.Kubelet("/Key/a"),
	}
	for _, path := range []string{"/ws/gorilla", "/group/ws/coder", "/key/a", "/no/such/route", "/fail", "/abort", "/panic", "/deadline",
		"/group/status", "/group/nothing", "/group/changed", "/group/one?no=1", "/key/a/"} {
		handshakes := []probetest.Request{
			probetest.WebSocket(path), probetest.Foreign(path), probetest.SplitConnection(path), probetest.OddCase(path),
			probetest.TokenLists(path), probetest.HTTP10(path), probetest.TwoKeys(path), probetest.BadKey(path),
			probetest.NoUpgrade(path), probetest.NoConnection(path), probetest.Version8(path), probetest.NoKey(path),
			probetest.PlainGet(path), probetest.ByMethod("POST", path), probetest.ByMethod("HEAD", path), probetest.ThroughNginx(path),
			probetest.WebSocket(path).With(probetest.Field{Name: "Sec-WebSocket-Protocol", Value: "other, chat"},
				probetest.Field{Name: "Sec-WebSocket-Extensions", Value: "permessage-deflate; client_max_window_bits"}),
			probetest.Kubelet(path), probetest.ALB(path),
		}
		all = append(all, handshakes...)
	}
	return all
}

// closing is for requests whose handler checks whether the client has gone.
var closing = probetest.Field{Name: "Connection", Value: "close"}

// answer returns the bytes that answer r, except the date: the head and the body, or
// after a 101 the head, the echo of a frame and the close frame.
func answer(t *testing.T, target probetest.Target, r probetest.Request) []byte {
	t.Helper()
	var nc net.Conn
	var err error
	if target.TLS == nil {
		nc, err = net.Dial("tcp", target.Addr)
	} else {
		nc, err = tls.Dial("tcp", target.Addr, target.TLS)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = nc.Close() }()
	if err := nc.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	r.Host = "localhost" // without the port, which differs
	if _, err := nc.Write(r.Bytes(target)); err != nil {
		t.Fatal(err)
	}
	br := bufio.NewReader(nc)
	var out bytes.Buffer
	status := ""
	for {
		line, err := br.ReadString('\n')
		if status == "" {
			status = line
		}
		if !strings.HasPrefix(line, "Date: ") {
			out.WriteString(line)
		}
		if err != nil || line == "\r\n" {
			break
		}
	}
	if strings.Contains(status, " 101 ") {
		frames := append(probetest.Frame{Opcode: probetest.OpText, Payload: []byte("to and fro")}.Bytes(),
			probetest.CloseFrame(1000, "").Bytes()...)
		if _, err := nc.Write(frames); err != nil {
			t.Fatal(err)
		}
	} else if cw, ok := nc.(interface{ CloseWrite() error }); ok && !slices.Contains(r.Header, closing) {
		_ = cw.CloseWrite()
	}
	rest, err := io.ReadAll(br)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatalf("%s %s: %v after %q", r.Method, r.Path, err, out.String())
	}
	out.Write(rest)
	return out.Bytes()
}
