package core

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/quietws/quietws/core/internal/conn"
	"github.com/quietws/quietws/core/internal/usererror"
)

// headTimeout is what Serve sets if a server has no timeout for the head of a request.
// Without one, a slow client holds a connection for ever.
const headTimeout = 10 * time.Second

// closeChecks is how often Serve checks, before it returns, whether the handlers of
// closed sessions have returned: for 0.2 s.
const closeChecks = 20

// errNoListener is the error of Serve without a listener.
var errNoListener = errors.New("quietws: Serve was given no listener")

// Serve attaches the guard to srv and serves on the listeners until ctx ends. Then it
// drains as [Guard.Drain] does, and shuts srv down: sessions get their goodbye, and after
// [DrainConfig].Timeout everything is closed, including requests that still run. After a
// drain it returns nil. If a listener fails, it closes srv and the other listeners and
// returns the first error; sessions are not drained then. If your own code calls
// srv.Shutdown, Serve also ends with a drain.
//
// Listeners are watched; those of [Guard.Listener] and [Guard.TLSListener] are used
// unchanged. For TLS give it a TLSListener. If srv has neither ReadHeaderTimeout nor
// ReadTimeout, Serve sets ReadHeaderTimeout to 10 s. Without a listener, or with one of
// tls.NewListener that is not over one of [Guard.Listener], it returns an error at once.
//
// Give it a context that ends at SIGTERM, and let a second signal end the process:
//
//	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
//	context.AfterFunc(ctx, stop)
func (g *Guard) Serve(ctx context.Context, srv *http.Server, listeners ...net.Listener) error {
	a := g.Adapter()
	if err := a.canServe(ctx); err != nil {
		return conn.Unserved(err, listeners...)
	}
	if len(listeners) == 0 {
		return errNoListener
	}
	a.Attach(srv)
	a, _ = a.Server(srv)
	if srv.ReadHeaderTimeout == 0 && srv.ReadTimeout == 0 {
		srv.ReadHeaderTimeout = headTimeout
	}
	return a.Serve(ctx, srv, listeners...)
}

// servable is a server of any framework, for [Adapter.Serve]. *http.Server is one.
type servable interface {
	// Serve serves until Shutdown or Close, on several listeners at once. After Shutdown
	// it returns nil or http.ErrServerClosed.
	Serve(net.Listener) error
	// Shutdown waits for requests that run, until its context ends.
	Shutdown(context.Context) error
	// Close closes what Shutdown would wait for.
	Close() error
}

// Serve is [Guard.Serve] for a server of any framework that the adapter has attached; a
// comes from [Adapter.Server].
func (a Adapter) Serve(ctx context.Context, srv servable, listeners ...net.Listener) error {
	g := a.g
	if len(listeners) == 0 {
		return errNoListener
	}
	if slices.ContainsFunc(listeners, isTLSListener) {
		return conn.Unserved(errTLSBelow, listeners...)
	}
	if err := a.canServe(ctx); err != nil {
		return conn.Unserved(err, listeners...)
	}
	var all *drain // of all sessions of the guard
	if g != nil {
		all = g.ending.all
		address := addressOf(listeners...)
		a.server.starts(address)
		g.journal.Note(slog.LevelInfo, "serving", slog.String("address", address))
	}
	failed := make(chan error, len(listeners))
	for _, ln := range listeners {
		go func() { failed <- srv.Serve(g.watched(ln)) }()
	}
	running := len(listeners)
	var err error
	select {
	case <-ctx.Done():
		err = g.shutdown(all, srv)
	case err = <-failed:
		running--
		if err == nil || usererror.Is(err, http.ErrServerClosed) { // Shutdown was called: the drain has begun
			err = g.shutdown(g.leaves(a.server), srv)
		} else {
			g.stops(a.server)
			_ = srv.Close()
		}
	}
	for _, ln := range listeners { // including one about to be served: fasthttp's Serve does not see a shutdown before it
		_ = ln.Close()
	}
	for range running {
		<-failed
	}
	return err
}

// watched puts the guard on ln if it is not there yet.
func (g *Guard) watched(ln net.Listener) net.Listener {
	switch ln.(type) {
	case *listener, *tlsListener:
		return ln
	}
	return g.Listener(ln)
}

// shutdown waits for the drain, then shuts srv down, for as long as the deadline allows.
func (g *Guard) shutdown(d *drain, srv servable) error {
	timeout := defaultDrainTimeout
	if g != nil {
		timeout = g.config.Drain.Timeout
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if d != nil {
		_, _ = d.wait(ctx)
	}
	if err := srv.Shutdown(ctx); err != nil {
		_ = srv.Close() // requests that are still running
	}
	if g == nil {
		return nil
	}
	for range closeChecks { // handlers of closed connections return now, and how their sessions ended can still be logged
		if !g.anySession(d.of) {
			break
		}
		t := time.NewTimer(drainCheck)
		<-t.C
	}
	return nil
}

// Listen listens on addr, as net.Listen does, and passes the listener to serve, which
// closes it. It returns the error of either.
func (a Adapter) Listen(network, addr string, serve func(...net.Listener) error) error {
	ln, err := net.Listen(network, addr)
	if err != nil {
		return err
	}
	return serve(ln)
}

// errNoCertificate is the error of ListenTLS without a certificate.
var errNoCertificate = errors.New("quietws: ServeTLS needs a tls.Config with a certificate")

// ListenTLS is Listen with TLS above. If config names no protocols, HTTP/1.1 is offered,
// and HTTP/2 if http2 says that the server speaks it. If the server does not, HTTP/2 is
// never offered. A config without a certificate is an error. config is not changed.
func (a Adapter) ListenTLS(network, addr string, config *tls.Config, http2 bool, serve func(...net.Listener) error) error {
	if config == nil || len(config.Certificates) == 0 && config.GetCertificate == nil && config.GetConfigForClient == nil {
		return errNoCertificate
	}
	config = config.Clone()
	offered := config.NextProtos
	if len(offered) == 0 {
		offered = []string{"h2", "http/1.1"}
	}
	config.NextProtos = slices.DeleteFunc(slices.Clone(offered), func(p string) bool { return p == "h2" && !http2 })
	return a.Listen(network, addr, func(ln ...net.Listener) error { return serve(a.g.TLSListener(ln[0], config)) })
}

// Run serves srv on addr until the process gets SIGINT or SIGTERM, drains, shuts srv down
// and closes g. It is [Guard.Serve] with the lines that every main function needs around
// it. addr is host:port as for [net.Listen]; ":8080" is every address of this host. After
// a drain it returns nil, whatever became of the sessions; otherwise, the reason why it
// could not listen or serve. A second signal ends the process at once, as it would
// without Run. A nil g serves and shuts down too.
//
// It is for a process that lives as long as this server: it handles SIGINT and SIGTERM,
// and it closes g, which therefore must not serve anything else. For other programs use
// [Guard.Serve].
func Run(g *Guard, srv *http.Server, addr string) error {
	return g.Adapter().Run(func(ctx context.Context) error {
		return g.Adapter().Listen("tcp", addr, func(ln ...net.Listener) error { return g.Serve(ctx, srv, ln...) })
	})
}

// RunTLS is Run over TLS, with the certificate in certFile and its key in keyFile. Both
// are PEM, as for [http.Server.ListenAndServeTLS], and are read once. HTTP/2 is offered
// as well as HTTP/1.1. srv.TLSConfig has the other settings of TLS; it is not changed.
func RunTLS(g *Guard, srv *http.Server, addr, certFile, keyFile string) error {
	return g.Adapter().RunTLS(certFile, keyFile, srv.TLSConfig, func(ctx context.Context, config *tls.Config) error {
		return g.Adapter().ListenTLS("tcp", addr, config, true, func(ln ...net.Listener) error { return g.Serve(ctx, srv, ln...) })
	})
}

// Run is [Run] for a server of any framework, which serve serves until its context ends.
func (a Adapter) Run(serve func(context.Context) error) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process
	err := serve(ctx)
	_ = a.g.Close() // it fails only if the log blocks, where the program would log the error
	return err
}

// RunTLS is [RunTLS] for a server of any framework. base has the other settings of TLS;
// it may be nil.
func (a Adapter) RunTLS(certFile, keyFile string, base *tls.Config, serve func(context.Context, *tls.Config) error) error {
	return a.Run(func(ctx context.Context) error {
		pair, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			return fmt.Errorf("quietws: RunTLS cannot read its certificate: %w", err)
		}
		config := new(tls.Config)
		if base != nil {
			config = base.Clone()
		}
		config.Certificates = append([]tls.Certificate{pair}, config.Certificates...)
		return serve(ctx, config)
	})
}
