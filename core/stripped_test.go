package core

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/quietws/quietws/core/event"
)

// A proxy's trace leads to its name and its own configuration. A trace in a good
// handshake leads to nothing.
func TestStrippedUpgradeNamesTheProxy(t *testing.T) {
	for _, row := range []struct {
		rule   string
		r      *http.Request
		proxy  string
		remedy string
	}{
		{"a trace", handshake(with("Upgrade"), with("X-Varnish", "3")), "varnish", "return (pipe)"},
		{"Connection alone", handshake(with("Connection"), with("X-Forwarded-Server", "a")), "apache", "ProxyPreserveHost On"},
		{"no trace", handshake(with("Upgrade")), "", "nginx"},
		{"a proxy that passes Upgrade on", handshake(with("Upgrade"), with("Cf-Ray", "x")), "cloudflare", "nginx"},
		{"another fault", handshake(with("Sec-Websocket-Version", "8"), with("X-Varnish", "3")), "", "older than RFC 6455"},
	} {
		events := make(chan event.Event, 1)
		g, err := New(Config{Logger: slog.New(slog.DiscardHandler), Observe: func(e event.Event) { events <- e }})
		if err != nil {
			t.Fatal(err)
		}
		h := g.Wrap(g.Endpoint(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(400) })))
		h.ServeHTTP(httptest.NewRecorder(), row.r)
		if err := g.Close(); err != nil {
			t.Error(err)
		}
		if e := <-events; e.Proxy != row.proxy || !strings.Contains(e.Remedy, row.remedy) {
			t.Errorf("%s: %q, %q", row.rule, e.Proxy, e.Remedy)
		}
	}
}
