package core

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"github.com/quietws/quietws/core/internal/conn"
)

// connOf is conn.Of, and finds the connections of attached servers that the
// guard did not accept.
func (g *Guard) connOf(nc net.Conn) *conn.Conn {
	if c := conn.Of(nc); c != nil && guardOf(c) == g {
		return c
	}
	return g.servers.unseen.load(nc)
}

// Attach makes the guard the outermost layer of srv when it starts to serve:
// [Guard.Wrap] around its Handler, [Guard.ErrorLog] on its ErrorLog, and hooks
// on ConnContext and ConnState which call those that are there. Call it before
// Serve; until then all of them may still be set, but for BaseContext, by which
// the guard learns of the start and which has to be set before. A server that serves
// already it leaves as it is, and says so at Warn. It sets no timeout, unlike
// [Guard.Serve]. A second Attach of the same server does nothing; one of another
// guard's server is logged as an error when it starts, and ignored.
//
// Serve and Shutdown stay yours. Shutdown begins the drain but neither waits for it
// nor lets probers notice, which [Guard.Drain] before it does; and sessions that
// outlive it go on, as they do without the guard: the drain that a Shutdown began
// closes none at its deadline. A server counts from Attach on, started or not, until
// its Shutdown, or until its [Guard.Serve] returns. A Shutdown while another server
// counts is a goodbye to its own sessions alone, and readiness stays as it is; where
// no other has started a line at Warn says so.
//
// A panic in ConnContext or ConnState, which would end the process, is logged; one
// in ConnContext closes the connection. Both get the connection that the listener
// below [Guard.Listener] has accepted, or the *tls.Conn above.
//
// Alone it has what the server tells of a connection: some classes are less exact
// than with [Guard.Listener], and a session's connection is wrapped at its hijack.
func (g *Guard) Attach(srv *http.Server) { g.Adapter().Attach(srv) }

// Attach is [Guard.Attach] for the servers of one application, which shut down
// together and so count as one.
func (a Adapter) Attach(servers ...*http.Server) {
	keys := make([]any, len(servers))
	for i, srv := range servers {
		keys[i] = srv
	}
	a, first := a.Server(keys...)
	if !first {
		return
	}
	for _, srv := range servers {
		var once sync.Once
		base := srv.BaseContext
		srv.BaseContext = func(ln net.Listener) context.Context {
			ctx := context.Background()
			if base != nil {
				ctx = base(ln)
			}
			once.Do(func() { a.starting(srv, ln) })
			return ctx
		}
		srv.RegisterOnShutdown(a.ShuttingDown)
	}
}

// ShuttingDown tells the guard that the server accepts no connection any more: its
// drain begins, without a wait for probers that cannot come. It does not wait for
// the sessions, and closes none.
func (a Adapter) ShuttingDown() {
	g := a.g
	if g == nil {
		return
	}
	d := g.leaves(a.server)
	d.begin()
	go func() {
		g.closeIdle(d.of, nil) // Shutdown waits for them
		<-d.done
		g.closeIdle(d.of, nil)
	}()
}

// Starting tells the guard that the server begins to serve, on address if that is
// known: who answers each health route is then logged, once.
func (a Adapter) Starting(address string) {
	if a.g != nil {
		a.server.starts(address)
		a.g.logRoutes()
	}
}

// ShuttingDownAfter is ShuttingDown when done is closed, for servers whose
// shutdown shows in that alone. A nil done is that of a server that does not
// serve, as in a test.
func (a Adapter) ShuttingDownAfter(done <-chan struct{}) {
	if done == nil || a.g == nil {
		return
	}
	go func() {
		<-done
		a.ShuttingDown()
	}()
}

// starting runs when a server begins to serve, before it accepts: Echo sets
// Handler and ErrorLog as late as that.
func (a Adapter) starting(srv *http.Server, ln net.Listener) {
	g := a.g
	if l, ok := srv.Handler.(*layer); ok && l.a.g != g {
		g.journal.Note(slog.LevelError, "the server is attached to another guard already")
		return
	}
	if _, wrapped := srv.Handler.(*layer); !wrapped {
		l := g.layer(srv.Handler)
		l.a.server = a.server
		if l.general = !srv.DisableGeneralOptionsHandler; l.general {
			srv.DisableGeneralOptionsHandler = true // or net/http answers OPTIONS * unseen
		}
		srv.Handler = l
	}
	unseen := &conn.Source{Watch: g.watch}
	for _, t := range []time.Duration{srv.ReadHeaderTimeout, srv.ReadTimeout} {
		if t > 0 && unseen.Timeout == 0 {
			unseen.Timeout = t
		}
	}
	g.servers.headLimit.Store(int64(cmp.Or(srv.MaxHeaderBytes, http.DefaultMaxHeaderBytes)) + 4096) // as net/http has it
	if srv.Protocols != nil && srv.Protocols.UnencryptedHTTP2() {
		g.watch.H2C.Store(true)
	}
	srv.ErrorLog = g.ErrorLog(srv.ErrorLog)
	connContext := srv.ConnContext
	srv.ConnContext = func(ctx context.Context, nc net.Conn) context.Context {
		c := g.attach(nc, unseen)
		if connContext != nil {
			made := g.userContext(ctx, nc, connContext)
			if made == nil {
				if c != nil && c.Provenance() == conn.Reported { // its reads are not seen
					c.ClosedUnseen()
				}
				_ = nc.Close() // the server finds it closed
				return ctx
			}
			ctx = made
		}
		return connected(c, ctx)
	}
	if connState := srv.ConnState; connState != nil {
		srv.ConnState = func(nc net.Conn, state http.ConnState) {
			g.contained("ConnState", func() { connState(accepted(nc), state) })
			a.ConnState(nc, state)
		}
	} else {
		srv.ConnState = a.ConnState
	}
	a.Starting(addressOf(ln))
}

// accepted is what a hook of the user's gets for nc: the connection as the
// listener below the guard's has accepted it, whose type a hook may ask for
// (*net.UnixConn, for the peer's credentials). TLS stays above the guard's.
func accepted(nc net.Conn) net.Conn {
	if c, ok := nc.(*conn.Conn); ok {
		return c.Conn
	}
	return nc
}

// userContext calls a ConnContext of the user's, in the accept loop, where its
// panic would end the process. It returns nil if there was one.
func (g *Guard) userContext(ctx context.Context, nc net.Conn, connContext func(context.Context, net.Conn) context.Context) (made context.Context) {
	g.contained("ConnContext", func() {
		if made = connContext(ctx, accepted(nc)); made == nil {
			panic("ConnContext returned nil") // as net/http has it
		}
	})
	return made
}

// connected runs in the accept loop: it must not ask for addresses.
func connected(c *conn.Conn, ctx context.Context) context.Context {
	if c == nil || c.Context() != nil { // known already
		return ctx
	}
	c.SetContext(ctx)
	return (*connContext)(c)
}

// adoptable runs for a connection of a server that has no ConnContext. One that
// the server has put something of its own around is left alone: its listener may
// know it.
func (g *Guard) adoptable(nc net.Conn) *conn.Conn {
	switch nc.(type) {
	case syscall.Conn, interface{ NetConn() net.Conn }:
		return g.attach(nc, g.servers.adopted)
	}
	return nil
}

// attach makes nc known as a connection of a server that tells its states. It
// returns nil for another guard's.
func (g *Guard) attach(nc net.Conn, unseen *conn.Source) *conn.Conn {
	c := conn.Of(nc)
	if c != nil && guardOf(c) != g {
		return nil
	}
	if c == nil {
		if !hashable(nc) {
			g.notWatched(nc)
			return nil
		}
		g.stats.accepted.Add(1)
		c = conn.New(nc, unseen, conn.Reported)
		g.servers.unseen.store(nc, c)
	}
	c.LookAbove(nc)
	c.Note(conn.Attached)
	return c
}

// ConnState tells the guard what a server says of a connection, for servers of
// both families: fasthttp's states mean the same, but for Active, which there
// comes before the first byte. It runs in the accept loop and asks for no address
// there.
func (a Adapter) ConnState(nc net.Conn, state http.ConnState) {
	if state == http.StateIdle || a.g == nil {
		return
	}
	c := a.g.connOf(nc)
	if state == http.StateNew && (c == nil || !c.Saw(conn.Attached)) {
		c = a.g.adoptable(nc)
	}
	if c == nil {
		return
	}
	switch state {
	case http.StateActive:
		c.NoteActive()
	case http.StateHijacked:
		a.g.hijackedBy(c, nc)
	case http.StateClosed:
		a.g.servers.unseen.delete(nc)
		a.g.declined(c)
		c.Over()
	case http.StateNew:
		a.server.has(c)
		if c.Provenance() == conn.Reported && c.HasLines(nc) {
			a.g.watch.Conns.Index(c)
		}
	}
}

// hijackedBy runs when a server hands the connection over. From here on only
// the connection itself can tell its end.
func (g *Guard) hijackedBy(c *conn.Conn, nc net.Conn) {
	c.Note(conn.HandedOver)
	g.handedOver(c, nc)
	ordinary := occupantOf(c) == nil // no layer watches the hijack
	if ordinary {
		c.Mark(conn.Hijacked)
	}
	if c.Provenance() == conn.Reported {
		g.servers.unseen.delete(nc)
		if ordinary { // it ends here, as far as anyone can see
			c.Over()
		}
	}
	if c.Saw(conn.Closed) { // before this; nothing else comes
		c.Over()
	}
}
