package filters

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/gin-contrib/gzip"
	"github.com/gin-contrib/timeout"
	"github.com/gin-gonic/gin"
	gorilla "github.com/gorilla/websocket"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/probetest"
	"github.com/quietws/quietws/ginws"
)

// layers are middleware of Gin that have a ResponseWriter of their own, and two that
// do not.
var layers = []func() gin.HandlerFunc{
	gin.Recovery,
	func() gin.HandlerFunc { return gin.LoggerWithWriter(io.Discard) },
	func() gin.HandlerFunc { return gzip.Gzip(gzip.DefaultCompression) },
	sync.OnceValue(func() gin.HandlerFunc { return timeout.New(timeout.WithTimeout(time.Minute)) }), // it sets a variable of its package
}

// TestGinLayers tests each layer alone, all of them, and three orders. With Handler a
// session opens and echoes behind all of them; with Endpoint it does if it does on the
// bare server. If it does not, a log line names the layer in the way.
func TestGinLayers(t *testing.T) {
	gin.SetMode(gin.ReleaseMode)
	guards := map[string]func(*core.Guard, *http.Server, *gin.Engine, func()){
		"the route alone": func(_ *core.Guard, _ *http.Server, _ *gin.Engine, use func()) { use() },
		"Attach": func(g *core.Guard, srv *http.Server, engine *gin.Engine, use func()) {
			use()
			ginws.Attach(g, srv, engine)
		},
		"Use before": func(g *core.Guard, _ *http.Server, engine *gin.Engine, use func()) {
			engine.Use(ginws.Middleware(g))
			use()
		},
		"Use after": func(g *core.Guard, _ *http.Server, engine *gin.Engine, use func()) {
			use()
			engine.Use(ginws.Middleware(g))
		},
	}
	stacks := [][]int{{0}, {1}, {2}, {3}, {0, 1, 2, 3}, {3, 2, 1, 0}, {2, 3, 0, 1}, {1, 3, 2, 0}}
	var running sync.WaitGroup // they mostly wait
	for name, add := range guards {
		for _, stack := range stacks {
			for _, path := range []string{"/handler", "/coder", "/gorilla"} {
				running.Go(func() {
					if err := behind(add, stack, path); err != nil {
						t.Errorf("%s, %s behind %v: %v", name, path, stack, err)
					}
				})
			}
		}
	}
	running.Wait()
}

func behind(add func(*core.Guard, *http.Server, *gin.Engine, func()), stack []int, path string) error {
	events := make(chan event.Event, 10)
	guard, err := core.New(core.Config{Logger: slog.New(slog.DiscardHandler), Observe: func(e event.Event) { events <- e }})
	if err != nil {
		return err
	}
	defer func() { _ = guard.Close() }()
	engine := gin.New()
	srv := &http.Server{Handler: engine, ErrorLog: log.New(io.Discard, "", 0)}
	use := func(engine *gin.Engine) {
		for _, i := range stack {
			engine.Use(layers[i]())
		}
	}
	add(guard, srv, engine, func() { use(engine) })
	engine.GET("/handler", ginws.Handler(guard, func(ctx context.Context, _ *gin.Context, ws *websocket.Conn) error {
		return coderEchoes(ctx, ws)
	}, nil))
	engine.GET("/coder", ginws.Endpoint(guard), coderRoute)
	engine.GET("/gorilla", ginws.Endpoint(guard), gorillaRoute)
	opened, err := opens(srv, path, events)
	if opened || err != nil {
		return err
	}
	if path == "/handler" {
		return errors.New("no session")
	}
	bare := gin.New()
	use(bare)
	bare.GET("/coder", coderRoute)
	bare.GET("/gorilla", gorillaRoute)
	if opened, _ := opens(&http.Server{Handler: bare, ErrorLog: srv.ErrorLog}, path, nil); opened {
		return errors.New("no session, and there is one on the bare server")
	}
	return nil
}

func coderRoute(c *gin.Context) {
	if ws, err := websocket.Accept(c.Writer, c.Request, nil); err == nil {
		defer func() { _ = ws.CloseNow() }()
		_ = coderEchoes(c.Request.Context(), ws)
	}
}

func coderEchoes(ctx context.Context, ws *websocket.Conn) error {
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

func gorillaRoute(c *gin.Context) {
	var upgrader gorilla.Upgrader
	ws, err := upgrader.Upgrade(c.Writer, c.Request, nil)
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
}

// opens reports whether a session opens on srv and echoes. If not, it waits for the
// event about a layer; events is nil on the bare server, which has none.
func opens(srv *http.Server, path string, events <-chan event.Event) (opened bool, err error) {
	s := httptest.NewUnstartedServer(nil)
	s.Config = srv
	s.Start()
	defer s.Close()
	nc, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		return false, err
	}
	defer func() { _ = nc.Close() }()
	patience := 20 * time.Second
	if events == nil {
		patience = 2 * time.Second
	}
	_ = nc.SetDeadline(time.Now().Add(patience))
	// In nginx's letter case: gin-contrib's gzip skips only "Upgrade".
	r := probetest.WebSocket(path).Without("Connection").With(
		probetest.Field{Name: "Connection", Value: "upgrade"}, probetest.Field{Name: "Accept-Encoding", Value: "gzip"})
	if _, err := nc.Write(r.Bytes(probetest.Target{Addr: s.Listener.Addr().String()})); err != nil {
		return false, err
	}
	session := make(chan error, 1)
	go func() { session <- echoed(nc) }()
	select {
	case err := <-session:
		if err == nil || events == nil {
			return err == nil, nil
		}
		return false, err
	case e := <-events:
		if e.Class != event.UpgradeFailed || !slices.ContainsFunc([]string{"gin-contrib/gzip.gzipWriter", "gin-contrib/timeout.Writer"},
			func(layer string) bool { return strings.Contains(e.Remedy, layer) }) {
			return false, fmt.Errorf("logged %v/%v: %s", e.Class, e.Reason, e.Remedy)
		}
		return false, nil
	}
}

// echoed reads the answer to a handshake, and exchanges a message.
func echoed(nc net.Conn) error {
	br := bufio.NewReader(nc)
	res, err := http.ReadResponse(br, nil)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		return errors.New(res.Status)
	}
	if _, err := nc.Write(probetest.Frame{Opcode: probetest.OpText, Payload: []byte("hello")}.Bytes()); err != nil {
		return err
	}
	echo := make([]byte, 7)
	if _, err := io.ReadFull(br, echo); err != nil || string(echo[2:]) != "hello" {
		return fmt.Errorf("echoed %q, %w", echo, err)
	}
	return nil
}
