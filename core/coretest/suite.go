package coretest

import (
	"context"
	"crypto/tls"
	"flag"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/event"
)

// Adapter is what the suite tests.
type Adapter struct {
	// Start starts the application of the package's documentation.
	Start Start
	// Framework has its limits: [Echo], [Gin], [Fiber], [NetHTTP], or your own.
	Framework Framework
	// Hooks names the hooks of the server that both users and the adapter set. Start
	// sets each and lets it call [Setup.Hook] with its name.
	Hooks []string
}

// Start serves the application as s says and returns at once. The function that it returns
// ends the server within its context, like a user of the layer: it ends the context given
// to Serve, or calls the framework's Shutdown on the other layers. Start fails t if the
// server cannot be started.
type Start func(t testing.TB, s Setup) (shutdown func(context.Context) error)

// Setup is one server to start.
type Setup struct {
	// Guard is the guard of the application, nil with [Bare].
	Guard *core.Guard
	// Listener is the raw TCP listener to serve on. The adapter puts TLS above.
	Listener net.Listener
	// TLS is the server's configuration, nil for a plain port. It has the
	// protocols to negotiate.
	TLS   *tls.Config
	Layer Layer
	App   App

	// HeadTimeout is the server's limit for the head of a request and for the
	// TLS handshake (ReadHeaderTimeout, or Fiber's ReadTimeout). 0: none.
	HeadTimeout time.Duration

	// AccessLog gets one line for each request that reaches the framework's
	// own access log, "STATUS METHOD PATH\n", with the adapter's Quiet as its
	// filter.
	AccessLog io.Writer
	// ServerLog is where the server's own error log goes, with no prefix.
	ServerLog io.Writer

	// Asked is called for each request, in a middleware, with the results of
	// [core.Guard.IsProbe], or the adapter's form of it, before and after the rest of
	// the chain. Nil with [Bare].
	Asked func(path string, before, after bool)
	// Caught is called by the catch-all of [App.CatchAll], before it answers.
	Caught func()
	// Hook is called by the hooks that [Adapter.Hooks] names.
	Hook func(name string)
}

// Layer is how much of the adapter is in use.
type Layer uint8

const (
	// Serve: the adapter serves on the listener. Everything is on.
	Serve Layer = iota
	// AttachListener: Attach, and the framework serves on a listener of Guard.Listener,
	// with TLS above.
	AttachListener
	// Attach: only Attach, and the framework serves on the raw listener.
	Attach
	// Middleware: only the middleware is added, as far outside as the framework
	// allows.
	Middleware
	// Inner: the same inside the framework's access log.
	Inner
	// Bare: the application without quietws.
	Bare
)

// String returns "serve", "attach+listener", "attach", "middleware", "inner"
// or "bare".
func (l Layer) String() string {
	return [...]string{"serve", "attach+listener", "attach", "middleware", "inner", "bare"}[l]
}

// counted reports whether connections are counted.
func (l Layer) counted() bool { return l <= Attach }

// port is the kind of port that a row runs on.
type port uint8

const (
	plain port = 1 << iota
	secure
	anyPort = plain | secure
)

func (p port) String() string { return map[port]string{plain: "plain", secure: "tls"}[p] }

// row is one rule and the function that checks it.
type row struct {
	name string
	// rule is printed if the row fails: what must hold, and why.
	rule   string
	ports  port    // 0: anyPort
	layers []Layer // none: Serve
	needs  Need    // features that not every framework has
	sees   []kind  // expected among its events, without a limit
	fact   *Want   // instead of sees
	asks   bool    // run looks at the limit itself

	tls  func(*env, *tls.Config)   // changes the server's configuration
	hook func(e *env, name string) // runs in the hooks that the user sets

	app         App
	headTimeout time.Duration
	unheard     bool       // the row sets its own observer
	serverLog   bool       // the server's own log has lines too
	caught      func(*env) // what the catch-all does
	config      func(*core.Config)
	run         func(*env)
}

// kind is what an event is.
type kind struct {
	class  event.Class
	reason event.Reason
}

// Run runs every row on a. It runs twice as many at once as -parallel, because they wait as
// much as they work. A row without progress for ten seconds fails and prints its stack. A
// row with a limit is skipped as n.a. or unknown, or logs how it differs, with the reason.
func Run(t *testing.T, a Adapter) {
	if a.Start == nil {
		t.Fatal("coretest: Adapter.Start is not set")
	}
	certs := certificates(t)
	for _, wrong := range a.Framework.checked() {
		t.Errorf("coretest: %s: %s", a.Framework.Name, wrong)
	}
	t.Run("rows", func(t *testing.T) {
		var all []func()
		for _, r := range rows() {
			all = append(all, r.tests(t, a, certs)...)
		}
		atOnce(all)
	})
	nothingLeft(t)
}

// rows are all rows, those of failures first.
func rows() (all []row) {
	for _, part := range [][]row{
		handshakeRows(), endpointRows(), outcomeRows(), tlsRows(), junkRows(), probeRows(), healthRows(), detailRows(),
		trustRows(), forgeRows(), panicRows(), containRows(), sessionRows(), goneRows(), mixedRows(), http2Rows(), routeRows(), slotRows(), wireRows(), appRows(), accessRows(), drainRows(), serverRows(), journalRows(),
		userRows(),
	} {
		all = append(all, part...)
	}
	return all
}

// variants calls f for each layer and port that r runs on.
func (r row) variants(f func(Layer, port)) {
	layers, ports := r.layers, r.ports
	if len(layers) == 0 {
		layers = []Layer{Serve}
	}
	if ports == 0 {
		ports = anyPort
	}
	for _, layer := range layers {
		for _, p := range []port{plain, secure} {
			if ports&p != 0 {
				f(layer, p)
			}
		}
	}
}

// tests are functions that each run r on one of its layers and ports.
func (r row) tests(t *testing.T, a Adapter, c certs) (all []func()) {
	r.variants(func(layer Layer, p port) {
		limit := a.Framework.limit(r, layer, p)
		if os.Getenv(noLimits) != "" && limit.skips() {
			limit = nil
		}
		run := func(t *testing.T) {
			switch {
			case limit.skips():
				t.Skipf("%s: %s", limit.Outcome, limit.Reason)
			case limit != nil:
				t.Logf("%s: %s", limit.Outcome, limit.Reason)
			}
			within(t, rowLimit, func(t *heard, ctx context.Context) {
				e := newEnv(ctx, t, a, r, layer, p, c)
				e.limit = limit
				r.run(e)
				e.finish()
			})
		}
		all = append(all, func() { t.Run(r.name+"/"+layer.String()+"/"+p.String(), run) })
	})
	return all
}

// atOnce calls all, some at a time. Parallel tests would not do, because only as many run
// as there are CPUs, even if most of them wait.
func atOnce(all []func()) {
	parallel := 1
	if f := flag.Lookup("test.parallel"); f != nil {
		parallel, _ = f.Value.(flag.Getter).Get().(int)
	}
	next := make(chan func())
	var workers sync.WaitGroup
	for range 2 * max(parallel, 1) {
		workers.Go(func() {
			for f := range next {
				f()
			}
		})
	}
	for _, f := range all {
		next <- f
	}
	close(next)
	workers.Wait()
}

// noLimits is an environment variable that makes rows with a limit run unchanged: one that
// passes no longer needs its limit.
const noLimits = "CORETEST_NO_LIMITS"
