package health

import (
	"context"
	"fmt"
	"math"
	"sync"
)

// Observe tells the report what a check has measured, instead of how long it
// took. It is called by a check with the context that the check was given,
// otherwise it does nothing; the last call counts. A value that JSON cannot
// hold (NaN, an infinity) is left out. The unit is cut at 32 bytes.
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

// observation is where a run keeps what it has measured. It has its own lock:
// a check may go on measuring after its time is up.
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

// Below returns a check that fails while value is at limit or above it, or no
// number. value is called in each run, and must be safe for that. The unit is for
// the report. For the sessions of a guard there is [Sessions].
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

// ShareBelow returns a check that fails while part is at limit or above it as
// a share of whole, from 0 to 1, between one run and the next. Both are
// counters that only grow; one that has become smaller has been started anew.
// With fewer than least new in whole there is nothing to judge and the check
// passes, as it does in its first run. Give each check its own ShareBelow. For
// the handshakes of a guard there is [Handshakes].
func ShareBelow(count func() (part, whole uint64), limit float64, least uint64) func(context.Context) error {
	if count == nil {
		panic("health.ShareBelow: nil function")
	}
	var mu sync.Mutex
	var begun bool
	var lastPart, lastWhole uint64
	return func(ctx context.Context) error {
		part, whole := count()
		mu.Lock()
		defer mu.Unlock()
		if !begun || part < lastPart || whole < lastWhole {
			begun, lastPart, lastWhole = true, part, whole
			return nil
		}
		newPart, newWhole := part-lastPart, whole-lastWhole
		lastPart, lastWhole = part, whole
		if newWhole < max(least, 1) {
			return nil
		}
		share := float64(newPart) / float64(newWhole)
		Observe(ctx, math.Round(share*1000)/10, "percent")
		if share < limit {
			return nil
		}
		return fmt.Errorf("%d of %d, the limit is %g %%", newPart, newWhole, limit*100)
	}
}
