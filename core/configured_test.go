package core

import (
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/quietws/quietws/core/event"
)

// A prober without a name at an address that the operator has configured is counted
// separately from unknown ones, so that a metric shows when it stops coming.
func TestConfiguredProber(t *testing.T) {
	for _, s := range stands4[1:] {
		t.Run(s.name, func(t *testing.T) {
			events := make(chan event.Event, 10)
			g, err := New(Config{
				Logger:       slog.New(slog.DiscardHandler),
				ProbeSources: prefixes("127.0.0.0/8"),
				Observe:      func(e event.Event) { events <- e },
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = g.Close() })
			addr := s.serve(t, g, &http.Server{Handler: http.NewServeMux()})
			for _, row := range []struct {
				send, prober string
				class        event.Class
			}{
				{"", "configured", event.TCPProbe},
				{"GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "configured", event.HTTPProbe},
				{"GET /readyz HTTP/1.1\r\nHost: a\r\nUser-Agent: kube-probe/1.36\r\nConnection: close\r\n\r\n", "kubelet", event.HTTPProbe},
				{"GET /readyz HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 8.8.8.8\r\nConnection: close\r\n\r\n", "", event.HTTPProbe}, // a client's request through it
				{"POST /readyz HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 8.8.8.8\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", "", event.HTTPProbe},
				{"nothing\r\n\r\n", "", event.BadRequest},
			} {
				nc, err := net.Dial("tcp", addr)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = io.WriteString(nc, row.send)
				if row.send != "" {
					_, _ = io.Copy(io.Discard, nc)
				}
				_ = nc.Close()
				var e event.Event
				select {
				case e = <-events:
				case <-time.After(10 * time.Second):
					t.Fatalf("%q: no event", row.send)
				}
				if e.Class != row.class || e.Prober != row.prober {
					t.Errorf("%q: %v of %q, want %v of %q", row.send, e.Class, e.Prober, row.class, row.prober)
				}
			}
			seen := map[string]bool{}
			for _, p := range g.Snapshot().Probes {
				seen[p.Class.String()+" "+p.Prober] = true
			}
			want := map[string]bool{"tcp_probe configured": true, "http_probe configured": true, "http_probe kubelet": true, "http_probe unknown": true}
			if !maps.Equal(seen, want) {
				t.Errorf("counted %v, want %v", seen, want)
			}
		})
	}
}
