package fiberws_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/gofiber/contrib/websocket"
	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/recover"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/coretest"
	"github.com/quietws/quietws/fiberws"
)

// ordinaryApp is the application of [coretest.Ordinary]; g may be nil.
func ordinaryApp(g *core.Guard, inside bool) *fiber.App {
	app := newApp(fiber.Config{})
	endpoint := func(c *fiber.Ctx) error { return c.Next() }
	if g != nil {
		endpoint = fiberws.Endpoint(g)
	}
	if inside {
		app.Use(fiberws.Middleware(g))
	}
	app.Use(recover.New()) // or a panic ends the process, without quietws
	app.Get("/", func(c *fiber.Ctx) error { return c.SendString("hello") })
	app.Get("/page", func(c *fiber.Ctx) error {
		c.Set("ETag", `"1"`)
		return c.SendString(strings.Repeat("a page ", 50))
	})
	app.All("/echo", func(c *fiber.Ctx) error { return c.Send(c.Body()) })
	app.Post("/form", func(c *fiber.Ctx) error {
		file, err := c.FormFile("file")
		if err != nil {
			return c.SendString(c.FormValue("note"))
		}
		return c.JSON([]any{c.FormValue("note"), file.Filename, file.Size})
	})
	app.Get("/redirect", func(c *fiber.Ctx) error { return c.Redirect("/page") })
	app.Get("/stream", func(c *fiber.Ctx) error {
		c.Context().SetBodyStreamWriter(func(w *bufio.Writer) {
			for range 3 {
				_, _ = w.WriteString("a line\n")
				_ = w.Flush()
			}
		})
		return nil
	})
	app.Get("/error", func(*fiber.Ctx) error { return errors.New("an error") })
	app.Get("/panic", func(*fiber.Ctx) error { panic("a panic") })
	app.Get("/ws", endpoint, websocket.New(func(ws *websocket.Conn) { _ = echo(nil, ws) }))
	return app
}

// notTheSame are those of [coretest.Ordinary] that the guard answers itself, here:
// a question of a platform's about health, and what is no request, whose bytes
// Fiber's own answer quotes.
var notTheSame = map[string]int{"OPTIONS of the server": 200, "a Content-Length that is none": 400, "two lengths": 400}

// An application answers byte for byte the same with quietws and without.
func TestOrdinaryRequests(t *testing.T) {
	layers := map[string]func(*core.Guard, net.Listener) (*fiber.App, net.Listener){
		"without":    func(_ *core.Guard, ln net.Listener) (*fiber.App, net.Listener) { return ordinaryApp(nil, false), ln },
		"Middleware": func(g *core.Guard, ln net.Listener) (*fiber.App, net.Listener) { return ordinaryApp(g, true), ln },
		"Attach": func(g *core.Guard, ln net.Listener) (*fiber.App, net.Listener) {
			app := ordinaryApp(g, false)
			fiberws.Attach(g, app)
			return app, ln
		},
		"Attach and Listener": func(g *core.Guard, ln net.Listener) (*fiber.App, net.Listener) {
			app := ordinaryApp(g, false)
			fiberws.Attach(g, app)
			return app, g.Listener(ln)
		},
	}
	addrs := make(map[string]string)
	for name, layer := range layers {
		g, err := core.New(core.Config{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addrs[name] = ln.Addr().String()
		app, ln := layer(g, ln)
		app.Server().Logger = serverLog{io.Discard}
		served := make(chan error, 1)
		go func() { served <- app.Listener(ln) }()
		t.Cleanup(func() {
			if err := errors.Join(app.Shutdown(), <-served, g.Close()); err != nil {
				t.Error(err)
			}
		})
	}
	for _, ask := range coretest.Ordinary() {
		answers := make(map[string][]byte)
		for name, addr := range addrs {
			nc, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			if answers[name], err = ask.Answer(nc); err != nil {
				t.Errorf("%s, %s: %v", ask.Name, name, err)
			}
		}
		for name, got := range answers {
			want := answers["without"]
			if status := notTheSame[ask.Name]; status != 0 && name != "without" {
				want = got
				if !bytes.HasPrefix(got, fmt.Appendf(nil, "HTTP/1.1 %d ", status)) {
					t.Errorf("%s, with %s: answered %.400q", ask.Name, name, got)
				}
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s, with %s: answered\n%.400q\nwithout\n%.400q", ask.Name, name, got, want)
			}
		}
	}
}
