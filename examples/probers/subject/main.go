// Command subject is a server for tests that the example servers cannot serve. It has
// routes that panic, reports its memory, and with -bare is the same server without
// quietws.
//
// On each framework: /ws sends messages back; /panic is an ordinary request whose
// handler panics; /ws/panic and /own/panic are sessions whose handler panics at
// the first message, on the adapter's Handler and on a library of the
// application's own; /memory and /heap are below.
package main

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"os/signal"
	"runtime"
	"runtime/metrics"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/prom"
)

// serves serves on a listener until ctx ends; without a guard for ever.
type serves func(context.Context, net.Listener) error

// frameworks are what it is made with. The guard is nil for a bare server.
var frameworks = map[string]func(*core.Guard) serves{
	"nethttp": onNetHTTP,
	"echo":    onEcho,
	"echo5":   onEcho5,
	"gin":     onGin,
	"fiber":   onFiber,
	"fiber3":  onFiber3,
}

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "where to listen")
	cert := flag.String("cert", "", "a certificate: serve TLS")
	key := flag.String("key", "", "and its key")
	on := flag.String("on", "nethttp", "the `framework`: nethttp, echo, echo5, gin, fiber or fiber3")
	bare := flag.Bool("bare", false, "serve without quietws")
	drain := flag.Duration("drain", 9*time.Second, "how long a drain may take")
	collapse := flag.Duration("collapse", time.Minute, "window in which repeats of a failure are counted instead of logged")
	flag.Bool("json", true, "as the example servers have it; it is always on")
	flag.Parse()
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stderr, nil)))
	config := core.Config{Collapse: *collapse, Drain: core.DrainConfig{Timeout: *drain}}
	if err := run(*on, *bare, config, *addr, *cert, *key); err != nil {
		slog.Error("stopped", "error", err)
		os.Exit(1)
	}
}

func run(on string, bare bool, config core.Config, addr, cert, key string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	framework := frameworks[on]
	if framework == nil {
		return fmt.Errorf("there is no framework %q", on)
	}
	var secret *tls.Config
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return err
		}
		secret = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	if bare {
		if secret != nil {
			ln = tls.NewListener(ln, secret)
		}
		slog.Info("health routes") // what is waited for
		return framework(nil)(ctx, ln)
	}
	guard, err := core.New(config)
	if err != nil {
		return err
	}
	defer func() { _ = guard.Close() }()
	prometheus.MustRegister(prom.NewCollector(guard))
	if secret != nil {
		ln = guard.TLSListener(ln, secret)
	} else {
		ln = guard.Listener(ln)
	}
	return framework(guard)(ctx, ln)
}

// plain are the routes that are alike on all of them.
var plain = map[string]http.Handler{
	"/":        http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "a page") }),
	"/metrics": promhttp.Handler(),
	"/memory":  http.HandlerFunc(memory),
	"/heap":    pprof.Handler("heap"),
}

// memory runs the garbage collector twice, to empty sync.Pools too, and reports what is
// left: the bytes of live objects and the number of goroutines.
func memory(w http.ResponseWriter, _ *http.Request) {
	runtime.GC()
	runtime.GC()
	of := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/sched/goroutines:goroutines"}}
	metrics.Read(of)
	_, _ = fmt.Fprintf(w, `{"live":%d,"goroutines":%d}`, of[0].Value.Uint64(), of[1].Value.Uint64())
}
