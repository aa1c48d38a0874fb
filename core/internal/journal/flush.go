package journal

import "context"

// flush waits until everything posted before has been handled. Repeats that
// are being counted stay so.
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
