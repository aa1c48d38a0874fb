package main

import (
	"fmt"
	"math"
	"time"

	"golang.org/x/perf/benchmath"
)

// summed is the median of a sample with its confidence interval, as in benchstat.
func summed(sample []float64) benchmath.Summary {
	return benchmath.AssumeNothing.Summary(benchmath.NewSample(sample, &benchmath.DefaultThresholds), 0.95)
}

// spread formats a median with its interval, or alone if there are too few measurements
// for an interval.
func spread(sample []float64, format func(float64) string) string {
	s := summed(sample)
	if math.IsInf(s.Lo, 0) || math.IsInf(s.Hi, 0) {
		return format(s.Center)
	}
	return fmt.Sprintf("%s (%s–%s)", format(s.Center), format(s.Lo), format(s.Hi))
}

// holds reports whether a sample has an interval that contains v.
func holds(sample []float64, v float64) bool {
	s := summed(sample)
	return !math.IsInf(s.Lo, 0) && s.Lo <= v && v <= s.Hi
}

func median(sample []float64) float64 { return summed(sample).Center }

func plain(v float64) string { return fmt.Sprintf("%.0f", v) }

// ratio formats a ratio with a readable number of digits.
func ratio(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	case v > 0 && v < 0.01:
		return fmt.Sprintf("%.5f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

// span formats nanoseconds with three digits.
func span(ns float64) string {
	for _, u := range []struct {
		unit string
		ns   float64
	}{{"s", 1e9}, {"ms", 1e6}, {"µs", 1e3}} {
		if math.Abs(ns) >= u.ns {
			return fmt.Sprintf("%.3g %s", ns/u.ns, u.unit)
		}
	}
	return fmt.Sprintf("%.0f ns", ns)
}

// percentile returns the p-th percentile of sorted durations.
func percentile(sorted []time.Duration, p int) time.Duration {
	return sorted[min(len(sorted)*p/100, len(sorted)-1)]
}
