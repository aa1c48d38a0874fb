package fiberws_test

import (
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/probetest"
	"github.com/quietws/quietws/fiberws"
)

// Attach to an app that is already listening does nothing and logs it.
func TestAttachTooLate(t *testing.T) {
	var log strings.Builder
	g, err := core.New(core.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	app := newApp(fiber.Config{})
	serving := make(chan struct{})
	app.Get("/", func(c *fiber.Ctx) error { close(serving); return nil })
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- app.Listener(ln) }()
	if _, err := probetest.Do(t.Context(), probetest.Target{Addr: ln.Addr().String()}, probetest.Curl("/")); err != nil {
		t.Fatal(err)
	}
	<-serving
	fiberws.Attach(g, app)
	if err := app.Shutdown(); err != nil {
		t.Error(err)
	}
	<-served
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "level=WARN") || !strings.Contains(text, "call Attach before the server starts") {
		t.Errorf("logged %q", text)
	}
}
