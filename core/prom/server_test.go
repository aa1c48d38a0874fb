package prom_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/goleak"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/probetest"
	"github.com/quietws/quietws/core/prom"
	"github.com/quietws/quietws/internal/plainws"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

// server is a guarded server on loopback with a WebSocket echo on /ws.
type server struct {
	t        *testing.T
	guard    *core.Guard
	registry *prometheus.Registry
	addr     string
	stop     func() // begins the drain and waits for Serve to return
}

func start(t *testing.T, config core.Config) *server {
	t.Helper()
	config.Logger = slog.New(slog.DiscardHandler)
	config.Drain = core.DrainConfig{Spread: -1}
	guard, err := core.New(config)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/{$}", func(http.ResponseWriter, *http.Request) {})
	mux.Handle("/ws", guard.Endpoint(http.HandlerFunc(echo)))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- guard.Serve(ctx, &http.Server{Handler: mux}, ln) }()
	s := &server{t: t, guard: guard, addr: ln.Addr().String(), registry: prometheus.NewPedanticRegistry()}
	s.registry.MustRegister(prom.NewCollector(guard))
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	t.Cleanup(func() {
		s.stop()
		if err := guard.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func echo(w http.ResponseWriter, r *http.Request) {
	ws, err := plainws.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer func() { _ = ws.Close() }()
	session := core.SessionOf(r.Context())
	session.OnDrain(func() { _ = ws.Goodbye(plainws.GoingAway) })
	for {
		kind, data, err := ws.Read()
		if closed := (plainws.CloseError{}); errors.As(err, &closed) {
			session.Ended(closed.Code)
		}
		if err != nil || ws.Write(kind, data) != nil {
			return
		}
	}
}

// get sends a request on a new connection.
func (s *server) get(path string, header ...string) int {
	s.t.Helper()
	req, err := http.NewRequest("GET", "http://"+s.addr+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Close = true
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	resp, err := client.Do(req)
	if err != nil {
		s.t.Error(err)
		return 0
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return resp.StatusCode
}

func (s *server) connect() {
	s.t.Helper()
	nc, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Error(err)
		return
	}
	_ = nc.Close()
}

// session opens a session and echoes one message.
func (s *server) session() *probetest.Session {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ws, _, err := probetest.Open(ctx, probetest.Target{Addr: s.addr, Path: "/ws"})
	if err != nil {
		s.t.Fatal(err)
	}
	if err := ws.SendText(ctx, "hello"); err != nil {
		s.t.Fatal(err)
	}
	if message, err := ws.Read(ctx); err != nil || string(message.Payload) != "hello" {
		s.t.Fatalf("echo: %q, %v", message.Payload, err)
	}
	return ws
}

// scrape returns every sample of one scrape, by its name and labels.
func (s *server) scrape() map[string]float64 {
	s.t.Helper()
	families, err := s.registry.Gather()
	if err != nil {
		s.t.Fatal(err)
	}
	samples := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			samples[f.GetName()+labels(m)] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return samples
}

func labels(m *dto.Metric) string {
	var b strings.Builder
	for i, l := range m.GetLabel() {
		fmt.Fprintf(&b, "%c%s=%q", "{,"[min(i, 1)], l.GetName(), l.GetValue())
	}
	if b.Len() > 0 {
		b.WriteByte('}')
	}
	return b.String()
}

// until scrapes until ok, because the server may see an end later than the client.
func (s *server) until(what string, ok func(samples map[string]float64) bool) map[string]float64 {
	s.t.Helper()
	for deadline := time.Now().Add(patience); ; runtime.Gosched() {
		samples := s.scrape()
		if ok(samples) {
			return samples
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("not %s: %v", what, samples)
		}
	}
}

func allClosed(samples map[string]float64) bool { return samples["quietws_connections_open"] == 0 }

func closedSum(samples map[string]float64) (sum float64) {
	for _, class := range event.Classes() {
		sum += samples[fmt.Sprintf("quietws_connections_closed_total{class=%q}", class)]
	}
	return sum
}
