package core

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"
)

// httpHead is the Head of a request of net/http.
type httpHead struct{ r *http.Request }

func (h httpHead) Method() string { return h.r.Method }
func (h httpHead) Query() string  { return h.r.URL.RawQuery }
func (h httpHead) Host() string   { return h.r.Host }
func (h httpHead) Proto() string  { return h.r.Proto }
func (h httpHead) TLS() bool      { return h.r.TLS != nil }

func (h httpHead) Path() string {
	if h.r.Method == "PRI" { // URL.Path is empty for "*"
		return h.r.RequestURI
	}
	return h.r.URL.Path
}

func (h httpHead) Field(name string) string {
	v := h.r.Header[name]
	switch {
	case len(v) == 1:
		return v[0]
	case len(v) > 1:
		return strings.Join(v, ", ")
	case name == "Host": // net/http takes it out of the header
		return h.r.Host
	}
	return ""
}

func (h httpHead) Remote() netip.AddrPort {
	a, err := netip.ParseAddrPort(h.r.RemoteAddr)
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// connKey is asked of a context for the Conn of its request.
type connKey struct{}

// connContext is a Conn seen as the context of its requests. Making the Conn
// itself a context saves an allocation for each connection.
type connContext Conn

func (c *connContext) Deadline() (time.Time, bool) { return c.ctx.Deadline() }
func (c *connContext) Done() <-chan struct{}       { return c.ctx.Done() }
func (c *connContext) Err() error                  { return c.ctx.Err() }

func (c *connContext) Value(key any) any {
	switch key.(type) {
	case connKey:
		return (*Conn)(c)
	case exchangeKey:
		if x := c.current.Load(); x != nil {
			return x
		}
		return nil
	}
	return c.ctx.Value(key)
}

// httpConn returns the watched connection of r, nil if there is none. Without
// Attach nobody told the request, and the peer's address has to find it.
func (g *Guard) httpConn(r *http.Request) *Conn {
	if c, ok := r.Context().Value(connKey{}).(*Conn); ok && c.ln.g == g {
		return c
	}
	if g.stats.accepted.Load() == 0 {
		return nil
	}
	return g.conns.find(httpHead{r}.Remote())
}

// connOf is ConnOf, and finds the connections of attached servers that the
// guard did not accept.
func (g *Guard) connOf(nc net.Conn) *Conn {
	if c := ConnOf(nc); c != nil && c.ln.g == g {
		return c
	}
	if c, ok := g.unseen.Load(nc); ok {
		return c.(*Conn)
	}
	return nil
}

// Attach makes the guard the outermost layer of srv when it starts to serve:
// [Guard.Wrap] around its Handler, [Guard.ErrorLog] on its ErrorLog, and hooks
// on ConnContext and ConnState which call those that are there. Call it before
// Serve; until then all of them may still be set, but for BaseContext, by which
// the guard learns of the start and which has to be set before. Serve and
// Shutdown stay yours; at Shutdown the sessions of the guard are drained, also
// those of another server that it is attached to. A second Attach of the same
// server does nothing; one of another guard's server is told as an error when it
// starts, and ignored.
func (g *Guard) Attach(srv *http.Server) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.attached[srv] {
		return nil
	}
	g.attached[srv] = true
	var once sync.Once
	base := srv.BaseContext
	srv.BaseContext = func(ln net.Listener) context.Context {
		once.Do(func() { g.starting(srv) })
		if base != nil {
			return base(ln)
		}
		return context.Background()
	}
	srv.RegisterOnShutdown(func() { _, _ = g.Drain(context.Background()) })
	return nil
}

// starting runs when a server begins to serve, before it accepts: Echo sets
// Handler and ErrorLog as late as that.
func (g *Guard) starting(srv *http.Server) {
	if l, ok := srv.Handler.(*layer); ok && l.a.g != g {
		g.journal.note(slog.LevelError, "the server is attached to another guard already")
		return
	}
	if _, wrapped := srv.Handler.(*layer); !wrapped {
		l := g.layer(srv.Handler)
		if l.general = !srv.DisableGeneralOptionsHandler; l.general {
			srv.DisableGeneralOptionsHandler = true // or net/http answers OPTIONS * unseen
		}
		srv.Handler = l
	}
	unseen := &listener{g: g}
	for _, t := range []time.Duration{srv.ReadHeaderTimeout, srv.ReadTimeout} {
		if t > 0 && unseen.timeout == 0 {
			unseen.timeout = t
		}
	}
	if srv.Protocols != nil && srv.Protocols.UnencryptedHTTP2() {
		g.h2c.Store(true)
	}
	srv.ErrorLog = g.ErrorLog(srv.ErrorLog)
	connContext, connState := srv.ConnContext, srv.ConnState
	srv.ConnContext = func(ctx context.Context, nc net.Conn) context.Context {
		if connContext != nil {
			ctx = connContext(ctx, nc)
		}
		return g.connected(ctx, nc, unseen)
	}
	srv.ConnState = func(nc net.Conn, state http.ConnState) {
		if connState != nil {
			connState(nc, state)
		}
		g.Adapter().ConnState(nc, state)
	}
	g.tellRoutes()
}

// connected runs in the accept loop: it must not ask for addresses.
func (g *Guard) connected(ctx context.Context, nc net.Conn, unseen *listener) context.Context {
	c := ConnOf(nc)
	if c != nil && (c.ln.g != g || c.ctx != nil) {
		return ctx // another guard's, or known already
	}
	if c == nil {
		c = &Conn{Conn: nc, ln: unseen, accepted: g.now()}
		c.refs.Store(1)
		c.set(flagShadow)
		g.stats.accepted.Add(1)
		g.conns.add(c)
		g.unseen.Store(nc, c)
	}
	if t, ok := nc.(*tls.Conn); ok {
		c.knowTLS(t)
	}
	c.set(flagAttached)
	c.ctx = ctx
	return (*connContext)(c)
}

// ConnState tells the guard what a server says of a connection, for servers of
// both families: fasthttp's states mean the same.
func (a Adapter) ConnState(nc net.Conn, state http.ConnState) {
	c := a.g.connOf(nc)
	if c == nil {
		return
	}
	switch state {
	case http.StateActive:
		if !c.is(flagActive) {
			c.set(flagActive)
		}
	case http.StateHijacked:
		c.hijackedBy(nc)
	case http.StateClosed:
		a.g.unseen.Delete(nc)
		c.over()
	case http.StateNew:
		if c.is(flagShadow) && isRaw(c.tls.Load()) {
			a.g.conns.index(c) // for its line in the error log
		}
	}
}

// isRaw reports whether t stands on a TCP connection, whose address can be asked
// for without waiting.
func isRaw(t *tls.Conn) bool {
	if t == nil {
		return false
	}
	_, ok := t.NetConn().(*net.TCPConn)
	return ok
}

// hijackedBy runs when a server hands the connection over. From here on only
// the connection itself can tell its end.
func (c *Conn) hijackedBy(nc net.Conn) {
	c.set(flagLeft)
	ordinary := c.current.Load() == nil // no layer watches the hijack
	if ordinary {
		c.set(flagHijacked)
	}
	if c.is(flagShadow) {
		c.ln.g.unseen.Delete(nc)
		if ordinary { // it ends here, as far as anyone can see
			c.over()
		}
	}
	if c.is(flagClosed) { // before this; nothing else comes
		c.over()
	}
}

// layer is the outermost http.Handler.
type layer struct {
	a       Adapter
	next    http.Handler
	general bool // answer OPTIONS * as net/http would
}

// Wrap returns next with the guard's outermost layer around it: health routes
// and probes are answered, refused handshakes explained, panics told. Ordinary
// requests pass untouched. Where next is an *http.ServeMux it is asked which
// health routes are the application's.
func (g *Guard) Wrap(next http.Handler) http.Handler { return g.layer(next) }

func (g *Guard) layer(next http.Handler) *layer {
	if next == nil {
		next = http.DefaultServeMux
	}
	a := g.Adapter()
	if mux, ok := next.(*http.ServeMux); ok {
		a = a.Owner((&muxOwner{mux: mux, known: make(map[hostPath]bool)}).owns)
	}
	return &layer{a: a, next: next}
}

// muxOwner knows which paths a mux has a pattern of exactly. It asks once for
// each host and path: for a path without a pattern the mux does much work.
type muxOwner struct {
	mux   *http.ServeMux
	mu    sync.RWMutex
	known map[hostPath]bool
}

type hostPath struct{ host, path string }

// maxHosts bounds what is remembered, since hosts are the clients' words.
const maxHosts = 64

func (m *muxOwner) owns(h Head) (owned, asked bool) {
	key := hostPath{h.Host(), h.Path()}
	m.mu.RLock()
	owned, ok := m.known[key]
	m.mu.RUnlock()
	if ok {
		return owned, true
	}
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
		_, pattern := m.mux.Handler(&http.Request{Method: method, Host: key.host, URL: &url.URL{Path: key.path}})
		if strings.TrimSuffix(patternPath(pattern), "/") == key.path { // a subtree's path redirects to it
			owned = true
			break
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.known) < maxHosts {
		m.known[hostPath{strings.Clone(key.host), strings.Clone(key.path)}] = owned
	}
	return owned, true
}

// patternPath is the path in a pattern of ServeMux, "GET example.com/ws".
func patternPath(pattern string) string {
	if i := strings.IndexByte(pattern, '/'); i >= 0 {
		return pattern[i:]
	}
	return ""
}

func (l *layer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if l.general && r.RequestURI == "*" && r.Method == "OPTIONS" {
		w.Header()["Content-Length"] = zeroLength
		q := HTTPRequest{l.a.ordinary(l.a.g.httpConn(r))}
		q.Done(http.StatusOK, nil)
		return
	}
	q := l.a.BeginHTTP(r)
	if !q.Candidate() {
		if q.c == nil {
			l.next.ServeHTTP(w, r)
			return
		}
		defer q.outermost()
		l.next.ServeHTTP(w, r)
		q.Done(0, nil)
		return
	}
	if q.Answer(w, r) {
		return
	}
	defer q.outermost()
	l.next.ServeHTTP(q.Wrap(w, r))
	q.Done(q.Status(), nil)
}

var zeroLength = []string{"0"}
