package core

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/quietws/quietws/core/internal/conn"
)

// server is one that the guard is attached to, or the two servers of one application,
// which shut down together. It counts until its Shutdown, or until its Serve returns.
type server struct {
	g           *Guard
	n           uint32      // its number, for conn.Conn.SetServer; 0 if there are too many servers
	afterEnd    bool        // it came when the guard had drained or was closed
	started     atomic.Bool // it began to serve
	gone        bool        // it does not count any more; under servers.mu
	address     string      // where it listens, "" if unknown; under servers.mu
	drain       *drain      // of only its own sessions, or nil; under servers.mu
	drainsAlone atomic.Bool // drain has begun: a session that opens now gets its goodbye at once
}

// servers are the servers that the guard is attached to, and what is known of all of
// them.
type servers struct {
	mu       sync.Mutex
	attached map[any]*server // by the keys of Adapter.Server; under mu
	list     []*server       // the server with number n is at n-1; under mu

	anyDrainsAlone atomic.Bool  // drainsAlone of some server; set under mu
	headLimit      atomic.Int64 // how many bytes of a head a server of net/http reads; set when one starts

	opening sync.Mutex   // held while a session opens on a connection that a server has handed over
	unseen  connTable    // connections that the guard did not accept; written in the accept loop
	adopted *conn.Source // the source of sessions on connections that were not watched before; set by New
}

// serverOf returns the record of a server by one of its keys, and whether it is new.
func (g *Guard) serverOf(keys ...any) (s *server, first bool) {
	g.servers.mu.Lock()
	defer g.servers.mu.Unlock()
	for _, key := range keys {
		if known := g.servers.attached[key]; known != nil {
			s = known
		}
	}
	if s == nil {
		s, first = &server{g: g, afterEnd: g.isOver()}, true
		g.watch.Stopped.Store(false)
		if len(g.servers.list) < conn.MaxServers {
			g.servers.list = append(g.servers.list, s)
			s.n = uint32(len(g.servers.list))
		}
	}
	for _, key := range keys {
		g.servers.attached[key] = s
	}
	return s, first
}

// Server returns an Adapter for one server, and whether the guard was not yet attached to
// that server. keys are pointers that identify it, and the guard keeps them; there are
// several if an application has several servers that shut down together. If the server is
// already serving it is too late: a line says so, and first is false.
func (a Adapter) Server(keys ...any) (_ Adapter, first bool) {
	if a.g == nil {
		return a, false
	}
	if slices.ContainsFunc(keys, serves) && !a.g.knows(keys) {
		a.g.journal.Note(slog.LevelWarn, "attached to a server that is already serving: the guard does not see it",
			slog.String("remedy", "call Attach before the server starts"))
		return a, false
	}
	a.server, first = a.g.serverOf(keys...)
	return a, first
}

func (g *Guard) knows(keys []any) bool {
	g.servers.mu.Lock()
	defer g.servers.mu.Unlock()
	return slices.ContainsFunc(keys, func(key any) bool { return g.servers.attached[key] != nil })
}

// serves reports whether a server has a listener. Neither *http.Server nor
// *fasthttp.Server has a public way to ask. A version that keeps its listeners elsewhere
// is assumed not to serve.
func serves(srv any) bool {
	v := reflect.ValueOf(srv)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return false
	}
	for _, name := range []string{"listeners", "ln"} { // net/http, fasthttp
		if f := v.Elem().FieldByName(name); f.IsValid() && (f.Kind() == reflect.Map || f.Kind() == reflect.Slice) && f.Len() > 0 {
			return true
		}
	}
	return false
}

// has notes that c is a connection of s.
func (s *server) has(c *conn.Conn) {
	if s != nil && s.n != 0 && c.Server() != s.n {
		c.SetServer(s.n)
	}
}

// owns reports whether c belongs to s. A nil server owns every connection.
func (s *server) owns(c *conn.Conn) bool { return s == nil || s.n != 0 && c.Server() == s.n }

// drainingAlone returns the server of c if only its sessions are being drained, else nil.
func (g *Guard) drainingAlone(c *conn.Conn) *server {
	if !g.servers.anyDrainsAlone.Load() {
		return nil
	}
	n := c.Server()
	g.servers.mu.Lock()
	defer g.servers.mu.Unlock()
	if n == 0 || !g.servers.list[n-1].drainsAlone.Load() {
		return nil
	}
	return g.servers.list[n-1]
}

// leaves notes that s accepts no more, and returns the drain that must follow: of its own
// sessions if another server counts, else of all. A nil s stands for the only server.
func (g *Guard) leaves(s *server) *drain {
	if g == nil {
		return nil
	}
	others, started := g.stops(s)
	g.servers.mu.Lock()
	d := g.ending.all
	if s != nil && others > 0 && !g.ending.refusing.Load() {
		if s.drain == nil {
			s.drain = newDrain(g, s)
			s.drainsAlone.Store(true)
			g.servers.anyDrainsAlone.Store(true)
		}
		d = s.drain
	}
	g.servers.mu.Unlock()
	if others > 0 && started == 0 && !g.isDraining() && !g.once.unstarted.Swap(true) {
		g.journal.Note(slog.LevelWarn, "a server shuts down while one that never started still counts: only its own sessions are drained",
			slog.String("remedy", "attach only servers that serve, or call Guard.Drain before Shutdown"))
	}
	return d
}

// stops notes that s accepts no more. It returns how many other servers count, and how
// many of these have started.
func (g *Guard) stops(s *server) (others, started int) {
	if g == nil {
		return 0, 0
	}
	g.servers.mu.Lock()
	defer g.servers.mu.Unlock()
	if s != nil {
		s.gone = true
	}
	for _, o := range g.servers.attached {
		if o != s && !o.gone {
			others++
			if o.started.Load() {
				started++
			}
		}
	}
	if others == 0 {
		g.watch.Stopped.Store(true)
	}
	return others, started
}

// starts notes that s begins to serve.
func (s *server) starts(address string) {
	if s == nil {
		return
	}
	s.started.Store(true)
	if s.afterEnd {
		s.g.usedAgain("Attach")
	}
	s.g.servers.mu.Lock()
	defer s.g.servers.mu.Unlock()
	if s.address == "" {
		s.address = address
	}
}

// attrs name a server in a line that is only about that server.
func (s *server) attrs() []slog.Attr {
	if s == nil {
		return nil
	}
	s.g.servers.mu.Lock()
	defer s.g.servers.mu.Unlock()
	return []slog.Attr{slog.String("server", cmp.Or(s.address, "unknown"))}
}

// addressOf is where the listeners listen.
func addressOf(listeners ...net.Listener) string {
	var all []string
	for _, ln := range listeners {
		if a := ln.Addr(); a != nil {
			all = append(all, a.String())
		}
	}
	return strings.Join(all, ", ")
}

// drains returns the drain of all sessions, and those of single servers.
func (g *Guard) drains() []*drain {
	g.servers.mu.Lock()
	defer g.servers.mu.Unlock()
	all := []*drain{g.ending.all}
	for _, s := range g.servers.list {
		if s.drain != nil {
			all = append(all, s.drain)
		}
	}
	return all
}

// errOver is the error of Serve with a guard that has drained or is closed.
var errOver = errors.New("quietws: the guard has drained or is closed and cannot be used again: make a new one with core.New")

// canServe returns an error if the guard has drained or is closed, because it then
// refuses every handshake and closes no session. If ctx has ended there is no error:
// Serve then ends at once.
func (a Adapter) canServe(ctx context.Context) error {
	if a.g != nil && ctx.Err() == nil && a.g.isOver() {
		return errOver
	}
	return nil
}

func (g *Guard) isOver() bool { return g.closed.Load() || g.isDraining() }

// usedAgain logs, once, that a guard is used that has drained or is closed. It is for
// calls that cannot return an error.
func (g *Guard) usedAgain(by string) {
	if !g.isOver() || g.once.overAgain.Swap(true) {
		return
	}
	attrs := []slog.Attr{slog.String("by", by), slog.String("remedy", "make a new guard with core.New")}
	if !g.closed.Load() {
		g.journal.Note(slog.LevelWarn, msgOverAgain, attrs...)
		return
	}
	defer func() { _ = recover() }() // the journal of a closed guard contains no panics any more
	g.config.Logger.LogAttrs(context.Background(), slog.LevelWarn, msgOverAgain, attrs...)
}

const msgOverAgain = "a guard that has drained or is closed is used again"
