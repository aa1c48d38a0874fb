// Package filters shows quietws in the filters of third-party middleware: probes leave
// no span and no sample, all other requests do.
package filters

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/labstack/echo-contrib/echoprometheus"
	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/contrib/instrumentation/github.com/labstack/echo/otelecho"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"net/netip"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/echows"
)

// recorders are the requests that each middleware recorded, as "METHOD path".
type recorders struct {
	spans    *tracetest.SpanRecorder
	registry *prometheus.Registry
	log      []string // Echo's RequestLogger, which calls Quiet after the chain
	old      []string // Echo's Logger, whose Skipper is called before it
}

func app(t *testing.T, layer string) (*httptest.Server, *recorders) {
	t.Helper()
	guard, err := core.New(core.Config{
		Logger:         slog.New(slog.DiscardHandler),
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, // so that a test can use a public address
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = guard.Close() })
	seen := &recorders{spans: tracetest.NewSpanRecorder(), registry: prometheus.NewRegistry()}
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(seen.spans))
	t.Cleanup(func() { _ = provider.Shutdown(context.Background()) })
	quiet := echows.Quiet(guard)

	e := echo.New()
	if layer == "before" {
		e.Use(echows.Middleware(guard))
	}
	e.Use(otelecho.Middleware("app", otelecho.WithTracerProvider(provider), otelecho.WithSkipper(quiet)))
	e.Use(echoprometheus.NewMiddlewareWithConfig(echoprometheus.MiddlewareConfig{Registerer: seen.registry, Skipper: quiet}))
	e.Use(middleware.RequestLoggerWithConfig(middleware.RequestLoggerConfig{
		LogMethod: true, LogURIPath: true,
		LogValuesFunc: func(c echo.Context, v middleware.RequestLoggerValues) error {
			if !quiet(c) {
				seen.log = append(seen.log, v.Method+" "+v.URIPath)
			}
			return nil
		},
	}))
	e.Use(middleware.LoggerWithConfig(middleware.LoggerConfig{
		Skipper: quiet, Format: "${method} ${path}", Output: writerFunc(func(p []byte) { seen.old = append(seen.old, string(p)) }),
	}))
	if layer == "after" {
		e.Use(echows.Middleware(guard))
	}
	e.GET("/admin", func(c echo.Context) error { return c.String(http.StatusOK, "secret") })
	e.GET("/readyz", func(c echo.Context) error { return c.String(http.StatusOK, "mine") })
	srv := httptest.NewServer(e)
	t.Cleanup(srv.Close)
	return srv, seen
}

type writerFunc func([]byte)

func (f writerFunc) Write(p []byte) (int, error) { f(p); return len(p), nil }

func TestFilters(t *testing.T) {
	const kubelet = "kube-probe/1.34"
	rows := []struct {
		rule        string
		path, agent string
		public      bool
		quiet       bool
	}{
		{"a prober's User-Agent on a path of the application's takes nothing out", "/admin", kubelet, false, false},
		{"nor does it from a public address", "/admin", kubelet, true, false},
		{"nor on a health route that the application owns, from a public address", "/readyz", kubelet, true, false},
		{"a browser on the application's own health route is a request", "/readyz", "curl/8", false, false},
		{"a path that nobody serves is a request", "/nothing", kubelet, false, false},
		{"a health route that quietws answers is a probe, whoever asks", "/healthz", "curl/8", false, true},
		{"a known prober from a platform's address on the application's own health route is a probe", "/readyz", kubelet, false, true},
	}
	for _, layer := range []string{"before", "after"} {
		for _, row := range rows {
			t.Run(layer+"/"+row.rule, func(t *testing.T) {
				srv, seen := app(t, layer)
				r, err := http.NewRequest(http.MethodGet, srv.URL+row.path, nil)
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("User-Agent", row.agent)
				if row.public {
					r.Header.Set("X-Forwarded-For", "8.8.8.8")
				}
				res, err := srv.Client().Do(r)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
				srv.Close() // the handler and what follows it have finished

				want := []string{"GET " + row.path}
				if row.quiet {
					want = nil
				}
				if got := len(seen.spans.Ended()); got != len(want) {
					t.Errorf("otelecho: %d spans, want %d", got, len(want))
				}
				families, err := seen.registry.Gather()
				if err != nil {
					t.Fatal(err)
				}
				samples := 0
				for _, f := range families {
					if f.GetName() == "echo_requests_total" {
						samples += len(f.GetMetric())
					}
				}
				if samples != len(want) {
					t.Errorf("echoprometheus: %d samples, want %d", samples, len(want))
				}
				if !slices.Equal(seen.log, want) {
					t.Errorf("RequestLogger, asked after the chain: %q, want %q", seen.log, want)
				}
				if !slices.Equal(seen.old, want) {
					t.Errorf("Logger, asked before the chain: %q, want %q", seen.old, want)
				}
			})
		}
	}
}
