package core

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quietws/quietws/core/internal/journal"
)

// Application is one that has to be called to find out who answers a health path:
// on Fiber a middleware, such as its own healthcheck, is in no route table. It is
// for authors of adapters. The functions must be safe for concurrent use.
type Application struct {
	// Key is the application itself, a pointer: layers that name the same one share
	// what they learn. The guard keeps it.
	Key any
	// Version changes when the route table does.
	Version func() uint64
	// Exact reports whether the table has a route of exactly this path.
	Exact func(path string) bool
	// Ask makes a question of its own, GET of h's path, of what h tells of the
	// client, its connection and its header without cookies and body, and marks it
	// with [MarkAsked]. The function that it returns, which runs later in another
	// goroutine and uses nothing of h, puts the question to the application.
	Ask func(h Head) func() Reply
}

// Reply is what an application answered to Ask.
type Reply struct {
	Status      int
	ContentType string
	// Middleware says that neither a route answered nor the router itself.
	Middleware bool
}

// owns reports whether the one who replied answers health questions: a middleware
// that serves pages to everybody does not.
func (r Reply) owns() bool {
	return r.Middleware && (r.Status == 200 || r.Status == 503) && !isHTML(r.ContentType)
}

func isHTML(contentType string) bool {
	const html = "text/html"
	return len(contentType) >= len(html) && strings.EqualFold(contentType[:len(html)], html)
}

// Asks is Owner for an application that has to be asked. It is asked with the first
// real question for a path, and again when its route table has changed. That
// question waits up to a quarter of a second for the answer, so that an
// application's own 503 is not hidden; until there is one the path is the guard's,
// and so it stays where the application panics.
func (a Adapter) Asks(app Application) Adapter {
	if a.g == nil {
		return a
	}
	s, _ := a.g.paths.askers.LoadOrStore(app.Key, &asker{Application: app, g: a.g})
	return a.own(s.(*asker).owner)
}

// firstWait is how long the first question for a path waits.
const firstWait = 250 * time.Millisecond

// asker remembers who answers each default path.
type asker struct {
	Application
	g     *Guard
	known [routes]atomic.Pointer[ownership]
}

// ownership is who answers a path, as long as the route table is the same.
type ownership struct {
	version uint64
	decided chan struct{} // closed when owned is known
	owned   bool
}

// owner is an ownerFunc.
func (s *asker) owner(h Head, look bool) (owned, asked bool) {
	version := s.Version()
	asking, form := Adapter{g: s.g}.path(h)
	for route, path := range defaultPaths {
		if path == "" || !form.same(path, asking) {
			continue
		}
		o := s.known[route].Load()
		if o == nil || o.version != version {
			if s.Exact(path) {
				o = &ownership{version, closedChan, true}
				s.known[route].Store(o)
			} else if look {
				return false, false
			} else {
				o = s.ask(&s.known[route], o, version, h)
			}
		}
		select {
		case <-o.decided:
			return o.owned, true
		default:
			return false, !look
		}
	}
	owned = s.Exact(asking) // of other paths the table alone says
	return owned, owned
}

// ask asks the application, unless another has done so in the meantime, and waits.
func (s *asker) ask(at *atomic.Pointer[ownership], was *ownership, version uint64, h Head) *ownership {
	o := &ownership{version: version, decided: make(chan struct{})}
	if !at.CompareAndSwap(was, o) {
		return at.Load()
	}
	put := s.Ask(h)
	go func() {
		defer close(o.decided)
		s.g.contained("the application, asked for a health route", func() { o.owned = put().owns() })
	}()
	t := time.NewTimer(firstWait)
	defer t.Stop()
	select {
	case <-o.decided:
	case <-t.C:
	}
	return o
}

var closedChan = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// MarkAsked marks a question of [Application.Ask]: it is no request, and passes
// every layer of a guard.
func MarkAsked(m Message) { m.SetUserValue(MessageKey, &Request{done: true}) }

// muxOwner knows which paths a mux has a pattern of exactly, or the framework
// that stands in it. It asks once for each host and path: for a path without a
// pattern the mux does much work.
type muxOwner struct {
	mux   *http.ServeMux
	inner *ownerFunc // the framework's, nil if there is none
	last  [4]atomic.Pointer[ownedPath]
	mu    sync.RWMutex
	known map[hostPath]*ownedPath
}

// ownedPath is what is known of one path on one host.
type ownedPath struct {
	hostPath
	owned bool
}

type hostPath struct{ host, path string }

// maxHosts bounds what is remembered, since hosts are the clients' words.
const maxHosts = 64

func (m *muxOwner) owns(h Head) (owned, asked bool) {
	key := hostPath{h.Host(), h.Path()}
	// The four default paths differ in their length.
	last := &m.last[len(key.path)%len(m.last)]
	if o := last.Load(); o != nil && o.hostPath == key {
		return o.owned, true
	}
	m.mu.RLock()
	o := m.known[key]
	m.mu.RUnlock()
	if o != nil {
		last.Store(o)
		return o.owned, true
	}
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
		_, pattern := m.mux.Handler(&http.Request{Method: method, Host: key.host, URL: &url.URL{Path: key.path}})
		if strings.TrimSuffix(patternPath(pattern), "/") == key.path { // a subtree's path redirects to it
			owned = true
			break
		}
	}
	if !owned && m.inner != nil {
		owned, _ = (*m.inner)(h, true)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.known) < maxHosts && len(key.host) <= journal.MaxText {
		key = hostPath{strings.Clone(key.host), strings.Clone(key.path)}
		m.known[key] = &ownedPath{key, owned}
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
