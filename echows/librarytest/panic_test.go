package librarytest

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/echows"
)

// A panic passes through Middleware unchanged: an outer recover gets the handler's own
// value, for an ordinary request and for a handshake, even if the connection is not
// tracked.
func TestAPanicPassesThroughMiddleware(t *testing.T) {
	guard, err := core.New(core.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = guard.Close() })
	for name, header := range map[string]http.Header{
		"ordinary": {},
		"handshake": {"Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Sec-Websocket-Version": {"13"},
			"Sec-Websocket-Key": {"AAECAwQFBgcICQoLDA0ODw=="}},
	} {
		e := echo.New()
		var recovered error
		e.Use(middleware.RecoverWithConfig(middleware.RecoverConfig{
			LogErrorFunc: func(_ echo.Context, err error, _ []byte) error { recovered = err; return err },
		}))
		e.Use(echows.Middleware(guard))
		e.GET("/panic", func(echo.Context) error { panic("boom") })
		r := httptest.NewRequest(http.MethodGet, "/panic", nil)
		r.Header = header
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		if recovered == nil || recovered.Error() != "boom" || w.Code != http.StatusInternalServerError {
			t.Errorf("%s: recovered %v and answered %d, want boom and 500", name, recovered, w.Code)
		}
	}
}
