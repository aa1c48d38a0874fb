// Command proxied is a WebSocket server behind a proxy that sends PROXY headers,
// which github.com/pires/go-proxyproto reads below the guard's listener, or above
// it with Config.ExpectProxy.
package main

import (
	"context"
	"crypto/tls"
	"flag"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/coder/websocket"
	"github.com/pires/go-proxyproto"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/prom"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "where to listen")
	cert := flag.String("cert", "", "a certificate: serve TLS")
	key := flag.String("key", "", "and its key")
	above := flag.Bool("above", false, "read PROXY headers above the guard's listener")
	flag.Bool("json", true, "as the other example servers have it; it is always on")
	flag.Parse()
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stderr, nil)))
	if err := run(*addr, *cert, *key, *above); err != nil {
		slog.Error("stopped", "error", err)
		os.Exit(1)
	}
}

func run(addr, cert, key string, above bool) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	guard, err := core.New(core.Config{ExpectProxy: above})
	if err != nil {
		return err
	}
	defer func() { _ = guard.Close() }()
	prometheus.MustRegister(prom.NewCollector(guard))

	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	var config *tls.Config
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return err
		}
		config = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	}
	switch {
	case above:
		ln = headers(guard.Listener(ln))
		if config != nil {
			ln = tls.NewListener(ln, config)
		}
	case config != nil:
		ln = guard.TLSListener(headers(ln), config)
	default:
		ln = guard.Listener(headers(ln))
	}

	mux := http.NewServeMux()
	mux.Handle("/ws", guard.Endpoint(http.HandlerFunc(echo)))
	mux.Handle("GET /metrics", promhttp.Handler())
	return guard.Serve(ctx, &http.Server{Handler: guard.Wrap(mux)}, ln)
}

// headers reads the headers, and accepts clients without one: those that read the metrics.
func headers(ln net.Listener) net.Listener {
	return &proxyproto.Listener{Listener: ln, ConnPolicy: func(proxyproto.ConnPolicyOptions) (proxyproto.Policy, error) {
		return proxyproto.USE, nil
	}}
}

// echo logs the client, and sends everything back.
func echo(w http.ResponseWriter, r *http.Request) {
	slog.Info("request", "path", r.URL.Path, "remote", r.RemoteAddr)
	ws, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer func() { _ = ws.CloseNow() }()
	for {
		kind, data, err := ws.Read(r.Context())
		if err != nil {
			return
		}
		if err := ws.Write(r.Context(), kind, data); err != nil {
			return
		}
	}
}
