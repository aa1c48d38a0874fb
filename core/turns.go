package core

import (
	"sync"
	"sync/atomic"

	"github.com/quietws/quietws/core/internal/journal"
)

// turns are the application's health routes that fail now, and who was told where
// to ask.
type turns struct {
	failing atomic.Int32 // paths
	mu      sync.Mutex
	paths   map[string]bool
	refused [probersMax]atomic.Bool
}

// maxTurns bounds the paths that are kept: each is a route of the application's.
const maxTurns = 64

// note notes what was answered on path and reports whether that is a change.
func (t *turns) note(path string, ok bool) journal.Special {
	if ok && t.failing.Load() == 0 {
		return journal.Ordinary
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	defer func() { t.failing.Store(int32(len(t.paths))) }()
	switch was := t.paths[path]; {
	case ok && was:
		delete(t.paths, path)
		return journal.AppPassing
	case !ok && !was && len(t.paths) < maxTurns && len(path) <= journal.MaxText:
		if t.paths == nil {
			t.paths = make(map[string]bool)
		}
		t.paths[path] = true
		return journal.AppFailing
	}
	return journal.Ordinary
}

// turnOf is what is to be said of a probe that the application answered. What a
// stranger asks says nothing, and that all fails at a drain is no news.
func (x *exchange) turnOf(status int, ok bool) journal.Special {
	g := x.g
	switch {
	case x.kind == verdictProbe || !x.credited && !(x.app && x.platform) || status == 0 || g.isDraining():
		return journal.Ordinary
	case ok, x.ownFailure(status):
		return g.turns.note(x.path, ok)
	case x.offSocket(status) && !g.turns.refused[x.prober].Swap(true):
		return journal.OffSocket
	}
	return journal.Ordinary
}

// ownFailure reports whether an answer other than 2xx and 3xx is the application's
// own word about its health.
func (x *exchange) ownFailure(status int) bool {
	return x.app || x.exact && status == 503
}

// journal.OffSocket reports whether a WebSocket route, which is not Handler's, answered a
// prober as it answers who is no WebSocket client. Balancers are set to expect that.
func (x *exchange) offSocket(status int) bool {
	return x.endpoint && !x.app && status >= 400 && status < 500
}
