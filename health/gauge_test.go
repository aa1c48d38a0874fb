package health

import (
	"context"
	"math"
	"testing"
)

// observed runs a check and returns what it measured.
func observed(f func(context.Context) error) (err error, o *observation) {
	o = new(observation)
	return f(context.WithValue(context.Background(), observationKey{}, o)), o
}

func TestObserve(t *testing.T) {
	Observe(context.Background(), 1, "x") // does nothing
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		if _, o := observed(func(ctx context.Context) error { Observe(ctx, v, "x"); return nil }); o.made {
			t.Errorf("%v is kept, but JSON cannot hold it", v)
		}
	}
	_, o := observed(func(ctx context.Context) error { Observe(ctx, 1, "x"); Observe(ctx, 2, "y"); return nil })
	if v, unit, ok := o.load(); v != 2 || unit != "y" || !ok {
		t.Errorf("kept %v %s, want the last", v, unit)
	}
}

func TestBelow(t *testing.T) {
	for _, row := range []struct {
		value float64
		want  string
	}{
		{951, "951 sessions, the limit is 950"},
		{950, "950 sessions, the limit is 950"},
		{math.NaN(), "NaN sessions, the limit is 950"},
		{949, ""},
	} {
		err, o := observed(Below(func() float64 { return row.value }, 950, "sessions"))
		if describe(err) != row.want {
			t.Errorf("%v: %v, want %q", row.value, err, row.want)
		}
		if v, unit, ok := o.load(); ok && (v != row.value || unit != "sessions") {
			t.Errorf("observed %v %s", v, unit)
		}
	}
}

func TestShareBelow(t *testing.T) {
	var part, total uint64
	check := ShareBelow(func() (uint64, uint64) { return part, total }, 0.5, 10)
	for _, row := range []struct {
		rule        string
		part, total uint64
		want        string
		share       float64
	}{
		{"the first run has no counters to compare with", 100, 100, "", 0},
		{"too few to judge", 109, 109, "", 0},
		{"at the limit", 114, 119, "5 of 10, the limit is 50 %", 50},
		{"below it, whatever was before", 118, 129, "", 40},
		{"nothing new", 118, 129, "", 0},
		{"counters that were reset", 5, 5, "", 0},
		{"and go on", 35, 35, "30 of 30, the limit is 50 %", 100},
	} {
		part, total = row.part, row.total
		err, o := observed(check)
		if describe(err) != row.want {
			t.Errorf("%s: %v, want %q", row.rule, err, row.want)
		}
		if v, _, _ := o.load(); v != row.share {
			t.Errorf("%s: observed %v %%, want %v", row.rule, v, row.share)
		}
	}
}
