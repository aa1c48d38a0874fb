package health

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quietws/quietws/core"
)

// ErrClosed is returned by [Checker.Add] after Close.
var ErrClosed = errors.New("health: the checker is closed")

// maxChecks is how many checks a Checker can have.
const maxChecks = 256

// Config is what [New] takes. The zero value is the recommended setting.
type Config struct {
	// Logger gets one line for each change of state: at Error if a route begins to
	// fail, at Warn if a check does, at Info if it recovers, else at Debug. Nil:
	// slog.Default() at the time of New.
	Logger *slog.Logger
	// OnChange is called after each change of state, one call at a time and in order.
	// No lock is held, so it may call the Checker. A panic in it is contained and
	// logged. Checks go on while it blocks; it then gets the latest 256 changes. Nil:
	// nothing is called.
	OnChange func(Change)
}

// Checker runs checks and answers the health routes; see the package comment.
// Its methods are safe for concurrent use, also from checks and from [Config.OnChange].
type Checker struct {
	config Config
	snap   atomic.Pointer[snapshot]

	mu     sync.Mutex
	tasks  map[string]*task
	closed bool
	// since is when each route changed to its present status.
	since [routes]time.Time

	// queue has the changes that wait for notifyAll, which runs while notifying is true.
	// lost counts those dropped since the last line.
	queue     []Change
	notifying bool
	lost      int
}

var (
	_ core.Health                              = (*Checker)(nil)
	_ interface{ Checks() []core.CheckStatus } = (*Checker)(nil) // the optional method of core.Health
)

// New returns a Checker without checks: it is live, started and ready. It starts no
// goroutine; [Checker.Add] starts checks, and [Checker.Close] ends them.
func New(config Config) *Checker {
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	c := &Checker{config: config, tasks: make(map[string]*task)}
	c.snap.Store(newSnapshot(nil))
	now := time.Now()
	for r := range c.since {
		c.since[r] = now
	}
	return c
}

// Add adds checks and starts them, also while others are running. It adds all of them or
// none. The error joins everything that is wrong: a field out of its limits, a name in
// use, more than 256 checks, [ErrClosed].
//
// A new check has not passed yet. Unless it is optional, a Ready or Startup check makes
// the ready route fail until it passes, and a Startup check also the startup route, even
// if that answered 200 before. A Live check fails no route until it has failed.
func (c *Checker) Add(checks ...Check) error {
	tasks := make([]*task, len(checks))
	var errs []error
	for i, k := range checks {
		k, err := k.withDefaults()
		errs = append(errs, err)
		tasks[i] = &task{Check: k, impatient: checks[i].Interval == 0, status: Pending}
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	taken := make(map[string]bool, len(tasks))
	for _, t := range tasks {
		if c.tasks[t.Name] != nil || taken[t.Name] {
			errs = append(errs, fmt.Errorf("health: check %.64q: there is one of that name", t.Name))
		}
		taken[t.Name] = true
	}
	if n := len(c.tasks) + len(tasks); n > maxChecks {
		errs = append(errs, fmt.Errorf("health: %d checks; at most %d", n, maxChecks))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	now := time.Now()
	for _, t := range tasks {
		t.ctx, t.stop = context.WithCancel(context.Background())
		t.since = now
		c.tasks[t.Name] = t
		c.show(t, t.look(), now, nil)
		t.tick = time.AfterFunc(t.Delay, func() { c.run(t) })
	}
	return nil
}

// Remove removes a check and cancels its run, whose result is then ignored. It reports
// whether there was a check of that name.
func (c *Checker) Remove(name string) bool {
	c.mu.Lock()
	t := c.tasks[name]
	if t != nil {
		delete(c.tasks, name)
		t.retire()
		c.show(t, nil, time.Now(), nil)
	}
	c.mu.Unlock()
	if t == nil {
		return false
	}
	t.stop()
	return true
}

// Close ends all checks: it cancels the runs in progress and starts no more. It does not
// wait for them, so a check may call it, nor for OnChange. Changes that are not logged yet
// are dropped. From then on the ready route fails, because no state is known any more; the
// live and health routes do not fail, and the startup route keeps its answer. Close may be
// called at any time and more than once; it always returns nil.
func (c *Checker) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	tasks := c.tasks
	c.tasks, c.queue = nil, nil
	for _, t := range tasks {
		t.retire()
	}
	s := newSnapshot(nil)
	s.routes[core.RouteReady] = Fail
	s.routes[core.RouteStartup] = c.snap.Load().routes[core.RouteStartup]
	c.snap.Store(s)
	c.mu.Unlock()
	for _, t := range tasks {
		t.stop()
	}
	return nil
}

// show replaces the view of t with v, or removes it if v is nil, and notifies of what
// that changes. err is the cause, with its text in t.last.text. The caller holds c.mu.
func (c *Checker) show(t *task, v *view, now time.Time, err error) {
	before := c.snap.Load()
	checks := slices.Clone(before.checks)
	at, there := slices.BinarySearchFunc(checks, t.Name, byName)
	switch {
	case v == nil:
		checks = slices.Delete(checks, at, at+1)
	case there:
		checks[at] = v
	default:
		checks = slices.Insert(checks, at, v)
	}
	after := newSnapshot(checks)
	c.snap.Store(after)

	change := Change{Time: now, Check: t.Name, Kind: t.Kind, From: Pending, Lasted: now.Sub(t.since), Err: err}
	if err != nil {
		change.text = t.last.text
	}
	if there {
		change.From = before.checks[at].overall()
	}
	if v != nil {
		change.To = v.overall()
	}
	if change.From != change.To {
		t.since = now
	}
	for r := core.RouteLive; r < routes; r++ {
		if from, to := before.routes[r], after.routes[r]; from != to {
			change.Routes = append(change.Routes, RouteChange{Route: r, From: from, To: to, Lasted: now.Sub(c.since[r])})
			c.since[r] = now
		}
	}
	if change.From != change.To || len(change.Routes) > 0 {
		c.notify(change)
	}
}

func byName(v *view, name string) int { return cmp.Compare(v.name, name) }
