package journal

import (
	"context"
	"fmt"
	"time"
)

// The values of Journal.turn. They pass the state that has no lock from one goroutine
// to the next.
const (
	turnFree  int32 = iota // no goroutine runs
	turnTaken              // one runs
	turnOver               // Close has ended the last one
)

// start makes what is needed for the first entry.
func (j *Journal) start() {
	j.run = j.loop
	j.timer = time.AfterFunc(time.Hour, j.ring)
	j.timer.Stop()
	j.queue = make(chan *entry, QueueSize)
	j.started.Store(true)
}

// wake starts the goroutine if none runs. A goroutine that is about to end gives up its
// turn first and then looks once more, so it sees what came before this call.
func (j *Journal) wake() {
	switch j.turn.Load() {
	case turnFree:
		if j.turn.CompareAndSwap(turnFree, turnTaken) {
			go j.run()
		}
	case turnOver: // left behind by Close, or posted while it ended
		for {
			select {
			case it := <-j.queue:
				j.late.Add(1)
				it.putBack()
				continue
			default:
			}
			return
		}
	}
}

// ring is what the timer calls.
func (j *Journal) ring() {
	j.rung.Store(true)
	j.wake()
}

// loop handles what is there and ends.
func (j *Journal) loop() {
	ended := false
	defer func() {
		// User code that calls runtime.Goexit, such as t.FailNow, must not stop
		// the log.
		if !ended {
			j.soonest = j.deadline()
			go j.run()
		}
	}()
	for !j.closed.Load() {
		if j.rung.Load() && j.rung.Swap(false) {
			j.next = time.Time{}
			j.due(time.Now())
		}
		select {
		case j.now = <-j.queue:
			j.handle()
			continue
		default:
		}
		if j.giveUp() {
			ended = true
			return
		}
	}
	j.finish()
	ended = true
	j.turn.Store(turnOver)
	close(j.done)
	j.wake()
}

// giveUp sets the timer and gives up the turn. It reports whether the goroutine may end.
// It may not if something came while the turn was taken: that started no goroutine.
func (j *Journal) giveUp() bool {
	j.setTimer()
	j.turn.Store(turnFree)
	done := len(j.queue) == 0 && !j.rung.Load() && !j.closed.Load()
	return done || !j.turn.CompareAndSwap(turnFree, turnTaken)
}

// setTimer sets the timer to the earliest deadline, or stops it if there is none. While
// a goroutine runs no timer is needed: handle compares the time with the deadline.
func (j *Journal) setTimer() {
	if j.soonest.Equal(j.next) {
		return
	}
	j.next = j.soonest
	if j.next.IsZero() {
		j.timer.Stop()
		return
	}
	j.timer.Reset(time.Until(j.next))
}

// deadline returns the earliest deadline of the parts, the zero Time if none has one.
func (j *Journal) deadline() (at time.Time) {
	at = sooner(j.repeats.next, j.summary.end)
	at = sooner(at, j.floods.end)
	at = sooner(at, j.bursts.until)
	return sooner(at, j.losses.next)
}

// sooner returns the earlier of two deadlines, where the zero Time is none.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// finish empties the queue, and then writes the repeats and losses that were still
// being counted. If Close has stopped waiting it only ends the burst.
func (j *Journal) finish() {
	for !j.abandoned.Load() {
		select {
		case j.now = <-j.queue:
			j.handle()
			continue
		default:
		}
		j.timer.Stop()
		now := time.Now()
		j.endBurst(now, true)
		j.write(j.repeats.due(now, true)...)
		j.reportLosses(now, true)
		return
	}
	j.timer.Stop()
	j.endBurst(time.Now(), true)
}

// Close handles what is queued, writes the repeats that are still being counted, and
// ends the goroutine for good. It waits no longer than timeout: if the logger blocks,
// Close returns an error, and the goroutine ends as soon as the logger returns. Events
// that are posted meanwhile are dropped. Close may be called more than once, and before
// anything was posted.
func (j *Journal) Close(timeout time.Duration) error {
	j.closed.Store(true)
	j.startOnce.Do(func() { j.turn.Store(turnOver); close(j.done) })
	j.wake()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-j.done:
		return nil
	case <-timer.C:
	}
	j.abandoned.Store(true)
	return fmt.Errorf("quietws: the log was not written within %v: Config.Logger or Config.Observe blocks", timeout)
}

// Flush waits until everything posted before it has been handled. Repeats that are being
// counted stay pending. It is for tests only.
func (j *Journal) Flush(ctx context.Context) error {
	if !j.started.Load() {
		return nil
	}
	mark := make(chan struct{})
	select {
	case j.queue <- &entry{flushed: mark}:
		j.wake()
	case <-j.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-mark:
	case <-j.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}
