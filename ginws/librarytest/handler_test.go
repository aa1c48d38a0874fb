package librarytest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/coder/websocket"
	"github.com/gin-gonic/gin"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/probetest"
	"github.com/quietws/quietws/ginws"
)

// The options decide which pages may open a session, as in coder/websocket.
func TestHandlerReadsTheOptionsForOrigins(t *testing.T) {
	foreign := probetest.Foreign("/ws")
	for _, row := range []struct {
		name    string
		options *websocket.AcceptOptions
		status  int
	}{
		{"no options: the same origin", nil, http.StatusForbidden},
		{"options that say nothing", &websocket.AcceptOptions{}, http.StatusForbidden},
		{"another pattern", &websocket.AcceptOptions{OriginPatterns: []string{"*.example.org"}}, http.StatusForbidden},
		{"a pattern", &websocket.AcceptOptions{OriginPatterns: []string{"*"}}, http.StatusSwitchingProtocols},
		{"every page", &websocket.AcceptOptions{InsecureSkipVerify: true}, http.StatusSwitchingProtocols},
	} {
		t.Run(row.name, func(t *testing.T) {
			g, _ := guarded(t)
			engine := gin.New()
			engine.GET("/ws", ginws.Handler(g, func(context.Context, *gin.Context, *websocket.Conn) error { return nil }, row.options))
			target, _, _ := served(t, g, engine, false)
			res, err := probetest.Do(t.Context(), target, foreign)
			if err != nil || res.Status != row.status {
				t.Errorf("a page of another origin is answered %d %v, want %d", res.Status, err, row.status)
			}
		})
	}
}

// However f returns, the connection is closed, with this code.
func TestHandlerClosesTheSession(t *testing.T) {
	for _, row := range []struct {
		name    string
		returns error
		code    int // 0: no close frame
	}{
		{"an error", errors.New("no"), 1011},
		{"an error that says it is closed", fmt.Errorf("read: %w", websocket.CloseError{Code: 4001}), 0},
		{"nil", nil, 1000},
	} {
		t.Run(row.name, func(t *testing.T) {
			g, events := guarded(t)
			engine := gin.New()
			engine.GET("/ws", ginws.Handler(g, func(context.Context, *gin.Context, *websocket.Conn) error { return row.returns }, nil))
			target, _, _ := served(t, g, engine, true)
			target.Path = "/ws"
			session, _, err := probetest.Open(t.Context(), target)
			if err != nil {
				t.Fatal(err)
			}
			f, err := session.Read(t.Context())
			code := 0
			if err == nil && len(f.Payload) >= 2 {
				code = int(f.Payload[0])<<8 | int(f.Payload[1])
				_, _ = session.Close(t.Context(), code)
			} else if !errors.Is(err, io.EOF) {
				t.Errorf("the peer read %v, %v; want the connection closed", f, err)
			}
			if code != row.code {
				t.Errorf("closed with %d, want %d", code, row.code)
			}
			next(t, events, event.SessionEnded)
		})
	}
}

// The path of a route with a parameter is not remembered: probers still get the
// application's own answers to other methods there.
func TestARouteWithAParameter(t *testing.T) {
	g, events := guarded(t)
	engine := gin.New()
	session := ginws.Handler(g, func(context.Context, *gin.Context, *websocket.Conn) error { return nil }, nil)
	engine.GET("/rooms/:id", session)
	engine.GET("/places/:id", ginws.Endpoint(g), session)
	post := func(c *gin.Context) { c.String(http.StatusCreated, "posted") }
	engine.POST("/rooms/:id", post)
	engine.POST("/places/:id", post)
	target, _, _ := served(t, g, engine, true)
	for _, target.Path = range []string{"/rooms/1", "/places/1"} {
		s, _, err := probetest.Open(t.Context(), target)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = s.Close(t.Context(), 1000)
		next(t, events, event.SessionEnded)
		r := probetest.Kubelet(target.Path)
		r.Method = http.MethodPost
		if res, err := probetest.Do(t.Context(), target, r); err != nil || res.Status != http.StatusCreated {
			t.Errorf("POST %s by a prober: %d %v, want the application's 201", target.Path, res.Status, err)
		}
	}
}
