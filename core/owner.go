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

// Application is an application that must be called to find out who answers a health
// path: on Fiber, a middleware such as its own healthcheck is in no route table. It is
// for authors of adapters. The functions must be safe for concurrent use.
type Application struct {
	// Key is a pointer to the application itself. Layers with the same Key share what
	// they learn. The guard keeps it.
	Key any
	// Version changes when the route table changes.
	Version func() uint64
	// Exact reports whether the table has a route for exactly this path.
	Exact func(path string) bool
	// Ask makes a request of its own: a GET for h's path, with h's client, connection and
	// header, but without cookies and body. It marks the request with [MarkAsked]. The
	// function that it returns sends that request to the application. It runs later, in
	// another goroutine, and uses nothing of h.
	Ask func(h Head) func() Reply
}

// Reply is what an application answered to Ask.
type Reply struct {
	Status      int
	ContentType string
	// Middleware says that neither a route nor the router itself answered.
	Middleware bool
}

// owns reports whether the application answers health questions here. A middleware that
// serves pages to every client does not.
func (r Reply) owns() bool {
	return r.Middleware && (r.Status == 200 || r.Status == 503) && !isHTML(r.ContentType)
}

func isHTML(contentType string) bool {
	const html = "text/html"
	return len(contentType) >= len(html) && strings.EqualFold(contentType[:len(html)], html)
}

// Asks is [Adapter.Owner] for an application that must be asked. It is asked at the first
// real question for a path, and again after its route table has changed. That question
// waits up to a quarter of a second for the reply, so that an application's own 503 is
// not hidden. Without a reply, or if the application panics, the path is the guard's.
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

// ownership is who answers a path, for one version of the route table.
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
	owned = s.Exact(asking) // for other paths only the table counts
	return owned, owned
}

// ask asks the application, unless another goroutine has done so meanwhile, and waits.
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

// MarkAsked marks a request of [Application.Ask]. It is the guard's own, and every layer
// of a guard lets it pass.
func MarkAsked(m Message) { m.SetUserValue(MessageKey, &Request{done: true}) }

// muxOwner knows for which paths a mux, or a framework inside it, has exactly a pattern.
// It asks once for each host and path, because the mux does much work for a path without
// a pattern.
type muxOwner struct {
	mux   *http.ServeMux
	inner *ownerFunc // the framework's, or nil
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

// maxHosts limits what is remembered, because clients choose the hosts.
const maxHosts = 64

func (m *muxOwner) owns(h Head) (owned, asked bool) {
	key := hostPath{h.Host(), h.Path()}
	// The four default paths have different lengths.
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
		if strings.TrimSuffix(patternPath(pattern), "/") == key.path { // the path of a subtree redirects to it
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

// patternPath is the path in a pattern of ServeMux, such as "GET example.com/ws".
func patternPath(pattern string) string {
	if i := strings.IndexByte(pattern, '/'); i >= 0 {
		return pattern[i:]
	}
	return ""
}
