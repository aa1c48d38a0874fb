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

// connOf is conn.Of, and also finds connections of attached servers that the guard did
// not accept.
func (g *Guard) connOf(nc net.Conn) *conn.Conn {
	if c := conn.Of(nc); c != nil && guardOf(c) == g {
		return c
	}
	return g.servers.unseen.load(nc)
}

// Attach makes the guard the outermost layer of srv when it starts to serve: [Guard.Wrap]
// around its Handler, [Guard.ErrorLog] on its ErrorLog, and hooks on ConnContext and
// ConnState, which call the hooks that were set before. Call it before Serve. Until then
// you may still set all of these fields; but set BaseContext before Attach, because the
// guard learns of the start from it. If the server is serving already, Attach logs a
// warning and changes nothing. It sets no timeout, unlike [Guard.Serve]. A second Attach
// of the same server does nothing. If the server belongs to another guard, that is logged
// as an error when it starts, and ignored.
//
// You still call Serve and Shutdown. Shutdown begins the drain, but does not wait for it
// and gives probers no time to notice; call [Guard.Drain] before it for that. Sessions
// that outlive Shutdown go on, as they do without the guard: a drain that Shutdown began
// closes none at its deadline.
//
// A server counts from Attach on, started or not, until its Shutdown, or until its
// [Guard.Serve] returns. If another server still counts, a Shutdown says goodbye only to
// its own server's sessions, and readiness does not change; if none of the others has
// started, a warning is logged.
//
// A panic in ConnContext or ConnState would end the process. Here it is logged, and one
// in ConnContext also closes the connection. Both hooks get the connection that the
// listener below [Guard.Listener] accepted, or the *tls.Conn above it.
//
// Without [Guard.Listener], the guard knows only what the server reports of a connection:
// some classes are less exact, and the connection of a session is wrapped at its hijack.
func (g *Guard) Attach(srv *http.Server) { g.Adapter().Attach(srv) }

// Attach is [Guard.Attach] for the servers of one application. They shut down together,
// so they count as one.
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

// ShuttingDown says that the server accepts no more connections. The drain begins,
// without waiting for probers, which cannot connect any more. ShuttingDown does not wait
// for the sessions, and closes none.
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

// Starting says that the server begins to serve, on address if that is known. The guard
// then logs once which side answers each health route.
func (a Adapter) Starting(address string) {
	if a.g != nil {
		a.server.starts(address)
		a.g.logRoutes()
	}
}

// ShuttingDownAfter calls ShuttingDown when done is closed, for servers that show their
// shutdown only in this way. A nil done means a server that does not serve, as in a test.
func (a Adapter) ShuttingDownAfter(done <-chan struct{}) {
	if done == nil || a.g == nil {
		return
	}
	go func() {
		<-done
		a.ShuttingDown()
	}()
}

// starting runs when a server begins to serve, before it accepts: Echo sets Handler and
// ErrorLog only then.
func (a Adapter) starting(srv *http.Server, ln net.Listener) {
	g := a.g
	if l, ok := srv.Handler.(*layer); ok && l.a.g != g {
		g.journal.Note(slog.LevelError, "the server is already attached to another guard")
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
		return connected(ctx, c)
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

// accepted returns what a hook of the user gets for nc: the connection as accepted by the
// listener below the guard's. A hook may ask for its type, such as *net.UnixConn for the
// peer's credentials. TLS stays above the guard's connection.
func accepted(nc net.Conn) net.Conn {
	if c, ok := nc.(*conn.Conn); ok {
		return c.Conn
	}
	return nc
}

// userContext calls the user's ConnContext. It runs in the accept loop, where a panic
// would end the process. After a panic it returns nil.
func (g *Guard) userContext(ctx context.Context, nc net.Conn, connContext func(context.Context, net.Conn) context.Context) (made context.Context) {
	g.contained("ConnContext", func() {
		if made = connContext(ctx, accepted(nc)); made == nil {
			panic("ConnContext returned nil") // as net/http has it
		}
	})
	return made
}

// connected runs in the accept loop, so it must not ask for addresses.
func connected(ctx context.Context, c *conn.Conn) context.Context {
	if c == nil || c.Context() != nil { // already known
		return ctx
	}
	c.SetContext(ctx)
	return (*connContext)(c)
}

// adoptable returns the watched connection for nc on a server without ConnContext. It
// does not adopt a connection that the server has wrapped in a type of its own, because
// its listener may know it; then it returns nil.
func (g *Guard) adoptable(nc net.Conn) *conn.Conn {
	switch nc.(type) {
	case syscall.Conn, interface{ NetConn() net.Conn }:
		return g.attach(nc, g.servers.adopted)
	}
	return nil
}

// attach registers nc as a connection of a server that reports its states. It returns nil
// for another guard's connection.
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

// ConnState passes on the state that a server reports for a connection, for servers of
// both families. The states of fasthttp mean the same, except that Active comes before
// the first byte. It runs in the accept loop and asks for no address there.
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

// hijackedBy runs when a server hands a connection over. From here on, only the
// connection itself can report its end.
func (g *Guard) hijackedBy(c *conn.Conn, nc net.Conn) {
	c.Note(conn.HandedOver)
	g.handedOver(c, nc)
	ordinary := occupantOf(c) == nil // no layer saw the hijack
	if ordinary {
		c.Mark(conn.Hijacked)
	}
	if c.Provenance() == conn.Reported {
		g.servers.unseen.delete(nc)
		if ordinary { // nothing after this can be seen
			c.Over()
		}
	}
	if c.Saw(conn.Closed) { // closed before the hijack: no other call follows
		c.Over()
	}
}
