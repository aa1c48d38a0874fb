package core

import (
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/quietws/quietws/core/internal/conn"
	"github.com/quietws/quietws/core/internal/head"
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
		// A middleware such as chi's RealIP leaves the port out.
		alone, _ := netip.ParseAddr(h.r.RemoteAddr)
		return netip.AddrPortFrom(alone.Unmap(), 0)
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// connKey is the key of the conn.Conn in the context of its requests.
type connKey struct{}

// connContext is a conn.Conn seen as the context of its requests. That the conn.Conn
// itself is a context saves an allocation per connection.
type connContext conn.Conn

func (c *connContext) Deadline() (time.Time, bool) { return (*conn.Conn)(c).Context().Deadline() }
func (c *connContext) Done() <-chan struct{}       { return (*conn.Conn)(c).Context().Done() }
func (c *connContext) Err() error                  { return (*conn.Conn)(c).Context().Err() }

func (c *connContext) Value(key any) any {
	switch key.(type) {
	case connKey:
		return (*conn.Conn)(c)
	case exchangeKey:
		if x := occupantOf((*conn.Conn)(c)); x != nil {
			return x
		}
		return nil
	}
	return (*conn.Conn)(c).Context().Value(key)
}

// httpConn returns the watched connection of r, nil if there is none. Without Attach the
// request's context does not lead to it; then the peer's address is looked up.
func (g *Guard) httpConn(r *http.Request) *conn.Conn {
	if c, ok := r.Context().Value(connKey{}).(*conn.Conn); ok && guardOf(c) == g {
		return c
	}
	if g.stats.accepted.Load() == 0 {
		return nil
	}
	return g.watch.Conns.Find(httpHead{r}.Remote())
}

// layer is the outermost http.Handler.
type layer struct {
	a       Adapter
	next    http.Handler
	general bool // answer OPTIONS * in place of net/http
}

// Wrap returns next with the guard's outermost layer around it: it answers health routes
// and probes, explains refused handshakes, and logs panics. Ordinary requests pass
// untouched: their ResponseWriter is not wrapped. A nil next is http.DefaultServeMux.
//
// A default health path is the application's if it has its own route there. An
// *http.ServeMux is asked for its patterns, once for each host and path, so register them
// before the first request. Any other next is called, and if it answers 401, 403, 404 or
// 405, the guard answers instead.
//
// [Guard.Attach] and [Guard.Serve] put it around a server's Handler. Alone it counts no
// connections and does not change the server's own log. With golang.org/x/net/http2/h2c
// it goes inside h2c.NewHandler.
func (g *Guard) Wrap(next http.Handler) http.Handler {
	if g == nil {
		return next
	}
	g.usedAgain("Wrap")
	return g.layer(next)
}

func (g *Guard) layer(next http.Handler) *layer {
	if next == nil {
		next = http.DefaultServeMux
	}
	a := g.Adapter()
	if mux, ok := next.(*http.ServeMux); ok {
		m := &muxOwner{mux: mux, inner: g.paths.owner.Load(), known: make(map[hostPath]*ownedPath)}
		a = a.Owner(m.owns)
		a.form = pathSegments
	}
	return &layer{a: a, next: next}
}

func (l *layer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if l.general && r.RequestURI == "*" && r.Method == "OPTIONS" {
		l.options(w, r)
		return
	}
	var q HTTPRequest
	l.begin(&q, r)
	switch {
	case !q.Candidate() && q.c == nil:
		l.next.ServeHTTP(w, r)
		return
	case q.Answer(w, r):
		return
	}
	defer q.outermost()
	l.next.ServeHTTP(q.Wrap(w, r))
	q.Done(q.currentStatus(), nil)
}

// begin is a function of its own, and takes a pointer, because the locals of ServeHTTP
// are on the stack of each session.
//
//go:noinline
func (l *layer) begin(q *HTTPRequest, r *http.Request) { *q = l.a.BeginHTTP(r) }

// options answers OPTIONS * in place of net/http: from a platform it is a question about
// health; to all others it answers as net/http does.
func (l *layer) options(w http.ResponseWriter, r *http.Request) {
	h := httpHead{r}
	var q HTTPRequest
	if head.AsksToUpgrade(h) {
		q = HTTPRequest{Request: l.a.ordinary(l.a.g.httpConn(r))}
	} else {
		q = l.a.BeginHTTP(r)
	}
	if a, ok := q.fallback(h, http.StatusNotFound); ok {
		writeAnswer(w, r, &a)
		q.Done(a.Status, nil)
		return
	}
	w.Header()["Content-Length"] = zeroLength
	q.Done(http.StatusOK, nil)
}

var zeroLength = []string{"0"}
