package core

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/quietws/quietws/core/internal/journal"
)

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
