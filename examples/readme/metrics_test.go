package readme

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/fasthttp/websocket"
	contrib "github.com/gofiber/contrib/websocket"
	"github.com/gofiber/fiber/v2"
	gorilla "github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/probetest"
	"github.com/quietws/quietws/core/prom"
	"github.com/quietws/quietws/fiberws"
	"github.com/quietws/quietws/health"
)

// pieces are those of the table "What each piece gives".
var pieces = []string{"Middleware", "Attach", "Listener", "Serve"}

const patience = 30 * time.Second

// TestMetricsNeedWhatReadmeSays runs a server with each piece, does the same to
// all of them, and compares what their metrics then say with the table.
func TestMetricsNeedWhatReadmeSays(t *testing.T) {
	frameworks := map[string]func(t *testing.T, piece string, guard *core.Guard, ln net.Listener){"net/http": onNetHTTP, "Fiber": onFiber}
	moved := make(map[string]map[string]bool) // by framework and piece
	for framework, serve := range frameworks {
		for _, piece := range pieces {
			moved[framework+piece] = run(t, piece, serve)
		}
	}
	var b strings.Builder
	b.WriteString("| | `Middleware`, `Wrap` | `Attach` | `Attach`, `Guard.Listener` | `Serve` |\n|---|---|---|---|---|\n")
	for _, name := range metricNames(t) {
		fmt.Fprintf(&b, "| `%s` |", name)
		for _, piece := range pieces {
			switch onNetHTTP, onFiber := moved["net/http"+piece][name], moved["Fiber"+piece][name]; {
			case onNetHTTP && onFiber:
				b.WriteString(" ✓ |")
			case onNetHTTP:
				b.WriteString(" ✓, –¹ |")
			case onFiber:
				b.WriteString(" ?? |")
			default:
				b.WriteString(" – |")
			}
		}
		b.WriteString("\n")
	}
	for page, note := range map[string]string{
		"README.md":       "\n¹ On Fiber not for the sessions of a library of your own, which are followed from `Guard.Listener` on; those of `Handler` are with every piece.\n",
		"README.zh-CN.md": "\n¹ 在 Fiber 上不包括自选库的会话，它们从 `Guard.Listener` 起才能跟踪；`Handler` 的会话在哪一层都能跟踪。\n",
	} {
		golden(t, page, "metrics", b.String()+note)
	}
}

// golden compares the text between the marks of a page.
func golden(t *testing.T, page, name, want string) {
	t.Helper()
	const update = "README_UPDATE"
	begin, end := "<!-- "+name+": begin -->\n", "<!-- "+name+": end -->\n"
	before, rest, ok := strings.Cut(contents(t, page), begin)
	had, after, ends := strings.Cut(rest, end)
	switch {
	case !ok || !ends:
		t.Errorf("%s lacks the marks %q and %q", page, begin, end)
	case had == want:
	case os.Getenv(update) == "":
		t.Errorf("%s has\n%swant\n%sfix it with\n\t%s=1 go test -run Metrics .", page, had, want, update)
	default:
		if err := os.WriteFile(filepath.Join(root, page), []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func metricNames(t *testing.T) (names []string) {
	t.Helper()
	guard, err := core.New(core.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = guard.Close() })
	descs := make(chan *prometheus.Desc, 100)
	prom.NewCollector(guard).Describe(descs)
	close(descs)
	for d := range descs {
		names = append(names, metric.FindString(d.String()))
	}
	return names
}

// run returns the metrics that were not 0 at some time.
func run(t *testing.T, piece string, serve func(*testing.T, string, *core.Guard, net.Listener)) map[string]bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	checker := health.New(health.Config{})
	t.Cleanup(func() { _ = checker.Close() })
	if err := checker.Add(health.Check{Name: "well", Func: func(context.Context) error { return nil }}); err != nil {
		t.Fatal(err)
	}
	guard, err := core.New(core.Config{
		Logger: slog.New(slog.DiscardHandler), Health: checker,
		MaxSessions: 100,                                                         // or it has no metric
		Drain:       core.DrainConfig{Timeout: 500 * time.Millisecond, Fall: -1}, // the client does not answer its goodbye
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = guard.Close() })
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	target := probetest.Target{Addr: ln.Addr().String()}
	if piece == "Listener" || piece == "Serve" { // the others leave errors of Accept to the server
		ln = &exhausted{Listener: ln}
	}
	if piece == "Listener" {
		ln = guard.Listener(ln)
	}
	serve(t, piece, guard, ln)

	moved := make(map[string]bool)
	registry := prometheus.NewRegistry()
	registry.MustRegister(prom.NewCollector(guard))
	scrape := func() {
		settle(ctx, t, guard)
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				if m.GetCounter().GetValue()+m.GetGauge().GetValue() > 0 {
					moved[f.GetName()] = true
				}
			}
		}
	}
	try := func(_ probetest.Result, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", piece, err)
		}
	}
	for range 2 {
		try(probetest.Connect(ctx, target, probetest.FIN))
		try(probetest.Do(ctx, target, probetest.Kubelet("/readyz")))
	}
	try(probetest.Handshake(ctx, target, probetest.NoUpgrade("/ws")))
	ended, _, err := probetest.Open(ctx, target)
	if err != nil {
		t.Fatal(err)
	}
	try(ended.Close(ctx, 1000))
	kept, err := net.Dial("tcp", target.Addr) // a keep-alive connection
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = kept.Close() }()
	if _, err := kept.Write(probetest.Curl("/livez").Bytes(target)); err != nil {
		t.Fatal(err)
	}
	open, _, err := probetest.Open(ctx, target)
	if err != nil {
		t.Fatal(err)
	}
	scrape()
	if _, err := guard.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := open.Vanish(probetest.FIN); err != nil {
		t.Fatal(err)
	}
	if err := guard.Close(); err != nil { // what is logged only now is counted too
		t.Fatal(err)
	}
	scrape()
	return moved
}

// settle waits until a guard's counts have not changed for a while: servers see what
// clients do a little later.
func settle(ctx context.Context, t *testing.T, guard *core.Guard) {
	t.Helper()
	const calm = 30 // polls without a change, 10 ms apart
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	last := guard.Snapshot()
	for same := 0; same < calm; {
		select {
		case <-ctx.Done():
			t.Fatal("the counts keep changing")
		case <-tick.C:
		}
		if now := guard.Snapshot(); reflect.DeepEqual(now, last) {
			same++
		} else {
			last, same = now, 0
		}
	}
}

// exhausted is a listener whose process has run out of descriptors once.
type exhausted struct {
	net.Listener
	once atomic.Bool
}

func (l *exhausted) Accept() (net.Conn, error) {
	if l.once.CompareAndSwap(false, true) {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	return l.Listener.Accept()
}

// serving runs serve until the test ends.
func serving(t *testing.T, serve func(context.Context) error, stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(stop(), <-ended); err != nil && !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
}

func onNetHTTP(t *testing.T, piece string, guard *core.Guard, ln net.Listener) {
	var upgrader gorilla.Upgrader
	mux := http.NewServeMux()
	mux.Handle("/ws", guard.Endpoint(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = ws.Close() }()
		core.SessionOf(r.Context()).OnDrain(func() { _ = ws.WriteControl(gorilla.CloseMessage, nil, time.Now().Add(time.Second)) })
		for err == nil {
			_, _, err = ws.ReadMessage()
		}
	})))
	srv := &http.Server{Handler: mux}
	switch piece {
	case "Middleware":
		srv.Handler = guard.Wrap(mux)
	case "Attach", "Listener":
		guard.Attach(srv)
	case "Serve":
		serving(t, func(ctx context.Context) error { return guard.Serve(ctx, srv, ln) }, func() error { return nil })
		return
	}
	serving(t, func(context.Context) error { return srv.Serve(ln) }, srv.Close)
}

func onFiber(t *testing.T, piece string, guard *core.Guard, ln net.Listener) {
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	if piece == "Middleware" {
		app.Use(fiberws.Middleware(guard))
	}
	app.Get("/ws", fiberws.Endpoint(guard), contrib.New(func(ws *contrib.Conn) {
		inner := ws.Conn
		fiberws.SessionOf(ws).OnDrain(func() { _ = inner.WriteControl(websocket.CloseMessage, nil, time.Now().Add(time.Second)) })
		defer fiberws.SessionOf(ws).Settle()
		var err error
		for err == nil {
			_, _, err = ws.ReadMessage()
		}
	}))
	switch piece {
	case "Attach", "Listener":
		fiberws.Attach(guard, app)
	case "Serve":
		serving(t, func(ctx context.Context) error { return fiberws.ServeListener(ctx, guard, app, ln) }, func() error { return nil })
		return
	}
	serving(t, func(context.Context) error { return app.Listener(ln) }, func() error { return app.ShutdownWithTimeout(time.Second) })
}
