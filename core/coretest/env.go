package coretest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/probetest"
)

// patience is the longest wait of a row for one thing.
const patience = 8 * time.Second

// certs is the certificate that the rows under TLS share.
type certs struct {
	server tls.Certificate
	pool   *x509.CertPool
}

func certificates(t *testing.T) certs {
	t.Helper()
	cert, pool, err := probetest.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	return certs{cert, pool}
}

// env is the server of one row, and what was recorded of it.
type env struct {
	testing.TB
	step   func() // called when the row makes progress, see within
	ctx    context.Context
	row    row
	a      Adapter
	layer  Layer
	port   port
	limit  *Limit // of the framework, that applies here
	certs  certs
	guard  *core.Guard
	target probetest.Target

	log    *recorder
	events *events
	access *buffer
	server *buffer

	mu    sync.Mutex
	hooks map[string]int
	asked []asked

	caught atomic.Int32  // how often the catch-all was called
	free   chan struct{} // closed when the row has ended

	opened   int  // connections that the row opened
	ended    bool // the guard is closed
	shutdown func(context.Context) error
}

// asked is one answer to whether a request is a probe.
type asked struct {
	path          string
	before, after bool
}

func newEnv(ctx context.Context, t *heard, a Adapter, r row, layer Layer, p port, c certs) *env {
	t.Helper()
	e := &env{
		TB: t, step: t.step, ctx: ctx, row: r, a: a, layer: layer, port: p, certs: c,
		log: &recorder{}, events: &events{}, access: &buffer{}, server: &buffer{}, hooks: make(map[string]int), free: make(chan struct{}),
	}
	t.Cleanup(func() { e.explain(t.TB) })
	if layer != Bare {
		config := core.Config{
			Logger:   slog.New(e.log),
			Observe:  e.events.observe,
			Collapse: time.Hour, // Close logs what is collapsed
			Summary:  -1,
			Drain:    core.DrainConfig{Timeout: patience, Spread: -1, Fall: -1},
		}
		if r.config != nil {
			r.config(&config)
		}
		g, err := core.New(config)
		if err != nil {
			t.Fatal(err)
		}
		e.guard = g
		t.Cleanup(func() { _ = g.Close() })
	}
	e.start()
	return e
}

// start starts the server.
func (e *env) start() {
	e.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		e.Fatal(err)
	}
	s := Setup{
		Guard: e.guard, Listener: ln, Layer: e.layer, App: e.row.app, HeadTimeout: e.row.headTimeout,
		AccessLog: e.access, ServerLog: e.server,
		Caught: func() {
			e.caught.Add(1)
			if e.row.caught != nil {
				e.row.caught(e)
			}
		},
		Hook: func(name string) {
			e.mu.Lock()
			e.hooks[name]++
			e.mu.Unlock()
			if e.row.hook != nil {
				e.row.hook(e, name)
			}
		},
	}
	if e.guard != nil {
		s.Asked = func(path string, before, after bool) {
			e.mu.Lock()
			e.asked = append(e.asked, asked{path, before, after})
			e.mu.Unlock()
		}
	}
	e.target = probetest.Target{Addr: ln.Addr().String()}
	if e.port == secure {
		s.TLS = &tls.Config{Certificates: []tls.Certificate{e.certs.server}, NextProtos: []string{"http/1.1"}}
		if !e.a.Framework.lacks(HTTP2) {
			s.TLS.NextProtos = []string{"h2", "http/1.1"}
		}
		e.target.TLS = &tls.Config{RootCAs: e.certs.pool}
		if e.row.ports != secure {
			// The default key exchange with its two kinds is a quarter of the suite's work.
			// Rows about TLS use it anyway, with its long ClientHello.
			e.target.TLS.CurvePreferences = []tls.CurveID{tls.X25519}
		}
		if e.row.tls != nil {
			e.row.tls(e, s.TLS)
		}
	}
	shutdown := e.a.Start(e.TB, s)
	if shutdown == nil {
		e.Fatal("coretest: Start returned no shutdown")
	}
	var once sync.Once
	e.shutdown = func(ctx context.Context) (err error) {
		once.Do(func() { err = shutdown(ctx) })
		return err
	}
	e.Cleanup(e.stop)
}

// explain prints the rule and all records if the row failed.
func (e *env) explain(t testing.TB) {
	if !t.Failed() {
		return
	}
	t.Logf("the rule: %s", e.row.rule)
	for _, l := range e.log.all() {
		t.Logf("log: %v", l)
	}
	for _, ev := range e.events.list() {
		t.Logf("event: %s", describe(ev))
	}
	for _, l := range e.access.lines() {
		t.Logf("access log: %s", l)
	}
	for _, l := range e.server.lines() {
		t.Logf("server log: %s", l)
	}
	if e.guard != nil {
		s := e.guard.Snapshot()
		t.Logf("connected %d, accepted %d, open %d, classes %v, handshakes %v, probes %v, sessions %v",
			e.opened, s.Accepted, s.Open, nonZero(s.Closed), s.Handshakes, s.Probes, s.SessionsEnded)
	}
}

func nonZero(m map[event.Class]uint64) string {
	var parts []string
	for _, c := range event.Classes() {
		if m[c] > 0 {
			parts = append(parts, fmt.Sprintf("%v=%d", c, m[c]))
		}
	}
	return strings.Join(parts, " ")
}

// scenario runs the scenario of probetest with that name n times and returns the results
// of the client.
func (e *env) scenario(name string, n int) []probetest.Result {
	e.Helper()
	return e.times(n, e.find(name))
}

// scenarioFunc is what a client does, see probetest.Scenario.Run.
type scenarioFunc func(context.Context, probetest.Target) (probetest.Result, error)

func (e *env) find(name string) scenarioFunc {
	e.Helper()
	s, ok := probetest.Find(name)
	if !ok {
		e.Fatalf("coretest: probetest has no scenario %q", name)
	}
	return s.Run
}

// atOnce calls run n times at once.
func (e *env) atOnce(n int, run scenarioFunc) []probetest.Result {
	e.Helper()
	e.step()
	ctx, cancel := context.WithTimeout(e.ctx, patience)
	defer cancel()
	results, errs := make([]probetest.Result, n), make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { results[i], errs[i] = run(ctx, e.target) })
	}
	wg.Wait()
	e.opened += n
	if err := errors.Join(errs...); err != nil {
		e.Fatalf("the scenario: %v", err)
	}
	return results
}

// times calls run n times, one after the other.
func (e *env) times(n int, run scenarioFunc) []probetest.Result {
	e.Helper()
	results := make([]probetest.Result, 0, n)
	for range n {
		e.step()
		ctx, cancel := context.WithTimeout(e.ctx, patience)
		e.opened++
		res, err := run(ctx, e.target)
		cancel()
		if err != nil {
			e.Fatalf("the scenario: %v", err)
		}
		results = append(results, res)
	}
	return results
}

// do sends one request.
func (e *env) do(r probetest.Request) probetest.Result {
	e.Helper()
	return e.times(1, func(ctx context.Context, t probetest.Target) (probetest.Result, error) {
		return probetest.Do(ctx, t, r)
	})[0]
}

// open opens a session on path.
func (e *env) open(path string, more ...probetest.Field) *probetest.Session {
	e.Helper()
	t := e.target
	t.Path = path
	e.step()
	e.opened++
	s, _, err := probetest.Open(e.ctx, t, more...)
	if err != nil {
		e.Fatalf("no session on %s: %v", path, err)
	}
	return s
}

// echo sends a message through s and expects it back.
func (e *env) echo(s *probetest.Session, text string) {
	e.Helper()
	if err := s.SendText(e.ctx, text); err != nil {
		e.Fatalf("sending %q: %v", text, err)
	}
	f, err := s.Read(e.ctx)
	if err != nil {
		e.Fatalf("reading the echo of %q: %v", text, err)
	}
	if string(f.Payload) != text {
		e.Errorf("the echo of %q is %q", text, f.Payload)
	}
}

// until waits until ok is true, and fails the row if patience ends first.
func (e *env) until(what string, ok func() bool) {
	e.Helper()
	e.step()
	if !eventually(ok) {
		e.Fatalf("waited %v in vain: %s", patience, what)
	}
}

// eventually polls ok until it is true or patience ends.
func eventually(ok func() bool) bool {
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			return ok()
		}
	}
	return true
}

// accepted waits until the server has accepted every connection of the row. A listener
// that closes resets those that still wait in its queue, which no guard ever sees. It is
// for layers on which connections are counted.
func (e *env) accepted() {
	e.Helper()
	e.until("every connection is accepted", func() bool { return e.guard.Snapshot().Accepted == uint64(e.opened) })
}

// settled waits until every connection of the row has its class, and every
// session has ended.
func (e *env) settled() {
	e.Helper()
	if e.guard == nil {
		return
	}
	e.until("every connection is accepted and has ended", func() bool {
		s := e.guard.Snapshot()
		return s.SessionsOpen == 0 && s.Open == 0 && (!e.layer.counted() || s.Accepted >= uint64(e.opened))
	})
}

// observed reports whether all that is counted has its events. An event follows its
// counter, and its line in the log comes before the event.
func (e *env) observed() bool {
	s, events := e.guard.Snapshot(), make(map[event.Class]uint64)
	for _, ev := range e.events.list() {
		events[ev.Class]++
	}
	want := make(map[event.Class]uint64)
	if e.layer.counted() {
		for _, c := range []event.Class{
			event.Hijacked, event.ProxyProbe, event.WrongProtocol, event.TLSFailed, event.BadRequest,
			event.ServerClosed, event.IdleConnect, event.TLSProbe, event.TCPProbe,
		} {
			want[c] = s.Closed[c]
		}
	}
	for _, ended := range s.SessionsEnded {
		want[event.SessionEnded] += ended.N
	}
	for _, h := range s.Handshakes {
		switch h.Result {
		case "refused":
			want[event.HandshakeRefused] += h.N
		case "failed":
			want[event.UpgradeFailed] += h.N
		}
	}
	for _, p := range s.Probes {
		if p.Class == event.HTTPProbe || p.Class == event.ProbeFailing {
			want[p.Class] += p.N
		}
	}
	for c, n := range want {
		if events[c] < n {
			return false
		}
	}
	return true
}

// close waits until every connection has ended and has its event, and closes the guard,
// which logs what is pending. Later events are ignored.
func (e *env) close() {
	e.Helper()
	if e.guard == nil || e.ended {
		return
	}
	e.settled()
	if !e.row.unheard {
		e.until("all that is counted has its events", e.observed)
	}
	e.ended = true
	if err := e.guard.Close(); err != nil {
		e.Errorf("Guard.Close: %v", err)
	}
}
