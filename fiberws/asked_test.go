package fiberws_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/healthcheck"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/probetest"
	"github.com/quietws/quietws/fiberws"
)

// asks is an app with and without Attach.
func asks(t *testing.T, config fiber.Config, routes func(*fiber.App), then func(*served, *fiber.App)) {
	t.Helper()
	for _, attach := range []bool{true, false} {
		app := newApp(config)
		s := serve(t, core.Config{}, app, func(g *core.Guard) {
			if !attach {
				app.Use(fiberws.Middleware(g))
			}
			routes(app)
		})
		then(s, app)
		s.stop()
	}
}

func (s *served) gets(path string, status int, body string) {
	s.Helper()
	if res := s.do(probetest.Curl(path)); res.Status != status || res.Body != body {
		s.Errorf("%s: answered %d %q, want %d %q", path, res.Status, res.Body, status, body)
	}
}

// The app's own healthcheck, which is a middleware and in no route table, keeps
// its answers, from the first question on and though that is a HEAD, which it does
// not know; what it does not answer is ours.
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

// A route is the app's in whichever letters its router finds it, and one that comes
// later is found then.
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
		app.Handler() // builds the routes anew
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

// The question is a GET with what the client sent but for cookies and body, on a
// connection that can be asked for its addresses and not written to.
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
		if res := s.do(r); res.Status != 404 { // its own answer to this one
			t.Errorf("answered %d %q: the question was not as it should be", res.Status, res.Body)
		}
	})
}
