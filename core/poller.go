package core

import (
	"cmp"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quietws/quietws/core/internal/prober"
)

// pollers are the probers that ask the readiness route: a drain waits for them. Only
// probers at a platform's address are recorded, because no other client may delay a
// drain.
type pollers struct {
	mu             sync.Mutex
	m              map[pollerKey]*poller
	seen           map[prober.Prober]*poller // the known probers, whatever they do
	rare           time.Duration             // the interval assumed for a prober that has asked only once: the longest that a drain can wait for
	shortageLogged atomic.Bool               // "this drain is shorter than a prober needs"
}

// pollerKey identifies a prober. Two probers of the same kind at one address look like
// one that asks more often.
type pollerKey struct {
	addr   netip.Addr
	prober prober.Prober
}

// poller is one prober. Times are since the guard's epoch.
type poller struct {
	key       pollerKey
	automated bool             // it names itself, or asks as regularly as only a program does
	asked     int              // how often; a burst counts once
	last      time.Duration    // when it asked last
	gaps      [4]time.Duration // between its latest questions
	refused   int              // answers of 503 in a row, counted once per interval
	since     time.Duration    // the time of the last of these
}

const (
	// maxPollers limits the table. The prober that has not asked for longest is replaced.
	maxPollers = 64
	// pollBurst is the gap below which a question counts as part of the one before: no
	// prober asks that often.
	pollBurst = 50 * time.Millisecond
	// pollsMissed is the number of intervals without a question after which a prober is
	// considered gone.
	pollsMissed = 3
	// seenOnce is the interval assumed for a prober that was seen only once, where little
	// depends on it: that of the slowest platforms.
	seenOnce = 30 * time.Second
)

// interval is the longest of p's latest gaps, or unknown if it has asked only once.
func (p *poller) interval(unknown time.Duration) (longest time.Duration) {
	if p.asked < 2 {
		return unknown
	}
	for _, gap := range p.gaps {
		longest = max(longest, gap)
	}
	return longest
}

// active reports whether p is a prober that is still there. One that has asked only once
// is active until it fails to come back in time.
func (p *poller) active(now, unknown time.Duration) bool {
	return p.automated && now-p.last <= pollsMissed*p.interval(unknown)
}

// ask records a question and whether it was answered with a failure.
func (p *poller) ask(now time.Duration, unready bool) {
	gap := now - p.last
	if p.asked == 0 || gap >= pollBurst {
		if p.asked > 0 {
			before := p.gaps[(p.asked-1)%len(p.gaps)]
			p.gaps[p.asked%len(p.gaps)] = gap
			if p.asked > 1 && (gap-before).Abs() <= min(gap, before)/4 {
				p.automated = true // a person reloads less regularly
			}
		}
		p.asked++
		p.last = now
	}
	switch {
	case !unready:
		p.refused = 0
	case p.refused == 0, now-p.since >= p.interval(0)/2:
		p.refused++
		p.since = now
	}
}

// polled records that a client at a platform's address was answered on the readiness
// route. If the drain is too short for such a prober, that is logged once, while there is
// time to fix it.
func (g *Guard) polled(key pollerKey, automated bool, status int) {
	now := g.now()
	g.ending.pollers.mu.Lock()
	p := g.ending.pollers.get(key)
	p.automated = p.automated || automated
	p.ask(now, status >= 500)
	interval := p.interval(0)
	known := p.asked > len(p.gaps)
	g.ending.pollers.mu.Unlock()
	need := time.Duration(g.config.Drain.Fall) * interval
	if !known || need <= g.config.Drain.room() || g.ending.pollers.shortageLogged.Swap(true) {
		return
	}
	g.journal.Note(slog.LevelInfo, "this drain is shorter than a prober needs",
		slog.String("prober", proberWord(key.prober)), slog.String("remote", key.addr.String()),
		slog.Duration("interval", interval.Round(time.Millisecond)), slog.Int("fall", g.config.Drain.Fall),
		slog.Duration("timeout", g.config.Drain.Timeout),
		slog.String("remedy", "let it ask more often or fail after fewer answers, or raise Config.Drain.Timeout, and the platform's grace period with it, to "+
			(need+g.config.Drain.Timeout-g.config.Drain.room()).Round(time.Second).String()+" or more"))
}

// sawProber records that a prober was seen where its claim can be believed.
func (g *Guard) sawProber(p prober.Prober, at time.Time) {
	g.stats.seeProber(p, at)
	g.ending.pollers.saw(p, g.now())
}

// get returns the poller of key. A new one replaces another if the table is full.
func (p *pollers) get(key pollerKey) *poller {
	if known := p.m[key]; known != nil {
		return known
	}
	if p.m == nil {
		p.m = make(map[pollerKey]*poller)
	}
	if len(p.m) >= maxPollers {
		var oldest pollerKey
		for k, v := range p.m {
			if o := p.m[oldest]; o == nil || v.last < o.last {
				oldest = k
			}
		}
		delete(p.m, oldest)
	}
	fresh := &poller{key: key}
	p.m[key] = fresh
	return fresh
}

// saw records that a known prober was there, whatever it did.
func (p *pollers) saw(who prober.Prober, now time.Duration) {
	if who == prober.None {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.seen == nil {
		p.seen = make(map[prober.Prober]*poller)
	}
	if p.seen[who] == nil {
		p.seen[who] = &poller{automated: true}
	}
	p.seen[who].ask(now, false)
}

// anySeen reports whether one of the known probers is still there.
func (p *pollers) anySeen(now time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, v := range p.seen {
		if v.active(now, seenOnce) {
			return true
		}
	}
	return false
}

// active returns the probers that are still there.
func (p *pollers) active(now time.Duration) (found []*poller) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, v := range p.m {
		if v.active(now, p.rare) {
			found = append(found, v)
		}
	}
	return found
}

// within returns those of probers that are known to ask at least once per longest, and
// whether another one is known to ask less often.
func (p *pollers) within(probers []*poller, longest time.Duration) (found []*poller, slow bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, v := range probers {
		switch {
		case v.asked < 2:
		case v.interval(0) <= longest:
			found = append(found, v)
		default:
			slow = true
		}
	}
	return found, slow
}

// noticed reports whether each of them has been answered 503 fall times, or is gone.
func (p *pollers) noticed(probers []*poller, fall int, now time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !slices.ContainsFunc(probers, func(v *poller) bool { return v.refused < fall && v.active(now, p.rare) })
}

// report says what became of them.
func (p *pollers) report(probers []*poller) (all []DrainProber) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, v := range probers {
		all = append(all, DrainProber{Prober: proberWord(v.key.prober), Addr: v.key.addr, Interval: v.interval(0), Refused: v.refused})
	}
	slices.SortFunc(all, func(a, b DrainProber) int { return cmp.Or(a.Addr.Compare(b.Addr), cmp.Compare(a.Prober, b.Prober)) })
	return all
}

// room is how long a drain can wait for probers: Timeout, less the goodbyes and a second
// for the answers to them.
func (c DrainConfig) room() time.Duration {
	return max(c.Timeout-max(c.Spread, 0)-time.Second, 0)
}

const (
	// noticeLeast is how long a drain accepts handshakes where a platform may stop sending
	// traffic without asking the server, or asks too rarely to wait for.
	noticeLeast = 2 * time.Second
	// noticeSettles is the time that a load balancer may need to act on an answer.
	noticeSettles = 200 * time.Millisecond
	// inKubernetes is the environment variable that the kubelet sets in each container of
	// a pod.
	inKubernetes = "KUBERNETES_SERVICE_HOST"
)

// notice is what a drain waits for before it refuses handshakes.
type notice struct {
	probers []*poller     // probers of the readiness route: until they have noticed
	least   time.Duration // at least so long in any case
}

func (n notice) none() bool { return len(n.probers) == 0 && n.least == 0 }

// noticeOf says what a drain that begins now waits for.
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

// awaitNotice goes on accepting until each prober of the readiness route has stopped
// sending traffic. Probers for which the time is too short, and one that has asked only
// once and does not come back, do not delay the drain for long; nor do they shorten the
// wait for the others.
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
	noticed := await(limit, done, d.shortened)
	fit, slow := g.ending.pollers.within(n.probers, longest)
	if noticed && len(fit) > 0 {
		await(noticeSettles, g.watch.Stopped.Load, d.shortened)
	}
	return g.ending.pollers.report(n.probers), slow
}
