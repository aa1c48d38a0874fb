package health

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"
)

// task is a check that has been added. Checker.mu guards all but Check.
type task struct {
	Check
	// impatient: Interval was 0, so it may be shorter at first.
	impatient bool

	ctx  context.Context
	stop context.CancelFunc
	// tick starts the runs, stale fires when the last result is too old.
	tick, stale *time.Timer
	// retired: removed, closed, or a Startup check that has passed.
	retired bool
	// spread: one interval was shortened by a random part.
	spread bool
	// out is the run that has not returned yet, nil if there is none.
	out *run

	status        Status
	passed        bool
	passes, fails int
	// since is when the check changed to the status shown.
	since time.Time
	// at is the time of the last result, zero if there is none.
	at   time.Time
	last result
}

// run is one call of Func.
type run struct {
	begun    time.Time
	deadline *time.Timer
	// over: it has its result, which may be that it timed out.
	over bool
	seen observation
}

// result is the result of a run. text says why it failed, or that it is stale.
type result struct {
	err   error
	text  string
	value float64
	unit  string
}

// retire ends t, except a run in progress, which t.stop ends. The caller holds
// Checker.mu.
func (t *task) retire() {
	t.retired = true
	for _, timer := range []*time.Timer{t.tick, t.stale} {
		if timer != nil {
			timer.Stop()
		}
	}
	if t.out != nil {
		t.out.deadline.Stop()
	}
}

// pause returns the time to the next run.
func (t *task) pause() time.Duration {
	if t.spread || t.impatient && !t.passed {
		return t.Interval
	}
	t.spread = true
	return t.Interval - rand.N(t.Interval/2)
}

// look returns the view of t.
func (t *task) look() *view {
	v := &view{
		name: t.Name, kind: t.Kind, optional: t.Optional, status: t.status, started: t.passed,
		at: t.at, value: t.last.value, unit: t.last.unit,
	}
	switch {
	case v.status == Pass:
	case t.last.text != "":
		v.text = t.last.text
	case t.at.IsZero():
		v.text = "not run yet"
	default:
		v.text = fmt.Sprintf("passed %d of %d times", t.passes, t.PassAfter)
	}
	return v
}

// run is called at each tick, in a new goroutine. It runs the check there, unless the last
// run has not returned.
func (c *Checker) run(t *task) {
	c.mu.Lock()
	if t.retired {
		c.mu.Unlock()
		return
	}
	t.tick.Reset(t.pause())
	if t.out != nil {
		c.mu.Unlock()
		return
	}
	r := &run{begun: time.Now()}
	t.out = r
	r.deadline = time.AfterFunc(t.Timeout, func() { c.expire(t, r) })
	ctx, cancel := context.WithDeadline(context.WithValue(t.ctx, observationKey{}, &r.seen), r.begun.Add(t.Timeout))
	c.mu.Unlock()

	// This stays if Func ends the goroutine.
	err := errExit
	defer func() {
		if p := recover(); p != nil {
			err = &PanicError{Value: p, Stack: debug.Stack()}
		}
		if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			// It is the same failure whether it noticed or not.
			err = t.timeout()
		}
		cancel()
		c.finish(t, r, r.result(err))
	}()
	err = t.Func(ctx)
}

func (t *task) timeout() error { return fmt.Errorf("%w after %v", ErrTimeout, t.Timeout) }

// result returns the result of r, which returned err.
func (r *run) result(err error) result {
	value, unit, ok := r.seen.load()
	if !ok {
		value, unit = float64(time.Since(r.begun).Microseconds())/1000, "ms"
	}
	return result{err: err, text: describe(err), value: value, unit: unit}
}

// finish handles a run that returned.
func (c *Checker) finish(t *task, r *run, res result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t.out = nil
	if t.retired {
		return
	}
	r.deadline.Stop()
	if !r.over {
		c.settle(t, r, res)
	}
	if t.impatient && !t.passed && !t.retired {
		t.tick.Reset(firstInterval)
	}
}

// expire fails a run that is still in progress at its deadline.
func (c *Checker) expire(t *task, r *run) {
	res := r.result(t.timeout())
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.out == r && !r.over && !t.retired {
		c.settle(t, r, res)
	}
}

// settle counts the result of r, once for each run. The caller holds c.mu.
func (c *Checker) settle(t *task, r *run, res result) {
	r.over = true
	now := time.Now()
	t.at, t.last = now, res
	// The first result is there at the timeout at the latest, so a check cannot be
	// stale before it.
	if t.stale == nil {
		t.stale = time.AfterFunc(t.MaxAge, func() { c.age(t) })
	} else {
		t.stale.Reset(t.MaxAge)
	}
	if res.err == nil {
		t.passes, t.fails = t.passes+1, 0
		if t.passes >= t.PassAfter {
			t.status, t.passed = Pass, true
		}
	} else {
		t.passes, t.fails = 0, t.fails+1
		if t.fails >= t.FailAfter {
			t.status = Fail
		}
	}
	c.show(t, t.look(), now, res.err)
	if t.passed && t.Kind == Startup {
		t.retire()
	}
}

// age fails a check without a result for MaxAge. Like any failed check it passes again
// after PassAfter runs have passed.
func (c *Checker) age(t *task) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if t.retired || now.Sub(t.at) < t.MaxAge {
		return
	}
	err := fmt.Errorf("%w: no result for %v", ErrStale, t.MaxAge)
	t.status, t.passes = Fail, 0
	t.last.text = err.Error()
	c.show(t, t.look(), now, err)
}
