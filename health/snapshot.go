package health

import "github.com/quietws/quietws/core"

// routeKinds are the kinds of checks that a route shows. They also decide it, except
// RouteHealth.
var routeKinds = [...]Kind{
	core.RouteLive:    Live,
	core.RouteReady:   Ready | Startup,
	core.RouteStartup: Startup,
	core.RouteHealth:  allKinds,
}

const routes = core.Route(len(routeKinds))

// snapshot is everything that an answer is made from. It is never changed, only replaced.
type snapshot struct {
	// checks are sorted by name.
	checks []*view
	// routes are the verdicts over all of them.
	routes [routes]Status
}

// status returns the verdict of a route without the checks in skip.
func (s *snapshot) status(r core.Route, skip *set) Status {
	worst := Pass
	if r == core.RouteHealth {
		return worst
	}
	for i, v := range s.checks {
		if !skip.has(i) {
			worst = max(worst, v.counts(routeKinds[r]))
		}
	}
	return worst
}

// newSnapshot returns the snapshot of these checks and keeps the slice.
func newSnapshot(checks []*view) *snapshot {
	s := &snapshot{checks: checks}
	for r := core.RouteLive; r < routes; r++ {
		s.routes[r] = s.status(r, &set{})
	}
	return s
}

// Checks returns the present state of every check, sorted by name, and none after Close.
// [core.Guard.Snapshot] and the metrics use it.
func (c *Checker) Checks() []core.CheckStatus {
	s := c.snap.Load()
	all := make([]core.CheckStatus, len(s.checks))
	for i, v := range s.checks {
		all[i] = core.CheckStatus{Name: v.name, Status: v.counts(allKinds).word()}
	}
	return all
}

// set is a set of indices of snapshot.checks.
type set [maxChecks / 64]uint64

func (s *set) has(i int) bool { return s[i/64]&(1<<(i%64)) != 0 }
func (s *set) add(i int)      { s[i/64] |= 1 << (i % 64) }
