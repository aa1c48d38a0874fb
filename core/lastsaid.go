package core

import (
	"slices"
	"sync/atomic"
)

// lastSaid is what user code said when the guard asked by itself. It is asked by one
// caller at a time: whoever comes meanwhile, a second scrape or that code itself,
// which looks at the guard to answer, gets what it said last, before that the zero
// T. So it neither recurses nor do callers pile up before one that blocks.
type lastSaid[T any] struct {
	busy atomic.Bool
	last atomic.Pointer[T]
}

func (a *lastSaid[T]) ask(f func() T) (said T) {
	if !a.busy.CompareAndSwap(false, true) {
		if last := a.last.Load(); last != nil {
			return *last
		}
		return said
	}
	defer a.busy.Store(false)
	said = f()
	a.last.Store(&said)
	return said
}

// ready reports whether the server takes traffic: what /readyz would say.
func (g *Guard) ready() bool {
	switch {
	case g.isDraining():
		return false
	case g.config.Health == nil:
		return true
	}
	return g.health.ready.ask(func() bool {
		var a Answer
		if g.askHealth(g.config.Health, HealthQuery{Route: RouteReady, Head: pathHead(defaultPaths[RouteReady])}, &a) {
			return a.Status < 400
		}
		return true
	})
}

// checks returns those of a Health that has them, none where it
// panics.
func (g *Guard) checks() []CheckStatus {
	r, ok := g.config.Health.(interface{ Checks() []CheckStatus })
	if !ok {
		return nil
	}
	return slices.Clone(g.health.checks.ask(func() (all []CheckStatus) {
		g.contained("Health.Checks", func() { all = r.Checks() })
		return all
	}))
}
