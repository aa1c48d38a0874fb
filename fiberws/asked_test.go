package fiberws_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gofiber/contrib/websocket"
	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/healthcheck"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/probetest"
	"github.com/quietws/quietws/fiberws"
)

// asks is an app with Serve, or one with only Middleware.
func asks(t *testing.T, config fiber.Config, routes func(*fiber.App), then func(*served, *fiber.App)) {
	t.Helper()
	asksWith(t, core.Config{}, config, func(_ *core.Guard, app *fiber.App) { routes(app) }, then)
}

func asksWith(t *testing.T, guards core.Config, config fiber.Config, routes func(*core.Guard, *fiber.App), then func(*served, *fiber.App)) {
	t.Helper()
	app := newApp(config)
	s := serve(t, guards, app, func(g *core.Guard) { routes(g, app) })
	then(s, app)
	s.stop()
	inside := newApp(config)
	s = serveBy(t, byItself, guards, inside, func(g *core.Guard) {
		inside.Use(fiberws.Middleware(g))
		routes(g, inside)
	})
	then(s, inside)
	s.stop()
}

func (s *served) gets(path string, status int, body string) {
	s.Helper()
	if res := s.do(probetest.Curl(path)); res.Status != status || res.Body != body {
		s.Errorf("%s: answered %d %q, want %d %q", path, res.Status, res.Body, status, body)
	}
}

// The app's own healthcheck, a middleware that is in no route table, keeps its answers
// from the first request on, even if that is a HEAD, which it does not support. The
// guard answers what it does not answer.
func TestHealthcheckKeepsItsAnswers(t *testing.T) {
	asks(t, fiber.Config{}, func(app *fiber.App) {
		app.Use(healthcheck.New(healthcheck.Config{ReadinessProbe: func(*fiber.Ctx) bool { return false }}))
		app.Get("/app", func(c *fiber.Ctx) error { return c.SendString("app") })
	}, func(s *served, _ *fiber.App) {
		if res := s.do(probetest.Request{Method: "HEAD", Path: "/readyz"}); res.Status != 404 {
			t.Errorf("HEAD /readyz: answered %d, want healthcheck's own 404", res.Status)
		}
		s.gets("/readyz", 503, "Service Unavailable")
		s.gets("/livez", 200, "OK")
		s.gets("/healthz", 200, "ok\n")
		s.gets("/startupz", 200, "ok\n")
		s.gets("/app", 200, "app")
	})
}

// A route is the app's in any letter case in which its router finds it. A route added
// later is found too.
func TestRoutesAsTheRouterFindsThem(t *testing.T) {
	own := func(c *fiber.Ctx) error { return c.SendStatus(http.StatusNotFound) }
	asks(t, fiber.Config{}, func(app *fiber.App) {
		app.Get("/Readyz/", own)
		app.Group("/api").Get("/livez", own)
	}, func(s *served, app *fiber.App) {
		s.gets("/readyz", 404, "Not Found")
		s.gets("/livez", 200, "ok\n")
		app.Get("/livez", own)
		app.Use(healthcheck.New(healthcheck.Config{LivenessEndpoint: "/healthz"}))
		app.Handler() // builds the routes again
		s.gets("/livez", 404, "Not Found")
		s.gets("/healthz", 200, "OK")
	})
	asks(t, fiber.Config{CaseSensitive: true, StrictRouting: true}, func(app *fiber.App) {
		app.Get("/Readyz", own)
		app.Get("/livez/", own)
	}, func(s *served, _ *fiber.App) {
		s.gets("/readyz", 200, "ok\n")
		s.gets("/livez", 200, "ok\n")
	})
}

// The question is a GET with what the client sent, without cookies and body, on a
// connection that has addresses but cannot be written to.
func TestWhatTheQuestionIs(t *testing.T) {
	asks(t, fiber.Config{}, func(app *fiber.App) {
		app.Use(func(c *fiber.Ctx) error {
			if c.Method() != "GET" { // the client's
				return c.Next()
			}
			host, _, _ := strings.Cut(c.Context().RemoteAddr().String(), ":")
			_, err := c.Context().Conn().Write([]byte("HTTP/1.1 200 OK\r\n\r\n"))
			if c.Path() != "/readyz" || c.Cookies("a") != "" || len(c.Body()) > 0 || c.Get("Content-Length") != "" ||
				c.Get("X-Tenant") != "one" || c.Hostname() != "example.com" || host != "127.0.0.1" || c.Secure() || err == nil {
				return c.Next()
			}
			return c.SendString("mine")
		})
	}, func(s *served, _ *fiber.App) {
		r := probetest.Request{Method: "POST", Path: "/readyz", Host: "example.com", Body: "body"}.With(field("Cookie", "a=1"), field("X-Tenant", "one"))
		if res := s.do(r); res.Status != 404 { // its own answer to this request
			t.Errorf("answered %d %q: the question was not as it should be", res.Status, res.Body)
		}
	})
}

// Fiber's documentation puts a middleware before a WebSocket route that passes only
// handshakes, so probers do not reach the handler that would answer them. One log line
// says what to do, and doing it helps.
func TestProbersBehindAnUpgradeCheck(t *testing.T) {
	for _, probePaths := range [][]string{nil, {"/ws"}} {
		asksWith(t, core.Config{ProbePaths: probePaths}, fiber.Config{}, func(g *core.Guard, app *fiber.App) {
			app.Use("/ws", func(c *fiber.Ctx) error {
				if websocket.IsWebSocketUpgrade(c) {
					return c.Next()
				}
				return fiber.ErrUpgradeRequired
			})
			app.Get("/ws", fiberws.Endpoint(g), websocket.New(func(ws *websocket.Conn) { _ = echo(t.Context(), ws) }))
			app.Get("/ws/own", fiberws.Handler(g, echo))
		}, func(s *served, _ *fiber.App) {
			want, failing := 426, 3
			if probePaths != nil {
				want, failing = 200, 0
			}
			for range 3 {
				if res := s.do(probetest.ALB("/ws")); res.Status != want {
					t.Errorf("ProbePaths %q: a prober is answered %d, want %d", probePaths, res.Status, want)
				}
				if res := s.do(probetest.WebSocket("/ws")); res.Status != 101 {
					t.Errorf("ProbePaths %q: a handshake is answered %d", probePaths, res.Status)
				}
			}
			s.stop()
			for _, e := range s.events {
				if e.Class == event.ProbeFailing {
					failing--
					if !strings.Contains(e.Remedy, "/readyz") || !strings.Contains(e.Remedy, "Config.ProbePaths") {
						t.Errorf("the remedy is %q", e.Remedy)
					}
				}
			}
			if failing != 0 {
				t.Errorf("ProbePaths %q: %d probes that fail were not logged", probePaths, failing)
			}
			warned := strings.Count(s.log.String(), `level=WARN msg="probe failing" `)
			if repeats := strings.Count(s.log.String(), "level=WARN"); warned > 1 || repeats > 2 || (warned == 0) != (want == 200) {
				t.Errorf("ProbePaths %q: the log is %s", probePaths, &s.log)
			}
		})
	}
}
