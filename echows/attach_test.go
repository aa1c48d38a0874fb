package echows_test

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/echows"
)

// Attach to an Echo that is already serving does nothing and logs it.
func TestAttachTooLate(t *testing.T) {
	var log strings.Builder
	g, err := core.New(core.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	if e.Listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	serving := make(chan struct{})
	e.Server.BaseContext = func(net.Listener) context.Context { close(serving); return context.Background() }
	served := make(chan error, 1)
	go func() { served <- e.Start("") }()
	<-serving
	echows.Attach(g, e)
	if err := e.Shutdown(t.Context()); err != nil {
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
