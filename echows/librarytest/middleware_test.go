package librarytest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"golang.org/x/net/http2"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/probetest"
	"github.com/quietws/quietws/echows"
)

// listening returns a guard and the channel of its events.
func listening(t *testing.T, c core.Config) (*core.Guard, chan event.Event) {
	t.Helper()
	events := make(chan event.Event, 64)
	c.Logger, c.Observe = slog.New(slog.DiscardHandler), func(e event.Event) { events <- e }
	g, err := core.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Close() })
	return g, events
}

// next returns the next event of one of these classes.
func next(t *testing.T, events chan event.Event, classes ...event.Class) event.Event {
	t.Helper()
	for late := time.After(10 * time.Second); ; {
		select {
		case e := <-events:
			for _, c := range classes {
				if e.Class == c {
					return e
				}
			}
		case <-late:
			t.Fatalf("no event of %v in ten seconds", classes)
		}
	}
}

// A chain is the place of Middleware, and the other middleware.
type chain struct {
	name string
	add  func(*core.Guard, *echo.Echo)
}

func chains() []chain {
	pre := func(g *core.Guard, e *echo.Echo, others ...echo.MiddlewareFunc) {
		e.Pre(echows.Middleware(g))
		e.Use(others...)
	}
	timeout, gzip := middleware.ContextTimeout(time.Minute), middleware.Gzip()
	return []chain{
		{"Pre", func(g *core.Guard, e *echo.Echo) { pre(g, e) }},
		{"Use", func(g *core.Guard, e *echo.Echo) { e.Use(echows.Middleware(g)) }},
		{"Attach", echows.Attach},
		{"Attach, then Pre", func(g *core.Guard, e *echo.Echo) { echows.Attach(g, e); pre(g, e) }},
		{"Use, then Attach", func(g *core.Guard, e *echo.Echo) { e.Use(echows.Middleware(g)); echows.Attach(g, e) }},
		{"ContextTimeout inside", func(g *core.Guard, e *echo.Echo) { pre(g, e, timeout) }},
		{"ContextTimeout outside", func(g *core.Guard, e *echo.Echo) { e.Use(timeout, echows.Middleware(g)) }},
		{"ContextTimeout outside, and Attach", func(g *core.Guard, e *echo.Echo) {
			e.Use(timeout, echows.Middleware(g))
			echows.Attach(g, e)
		}},
		{"Gzip inside", func(g *core.Guard, e *echo.Echo) { pre(g, e, gzip) }},
		{"Gzip outside", func(g *core.Guard, e *echo.Echo) { e.Use(gzip, echows.Middleware(g)) }},
		{"Gzip outside, and Attach", func(g *core.Guard, e *echo.Echo) {
			e.Use(gzip, echows.Middleware(g))
			echows.Attach(g, e)
		}},
		{"both outside", func(g *core.Guard, e *echo.Echo) {
			e.Use(gzip, timeout, echows.Middleware(g))
		}},
	}
}

// An error that a handler returns becomes a status only after Echo's chain, in its
// error handler, which may be slow. A refused handshake is logged once, with that
// status, whatever middleware there is.
func TestMiddlewareTellsTheStatusOfErrors(t *testing.T) {
	for _, c := range chains() {
		for _, row := range []struct {
			path   string
			err    error
			class  event.Class
			reason event.Reason
			status int
		}{
			{"/nowhere", nil, event.HandshakeRefused, event.ReasonNoRoute, 404},
			{"/ws", echo.ErrUnauthorized, event.HandshakeRefused, event.ReasonApplication, 401},
			{"/ws", echo.NewHTTPError(503, "database"), event.UpgradeFailed, event.ReasonServerError, 503},
			{"/ws", errors.New("no status of its own"), event.UpgradeFailed, event.ReasonServerError, 500},
		} {
			t.Run(fmt.Sprint(c.name, "/", row.status), func(t *testing.T) {
				t.Parallel()
				g, events := listening(t, core.Config{})
				e := echo.New()
				e.HideBanner, e.HidePort = true, true
				e.Logger.SetOutput(io.Discard)
				early := make(chan event.Event, 1)
				e.HTTPErrorHandler = func(err error, c echo.Context) {
					select { // time for an event that comes too early, before the answer
					case e := <-events:
						early <- e
					case <-time.After(20 * time.Millisecond):
					}
					e.DefaultHTTPErrorHandler(err, c)
				}
				e.GET("/ws", func(echo.Context) error { return row.err })
				c.add(g, e)
				r := probetest.WebSocket(row.path).With(probetest.Field{Name: "Accept-Encoding", Value: "gzip"})
				res, err := probetest.Do(t.Context(), probetest.Target{Addr: started(t, e, nil)}, r)
				if err != nil {
					t.Fatal(err)
				}
				if res.Status != row.status {
					t.Errorf("answered %d, want %d", res.Status, row.status)
				}
				select {
				case e := <-early:
					t.Errorf("logged before it was answered: %v/%v, status %d", e.Class, e.Reason, e.Status)
					return
				default:
				}
				got := next(t, events, event.HandshakeRefused, event.UpgradeFailed)
				if got.Class != row.class || got.Reason != row.reason || got.Status != row.status {
					t.Errorf("logged as %v/%v, status %d, want %v/%v, %d", got.Class, got.Reason, got.Status, row.class, row.reason, row.status)
				}
			})
		}
	}
}

// Over h2c, where Echo turns a request into an HTTP/2 connection, Middleware sees each
// request as it is. Attach as well makes no difference.
func TestMiddlewareOverH2C(t *testing.T) {
	for name, add := range map[string]func(*core.Guard, *echo.Echo){
		"Pre": func(g *core.Guard, e *echo.Echo) { e.Pre(echows.Middleware(g)) },
		"Use": func(g *core.Guard, e *echo.Echo) { e.Use(echows.Middleware(g)) },
		"Attach and Use": func(g *core.Guard, e *echo.Echo) {
			e.Use(echows.Middleware(g))
			echows.Attach(g, e)
		},
	} {
		for _, watch := range []bool{false, true} {
			t.Run(fmt.Sprint(name, "/Listener ", watch), func(t *testing.T) {
				t.Parallel()
				g, _ := listening(t, core.Config{ProbePaths: []string{"/probed"}})
				e := echo.New()
				e.HideBanner, e.HidePort = true, true
				e.Logger.SetOutput(io.Discard)
				add(g, e)
				e.GET("/app", func(c echo.Context) error { return c.String(200, "app") })
				e.GET("/ws", func(c echo.Context) error {
					return c.String(200, fmt.Sprint("a session: ", core.SessionOf(c.Request().Context()) != nil))
				}, echows.Endpoint(g))
				ln, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				address := ln.Addr().String()
				if watch {
					ln = g.Listener(ln)
				}
				e.Listener = ln
				served := make(chan error, 1)
				go func() { served <- e.StartH2CServer("", new(http2.Server)) }()
				transport := &http.Transport{Protocols: new(http.Protocols)}
				transport.Protocols.SetUnencryptedHTTP2(true)
				var all sync.WaitGroup
				for i := range 40 {
					all.Go(func() {
						asks := []struct{ path, agent, want string }{
							{"/ws", "", "a session: false"}, {"/ws", "kube-probe/1.30", "a session: false"}, {"/probed", "kube-probe/1.30", "ok\n"}, {"/app", "", "app"}, {"/healthz", "", "ok\n"},
						}[i%5]
						r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+address+asks.path, nil)
						if err != nil {
							t.Error(err)
							return
						}
						r.Header.Set("User-Agent", asks.agent)
						res, err := transport.RoundTrip(r)
						if err != nil {
							t.Error(err)
							return
						}
						p, _ := io.ReadAll(res.Body)
						_ = res.Body.Close()
						if string(p) != asks.want {
							t.Errorf("GET %s by %q was answered %d %q, want %q", asks.path, asks.agent, res.StatusCode, p, asks.want)
						}
					})
				}
				all.Wait()
				transport.CloseIdleConnections()
				if err := e.Close(); err != nil {
					t.Error(err)
				}
				<-served
				if s := g.Snapshot(); s.SessionsOpen != 0 {
					t.Errorf("%d sessions are open", s.SessionsOpen)
				}
			})
		}
	}
}

// The drain's goodbye may come at any moment of Handler's function: between two reads,
// while it reads, when it has finished. In each case the code of the end is known.
func TestHandlerKnowsHowItsGoodbyeEnded(t *testing.T) {
	for name, at := range map[string]func(context.Context, *core.Guard, *websocket.Conn) error{
		"while it reads": func(ctx context.Context, _ *core.Guard, ws *websocket.Conn) error {
			_, _, err := ws.Read(ctx)
			return err
		},
		"between two reads": func(ctx context.Context, g *core.Guard, ws *websocket.Conn) error {
			<-g.Draining()
			_, _, err := ws.Read(ctx)
			return err
		},
		"when it is through": func(_ context.Context, g *core.Guard, _ *websocket.Conn) error {
			<-g.Draining()
			return nil
		},
		"when it has failed": func(_ context.Context, g *core.Guard, _ *websocket.Conn) error {
			<-g.Draining()
			return errors.New("an error of its own")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, events := listening(t, core.Config{Drain: core.DrainConfig{Spread: 100 * time.Millisecond}})
			e := echo.New()
			e.HideBanner, e.HidePort = true, true
			opened := make(chan struct{}, 8)
			e.GET("/ws", echows.Handler(g, func(ctx context.Context, _ echo.Context, ws *websocket.Conn) error {
				opened <- struct{}{}
				return at(ctx, g, ws)
			}, nil))
			echows.Attach(g, e)
			address := started(t, e, nil)
			const clients = 8
			codes := make(chan int, clients)
			for range clients {
				ws, _, err := websocket.Dial(t.Context(), "ws://"+address+"/ws", nil)
				if err != nil {
					t.Fatal(err)
				}
				<-opened
				go func() {
					_, _, err := ws.Read(t.Context())
					codes <- int(websocket.CloseStatus(err))
					_ = ws.CloseNow()
				}()
			}
			if _, err := g.Drain(t.Context()); err != nil {
				t.Fatal(err)
			}
			var saw, logged []int
			for range clients {
				end := next(t, events, event.SessionEnded).Session
				if end.End != "closed" {
					t.Errorf("a session ended %q with %d", end.End, end.Code)
				}
				saw, logged = append(saw, <-codes), append(logged, end.Code)
			}
			slices.Sort(saw)
			slices.Sort(logged)
			if !slices.Equal(saw, logged) {
				t.Errorf("the clients saw %v, logged was %v", saw, logged)
			}
		})
	}
}
