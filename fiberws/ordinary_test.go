package fiberws_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/gofiber/contrib/websocket"
	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/recover"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/coretest"
	"github.com/quietws/quietws/fiberws"
)

// ordinaryApp is the application that [coretest.Ordinary] describes; g may be nil.
func ordinaryApp(g *core.Guard, inside bool) *fiber.App {
	app := newApp(fiber.Config{})
	endpoint := func(c *fiber.Ctx) error { return c.Next() }
	if g != nil {
		endpoint = fiberws.Endpoint(g)
	}
	if inside {
		app.Use(fiberws.Middleware(g))
	}
	app.Use(recover.New()) // or a panic ends the process without quietws
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
	app.Get("/ws", endpoint, websocket.New(func(ws *websocket.Conn) { _ = echo(context.Background(), ws) }))
	return app
}

// An application's answers are the same with and without quietws, byte for byte. There
// are two exceptions: data that is not a request, which Fiber's own answer quotes, and
// a platform's health check with OPTIONS *.
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
		var mu sync.Mutex
		var clients sync.WaitGroup
		answers, silent := make(map[string][]byte), make(map[string]bool)
		for name, addr := range addrs {
			clients.Go(func() {
				nc, err := net.Dial("tcp", addr)
				if err != nil {
					t.Error(err)
					return
				}
				got, err := ask.Answer(nc)
				mu.Lock()
				answers[name], silent[name] = got, err != nil
				mu.Unlock()
			})
		}
		clients.Wait()
		for name, got := range answers {
			want := answers["without"]
			switch {
			case name == "without":
				continue
			case ask.Name == "OPTIONS of the server":
				want = bytes.Replace(want, []byte("404 Not Found"), []byte("200 OK"), 1)
				got, want = firstLine(got), firstLine(want)
			case name != "Middleware" && bytes.Contains(want, []byte("error when reading request headers")):
				got, want = firstLine(got), firstLine(want)
			}
			if !bytes.Equal(got, want) || silent[name] != silent["without"] {
				t.Errorf("%s, with %s: answered\n%.400q\nwithout\n%.400q", ask.Name, name, got, want)
			}
		}
	}
}

func firstLine(b []byte) []byte {
	line, _, _ := bytes.Cut(b, []byte("\r\n"))
	return line
}
