package core

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/quietws/quietws/core/internal/journal/logtest"
)

// A server that was shut down leaves no goroutine, even if its guard was not closed.
func TestNoGoroutineIsLeftWithoutClose(t *testing.T) {
	before := goleak.IgnoreCurrent()
	g, err := New(Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- g.Serve(ctx, &http.Server{Handler: http.NotFoundHandler()}, ln) }()
	for _, text := range []string{"", "nonsense\r\n\r\n", "GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", upgradeGET} {
		dialed(t, ln.Addr().String(), func(c net.Conn) {
			_, _ = io.WriteString(c, text)
			if text != "" {
				_, _ = c.Read(make([]byte, 512))
			}
		})
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
	if err := goleak.Find(before); err != nil {
		t.Errorf("without Guard.Close: %v", err)
	}
}

// A callback for each session or probe may panic each time.
func TestCallbackThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, log := newGuardAndLog(t, Config{}, slog.LevelInfo)
		for range 5 {
			g.contained("OnDrain", func() { panic("goodbye") })
		}
		g.contained("Details", func() { panic("who") })
		lines := linesLoggedBy(t, g, log)
		logtest.WantMessages(t, "each callback's first panic is logged", lines, "callback panicked", "callback panicked")
		logtest.WantAttrs(t, lines[0], map[string]string{"callback": "OnDrain", "panic": "goodbye"})
		logtest.WantAttrs(t, lines[1], map[string]string{"callback": "Details", "panic": "who"})
		logtest.After(time.Minute)
		lines = linesLoggedBy(t, g, log)
		logtest.WantMessages(t, "its repeats are collapsed", lines, "callback panicked: repeated")
		logtest.WantAttrs(t, lines[0], map[string]string{"callback": "OnDrain", "count": "4", "samples": "[goodbye]"})
	})
}
