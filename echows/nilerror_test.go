package echows_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/coretest"
	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/echows"
)

// If a nil pointer in an error is never answered, a timer examines it, and a panic
// there would end the process.
func TestNilErrorThatNobodyAnswers(t *testing.T) {
	events := make(chan event.Event, 10)
	g, err := core.New(core.Config{Logger: slog.New(slog.DiscardHandler), Observe: func(e event.Event) { events <- e }})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	e := echo.New()
	e.HTTPErrorHandler = func(error, echo.Context) {}
	e.Use(echows.Middleware(g))
	e.GET("/ws", func(echo.Context) error { return coretest.Socket{Path: "/ws/nil-error"}.Session(nil) }, echows.Endpoint(g))
	srv := httptest.NewServer(e)
	defer srv.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAECAwQFBgcICQoLDA0ODw==",
	} {
		req.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	select {
	case ev := <-events:
		if ev.Class != event.UpgradeFailed || ev.Err == nil {
			t.Errorf("%v %v: %v", ev.Class, ev.Reason, ev.Err)
		}
	case <-time.After(10 * time.Second):
		t.Error("its outcome is not logged")
	}
}
