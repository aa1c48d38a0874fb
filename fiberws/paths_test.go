package fiberws_test

import (
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/probetest"
)

// The application decides which paths are the same.
func TestPathsAsTheRouterReadsThem(t *testing.T) {
	for _, row := range []struct {
		config fiber.Config
		ours   map[string]bool
	}{
		{fiber.Config{}, map[string]bool{"/LIVEZ": true, "/livez/": true, "/%6civez": false}},
		{fiber.Config{CaseSensitive: true}, map[string]bool{"/LIVEZ": false, "/livez/": true, "/%6civez": false}},
		{fiber.Config{StrictRouting: true}, map[string]bool{"/LIVEZ": true, "/livez/": false, "/%6civez": false}},
		{fiber.Config{UnescapePath: true}, map[string]bool{"/LIVEZ": true, "/livez/": true, "/%6civez": true}},
	} {
		app := newApp(row.config)
		app.Get("/readyz", func(c *fiber.Ctx) error { return c.SendString("own") })
		app.All("/*", func(c *fiber.Ctx) error { return c.SendString("catch-all") })
		s := serve(t, core.Config{}, app, func(*core.Guard) {})
		for path, ours := range row.ours {
			want := "catch-all"
			if ours {
				want = "ok\n"
			}
			if res := s.do(probetest.Request{Path: path}); res.Body != want {
				t.Errorf("%+v: %s is answered %q, want %q", row.ours, path, res.Body, want)
			}
		}
	}
}
