package core

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"
)

// With GODEBUG=panicnil=1, recover returns nil for panic(nil). It is still a panic: the
// response is cut off as without the guard, and the panic is logged.
func TestNilPanic(t *testing.T) {
	t.Setenv("GODEBUG", "panicnil=1")
	handler := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(nil) })
	get := "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	bare := heard(t, served(t, &http.Server{Handler: handler}, asIs), get)
	for _, s := range stands4 {
		for name, wrap := range map[string]func(*Guard) http.Handler{
			"handler": func(*Guard) http.Handler { return handler }, "Endpoint": func(g *Guard) http.Handler { return g.Endpoint(handler) },
		} {
			g, log := newGuardAndLog(t, Config{}, slog.LevelError)
			if got := heard(t, s.serve(t, g, &http.Server{Handler: wrap(g)}), get); got != bare {
				t.Errorf("%s, %s: answered %q, without the guard %q", s.name, name, got, bare)
			}
			logged := linesLoggedBy(t, g, log)
			if s.attached && (len(logged) != 1 || logged[0].Msg != "handler panicked" || !strings.Contains(logged[0].Attrs["stack"].String(), "nilpanic_test")) {
				t.Errorf("%s, %s: logged %v", s.name, name, logged)
			}
		}
	}
}
