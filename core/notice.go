package core

import "time"

const (
	// noticeLeast is how long a drain accepts handshakes where a platform may take
	// the server out without asking it, or asks it too seldom to be waited for.
	noticeLeast = 2 * time.Second
	// noticeSettles is how long a load balancer may take to act on an answer.
	noticeSettles = 200 * time.Millisecond
	// inKubernetes is the variable of the environment that the kubelet sets in each
	// container of a pod.
	inKubernetes = "KUBERNETES_SERVICE_HOST"
)

// notice is what a drain waits for before it refuses handshakes.
type notice struct {
	probers []*poller     // of the readiness route: until they have noticed
	least   time.Duration // for as long as this in any case
}

func (n notice) none() bool { return len(n.probers) == 0 && n.least == 0 }

// noticeOf says for whom a drain that begins now waits.
func (g *Guard) noticeOf() (n notice) {
	if g.config.Drain.Fall < 0 {
		return n
	}
	now := g.now()
	n.probers = g.ending.pollers.active(now)
	if g.ending.kubernetes || g.ending.pollers.anySeen(now) {
		n.least = noticeLeast
	}
	return n
}

// awaitNotice goes on accepting until each of the probers of the readiness route
// sends nobody here any more. Those for whom there is not the time, and one that
// has asked but once and does not come back, hold up nobody for long, nor do they
// cut short the wait for the others.
func (d *drain) awaitNotice(n notice) (all []DrainProber, short bool) {
	if n.none() {
		return nil, false
	}
	g := d.g
	fall, limit := g.config.Drain.Fall, g.config.Drain.room()
	longest := limit / time.Duration(fall)
	start := g.now()
	done := func() bool {
		if g.watch.Stopped.Load() {
			return true
		}
		now := g.now()
		fit, _ := g.ending.pollers.within(n.probers, longest)
		return now-start >= n.least &&
			(g.ending.pollers.noticed(n.probers, fall, now) || now-start >= noticeLeast && g.ending.pollers.noticed(fit, fall, now))
	}
	noticed := await(limit, done, d.hurry)
	fit, slow := g.ending.pollers.within(n.probers, longest)
	if noticed && len(fit) > 0 {
		await(noticeSettles, g.watch.Stopped.Load, d.hurry)
	}
	return g.ending.pollers.report(n.probers), slow
}
