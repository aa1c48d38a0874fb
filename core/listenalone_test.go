package core

import (
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/quietws/quietws/core/event"
)

// Listener without Attach: good requests are not called malformed, and one line says what
// is missing. A probe without a request needs no Attach.
func TestListenerAlone(t *testing.T) {
	const get = "GET /%s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
	for _, row := range []struct {
		name   string
		join   func(*Guard, *http.Server)
		logged bool
	}{
		{"alone", func(*Guard, *http.Server) {}, true},
		{"Attach", func(g *Guard, srv *http.Server) { g.Attach(srv) }, false},
		{"Wrap", func(g *Guard, srv *http.Server) { srv.Handler = g.Wrap(srv.Handler) }, false},
		{"Endpoint", func(g *Guard, srv *http.Server) { srv.Handler = g.Endpoint(srv.Handler) }, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			g, log := newGuardAndLog(t, Config{}, slog.LevelInfo)
			mux := http.NewServeMux()
			mux.HandleFunc("/busy", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) })
			srv := &http.Server{Handler: mux}
			row.join(g, srv)
			address := served(t, srv, func(ln net.Listener) net.Listener { return g.Listener(ln) })
			dialed(t, address, func(net.Conn) {})
			waitClosed(t, g)
			log.Take()
			for _, path := range []string{"busy", "missing", "busy"} {
				heard(t, address, strings.ReplaceAll(get, "%s", path))
			}
			waitClosed(t, g)
			logged := 0
			for _, l := range linesLoggedBy(t, g, log) {
				switch {
				case l.Level == slog.LevelWarn && strings.Contains(l.Attrs["remedy"].String(), "Attach"):
					logged++
				case l.Attrs["class"].String() == "bad_request":
					t.Errorf("logged: %v", l)
				}
			}
			if want := map[bool]int{true: 1}[row.logged]; logged != want {
				t.Errorf("logged %d times, want %d", logged, want)
			}
			if row.name == "alone" && g.Snapshot().Closed[event.HTTP] != 3 {
				t.Errorf("classes %v, want 3 http", g.Snapshot().Closed)
			}
		})
	}
}
