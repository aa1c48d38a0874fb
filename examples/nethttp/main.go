// Command nethttp is a WebSocket server on net/http with quietws. Open
// http://localhost:8080 to see what to try.
package main

import (
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/coder/websocket"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/prom"
	"github.com/quietws/quietws/examples/internal/setup"
)

func main() {
	if err := run(setup.Parse()); err != nil {
		slog.Error("stopped", "error", err)
		os.Exit(1)
	}
}

func run(o setup.Options) error {
	guard, err := core.New(core.Config{
		Collapse: o.Collapse,
		Drain:    core.DrainConfig{Timeout: o.Drain},
		// On a route with Endpoint a prober gets the application's answer, a 4xx, unless
		// the route is listed here.
		ProbePaths: []string{"/ws"},
	})
	if err != nil {
		return err
	}
	prometheus.MustRegister(prom.NewCollector(guard))

	mux := http.NewServeMux()
	mux.Handle("/ws", guard.Endpoint(http.HandlerFunc(echo)))
	mux.Handle("GET /metrics", promhttp.Handler())
	mux.HandleFunc("GET /{$}", setup.Page)
	// Wrap lets the guard ask the mux which health routes it has; Serve alone would see
	// only the access log.
	srv := &http.Server{Handler: accessLog(guard, guard.Wrap(mux))}

	if o.Cert != "" {
		return core.RunTLS(guard, srv, o.Addr, o.Cert, o.Key)
	}
	return core.Run(guard, srv, o.Addr)
}

// echo sends every message back until the client leaves or the server drains.
func echo(w http.ResponseWriter, r *http.Request) {
	ws, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // the client has been answered, and the log has its line
	}
	defer func() { _ = ws.CloseNow() }()

	session := core.SessionOf(r.Context())
	session.OnDrain(func() { _ = ws.Close(websocket.StatusGoingAway, "") })

	for {
		kind, data, err := ws.Read(r.Context())
		if err != nil {
			if code := websocket.CloseStatus(err); code != -1 {
				session.Ended(int(code))
			}
			return
		}
		if err := ws.Write(r.Context(), kind, data); err != nil {
			return
		}
	}
}

// accessLog logs each request except probes.
func accessLog(guard *core.Guard, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		s := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(s, r)
		if guard.IsProbe(r) {
			return
		}
		slog.Info("request", "method", r.Method, "path", r.URL.Path, "status", s.status,
			"remote", r.RemoteAddr, "duration", time.Since(start))
	})
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (s *statusWriter) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}

// Unwrap lets a WebSocket library find the connection.
func (s *statusWriter) Unwrap() http.ResponseWriter { return s.ResponseWriter }
