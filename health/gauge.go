package health

import (
	"context"
	"fmt"
	"math"
	"sync"
)

// Observe sets the measured value that the report shows for a check, instead of the
// duration of the run. A check calls it with its own context; with another it does
// nothing. The last call counts. A value that JSON cannot hold (NaN, an infinity) is
// ignored. The unit is cut at 32 bytes.
func Observe(ctx context.Context, value float64, unit string) {
	o, ok := ctx.Value(observationKey{}).(*observation)
	if !ok || math.IsNaN(value) || math.IsInf(value, 0) {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.value, o.unit, o.made = value, unit[:min(len(unit), maxUnit)], true
}

const maxUnit = 32

type observationKey struct{}

// observation keeps the measured value of a run. It has its own lock, because a check may
// go on measuring after its timeout.
type observation struct {
	mu    sync.Mutex
	value float64
	unit  string
	made  bool
}

func (o *observation) load() (value float64, unit string, made bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.value, o.unit, o.made
}

// Below returns a check that fails while value is at or above limit, or NaN. Each run
// calls value, from its own goroutine. The unit is for the report. For the sessions of a
// guard use [Sessions].
func Below(value func() float64, limit float64, unit string) func(context.Context) error {
	if value == nil {
		panic("health.Below: nil function")
	}
	return func(ctx context.Context) error {
		v := value()
		Observe(ctx, v, unit)
		if v < limit {
			return nil
		}
		return fmt.Errorf("%g %s, the limit is %g", v, unit, limit)
	}
}

// ShareBelow returns a check that fails while part divided by total, between one run and
// the next, is at or above limit, a share from 0 to 1. Both are counters that only grow; a
// smaller value means that the counter was reset. The check passes if total grew by less
// than least, and in its first run. Give each check its own ShareBelow. For the handshakes
// of a guard use [Handshakes].
func ShareBelow(count func() (part, total uint64), limit float64, least uint64) func(context.Context) error {
	if count == nil {
		panic("health.ShareBelow: nil function")
	}
	var mu sync.Mutex
	var begun bool
	var lastPart, lastTotal uint64
	return func(ctx context.Context) error {
		part, total := count()
		mu.Lock()
		defer mu.Unlock()
		if !begun || part < lastPart || total < lastTotal {
			begun, lastPart, lastTotal = true, part, total
			return nil
		}
		newPart, newTotal := part-lastPart, total-lastTotal
		lastPart, lastTotal = part, total
		if newTotal < max(least, 1) {
			return nil
		}
		share := float64(newPart) / float64(newTotal)
		Observe(ctx, math.Round(share*1000)/10, "percent")
		if share < limit {
			return nil
		}
		return fmt.Errorf("%d of %d, the limit is %g %%", newPart, newTotal, limit*100)
	}
}
