package librarytest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/gin-gonic/gin"
	gorilla "github.com/gorilla/websocket"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/probetest"
	"github.com/quietws/quietws/ginws"
)

// lines is a log that tests can read.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *lines) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf.Reset()
}

// served serves engine, with the guard attached or not.
func served(t *testing.T, g *core.Guard, engine *gin.Engine, attach bool) (target probetest.Target, serverLog *lines, stop func()) {
	t.Helper()
	serverLog = new(lines)
	srv := &http.Server{Handler: engine, ErrorLog: log.New(serverLog, "", 0)}
	if attach {
		ginws.Attach(g, srv, engine)
	}
	addr, stop := started(t, srv, nil)
	return probetest.Target{Addr: addr}, serverLog, stop
}

// guarded is a guard and what it logs.
func guarded(t *testing.T) (*core.Guard, chan event.Event) {
	t.Helper()
	events := make(chan event.Event, 100)
	g, err := core.New(core.Config{Logger: slog.New(slog.DiscardHandler), Observe: func(e event.Event) { events <- e }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Close() })
	return g, events
}

func next(t *testing.T, events chan event.Event, class event.Class) event.Event {
	t.Helper()
	timeout := time.NewTimer(10 * time.Second)
	defer timeout.Stop()
	for {
		select {
		case e := <-events:
			if e.Class == class {
				return e
			}
		case <-timeout.C:
			t.Fatalf("no event %v", class)
		}
	}
}

// eventually polls ok, for what servers do after their clients have seen the end.
func eventually(ok func() bool) bool {
	tick, timeout := time.NewTicker(time.Millisecond), time.NewTimer(10*time.Second)
	defer tick.Stop()
	defer timeout.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-timeout.C:
			return ok()
		}
	}
	return true
}

// afterwards are things that handlers do to a response that has become a session.
var afterwards = map[string]func(*gin.Context){
	"JSON":        func(c *gin.Context) { c.AbortWithStatusJSON(http.StatusInternalServerError, gin.H{"error": "no"}) },
	"status":      func(c *gin.Context) { c.AbortWithStatus(http.StatusBadGateway) },
	"error":       func(c *gin.Context) { _ = c.AbortWithError(http.StatusTeapot, errors.New("no")) },
	"string":      func(c *gin.Context) { c.String(http.StatusOK, "bye") },
	"redirect":    func(c *gin.Context) { c.Redirect(http.StatusFound, "/") },
	"WriteString": func(c *gin.Context) { _, _ = c.Writer.WriteString("bye") },
	"flush":       func(c *gin.Context) { c.Status(http.StatusAccepted); c.Writer.Flush() },
	"stream":      func(c *gin.Context) { c.SSEvent("bye", "bye"); c.Writer.WriteHeaderNow() },
	"http.Error":  func(c *gin.Context) { http.Error(c.Writer, "bye", http.StatusInternalServerError) },
	"controller":  func(c *gin.Context) { _ = http.NewResponseController(c.Writer).Flush() },
}

// What a handler writes once the connection has left HTTP never reaches the client, and
// the access log says 101. Neither Gin's debug mode nor the server's own log reports
// it.
func TestNothingIsWrittenAfterAHijack(t *testing.T) {
	debug := new(lines)
	mode, printing := gin.Mode(), gin.DebugPrintFunc
	gin.SetMode(gin.DebugMode)
	gin.DebugPrintFunc = func(format string, values ...any) { fmt.Fprintf(debug, format+"\n", values...) }
	t.Cleanup(func() { gin.SetMode(mode); gin.DebugPrintFunc = printing })

	const farewell = "the last message"
	up := gorilla.Upgrader{}
	withGorilla := func(c *gin.Context) {
		if ws, err := up.Upgrade(c.Writer, c.Request, nil); err == nil {
			defer ws.Close()
			defer ws.WriteMessage(gorilla.TextMessage, []byte(farewell)) //nolint:errcheck // the client reports it
			afterwards[c.Param("how")](c)
		}
	}
	withCoder := func(c *gin.Context) {
		if ws, err := websocket.Accept(c.Writer, c.Request, nil); err == nil {
			defer ws.CloseNow()
			defer ws.Write(c, websocket.MessageText, []byte(farewell)) //nolint:errcheck // the client reports it
			afterwards[c.Param("how")](c)
		}
	}
	g, _ := guarded(t)
	engine := gin.New()
	access := new(lines)
	engine.Use(gin.LoggerWithConfig(gin.LoggerConfig{Output: access, Formatter: func(p gin.LogFormatterParams) string {
		return fmt.Sprintf("%d %s\n", p.StatusCode, p.Path)
	}}))
	middleware, endpoint := engine.Group("/middleware", ginws.Middleware(g)), engine.Group("/endpoint", ginws.Endpoint(g))
	for _, group := range []*gin.RouterGroup{middleware, endpoint} {
		group.GET("/gorilla/:how", withGorilla)
		group.GET("/coder/:how", withCoder)
	}
	engine.GET("/handler/:how", ginws.Handler(g, func(ctx context.Context, c *gin.Context, ws *websocket.Conn) error {
		afterwards[c.Param("how")](c)
		return ws.Write(ctx, websocket.MessageText, []byte(farewell))
	}, nil))
	for _, attach := range []bool{false, true} {
		target, serverLog, stop := served(t, g, engine, attach)
		before := debug.String()
		want := 0
		for _, route := range []string{"/middleware/gorilla/", "/middleware/coder/", "/endpoint/gorilla/", "/endpoint/coder/", "/handler/"} {
			for how := range afterwards {
				want++
				target.Path = route + how
				session, _, err := probetest.Open(t.Context(), target)
				if err != nil {
					t.Fatal(err)
				}
				f, err := session.Read(t.Context())
				if err != nil || string(f.Payload) != farewell {
					t.Errorf("%s: got %q, %v; want the message that followed", target.Path, f.Payload, err)
				}
				_, _ = session.Close(t.Context(), 1000)
			}
		}
		stop()
		if !eventually(func() bool { return strings.Count(access.String(), "\n") == want }) || strings.Count(access.String(), "101 ") != want {
			t.Errorf("attach %t: not all of %d sessions are 101 in the access log:\n%s", attach, want, access)
		}
		access.reset()
		if got := strings.TrimPrefix(debug.String(), before); got != "" {
			t.Errorf("attach %t: Gin complains:\n%s", attach, got)
		}
		if serverLog.String() != "" {
			t.Errorf("attach %t: the server's log:\n%s", attach, serverLog)
		}
	}
}

// A failed hijack makes no session: the status stays, and what is written is the
// response.
func TestAHijackThatFails(t *testing.T) {
	g, _ := guarded(t)
	engine := gin.New()
	engine.Use(ginws.Middleware(g))
	engine.GET("/ws", func(c *gin.Context) {
		if _, _, err := c.Writer.Hijack(); err == nil {
			t.Error("hijacked")
		}
		if got := c.Writer.Status(); got != http.StatusOK {
			t.Errorf("status %d after a hijack that failed, want the 200 of before", got)
		}
		_, _ = c.Writer.WriteString("sorry")
	})
	w := &refuses{httptest.NewRecorder()}
	r := httptest.NewRequest(http.MethodGet, "/ws", nil)
	for _, f := range probetest.WebSocket("/ws").Header {
		r.Header.Set(f.Name, f.Value)
	}
	engine.ServeHTTP(w, r)
	if w.Code != http.StatusOK || w.Body.String() != "sorry" {
		t.Errorf("answered %d %q, want 200 and what the handler wrote", w.Code, w.Body)
	}
}

// refuses to hand the connection over.
type refuses struct{ *httptest.ResponseRecorder }

func (refuses) Hijack() (net.Conn, *bufio.ReadWriter, error) { return nil, nil, errors.New("not here") }
