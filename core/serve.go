package core

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"
)

// headTimeout is what Serve sets where a server has no timeout of its own for
// the head of a request: without one a slow client holds a connection for ever.
const headTimeout = 10 * time.Second

// closeChecks is how often Serve looks, before it returns, whether the handlers
// of closed sessions have: 0.2 s.
const closeChecks = 20

// errNoListener is the error of Serve without a listener.
var errNoListener = errors.New("quietws: Serve was given no listener")

// Serve attaches the guard to srv, serves on the listeners until ctx ends, and
// then drains: sessions get their goodbye, and within Config.Drain.Timeout
// everything is closed. It returns nil after a drain, or else the first error
// of a listener, after closing the others. Listeners are watched; those that
// came from Listener or TLSListener are taken as they are. For TLS give it a
// TLSListener. Where srv has neither ReadHeaderTimeout nor ReadTimeout, Serve
// sets ReadHeaderTimeout to 10 s.
func (g *Guard) Serve(ctx context.Context, srv *http.Server, listeners ...net.Listener) error {
	if len(listeners) == 0 {
		return errNoListener
	}
	if err := g.Attach(srv); err != nil {
		return err
	}
	if srv.ReadHeaderTimeout == 0 && srv.ReadTimeout == 0 {
		srv.ReadHeaderTimeout = headTimeout
	}
	return g.Adapter().Serve(ctx, srv, listeners...)
}

// Server is a server of any framework. *http.Server is one.
type Server interface {
	// Serve serves until Shutdown or Close. After Shutdown it returns nil or
	// http.ErrServerClosed.
	Serve(net.Listener) error
	Shutdown(context.Context) error
	Close() error
}

// Serve is [Guard.Serve] for a server of any framework, which the adapter has
// attached.
func (a Adapter) Serve(ctx context.Context, srv Server, listeners ...net.Listener) error {
	g := a.g
	if len(listeners) == 0 {
		return errNoListener
	}
	failed := make(chan error, len(listeners))
	for _, ln := range listeners {
		go func() { failed <- srv.Serve(g.watched(ln)) }()
	}
	running := len(listeners)
	var err error
	select {
	case <-ctx.Done():
		err = g.shutdown(srv)
	case err = <-failed:
		running--
		if err == nil || errors.Is(err, http.ErrServerClosed) { // somebody called Shutdown: the drain is under way
			err = g.shutdown(srv)
		} else {
			_ = srv.Close()
		}
	}
	for range running {
		<-failed
	}
	return err
}

// watched puts the guard on ln where it is not yet.
func (g *Guard) watched(ln net.Listener) net.Listener {
	switch ln.(type) {
	case *listener, *tlsListener:
		return ln
	}
	return g.Listener(ln)
}

// shutdown drains, and then shuts srv down for as long as the deadline lets it.
func (g *Guard) shutdown(srv Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), g.config.Drain.Timeout)
	defer cancel()
	_, _ = g.Drain(ctx)
	if err := srv.Shutdown(ctx); err != nil {
		_ = srv.Close() // requests that are still running
	}
	for range closeChecks { // handlers of what was closed return now: how it ended can be told yet
		if !g.conns.anySession() {
			break
		}
		t := time.NewTimer(drainCheck)
		<-t.C
	}
	return nil
}
