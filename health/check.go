package health

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Kind says which questions a check decides. Several may be joined: a check of
// Ready|Startup holds back the start until it has passed once, and the traffic
// whenever it fails.
type Kind uint8

const (
	// Ready: while it fails no traffic should come here. What nearly every
	// check is, and the default.
	Ready Kind = 1 << iota
	// Live: while it fails the process should be restarted. Only for what a
	// restart mends, a deadlock for instance, never for a dependency.
	Live
	// Startup: until it has passed once the start is not over. Unless it is of
	// another kind too, it is not run again after that.
	Startup

	allKinds = Ready | Live | Startup
)

// String returns the names of the kinds in k, joined with "|".
func (k Kind) String() string {
	var names []string
	for i, name := range [...]string{"ready", "live", "startup"} {
		if k&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	if rest := k &^ allKinds; rest != 0 {
		names = append(names, fmt.Sprint(uint8(rest)))
	}
	return strings.Join(names, "|")
}

// Check is one check. Name and Func are required; the zero value of the rest
// is the recommended setting.
type Check struct {
	// Name is what the check is called in reports, logs, metrics and
	// ?exclude=. At most 64 letters, digits and any of "-_.:/", unique in its
	// Checker.
	Name string
	// Func returns nil if all is well. It should return soon after its context
	// is done; where it does not, it fails all the same and is not started
	// again until it has returned. A panic in it is a failure.
	//
	// Its error is shown to those who may see details, and logged when the
	// check begins to fail.
	Func func(context.Context) error
	// Kind is what the check decides. 0: Ready.
	Kind Kind
	// Optional: its failure is a warning, which fails no route.
	Optional bool

	// Interval is the time from the start of one run to that of the next, at
	// least 1ms; while a run is out no other starts. 0: 10s, and 1s after a
	// run that ended for as long as the check has never passed, so that a
	// dependency which starts together with this server does not delay it. Of
	// one early interval a random part, at most half, is left out: checks and
	// replicas that start together do not go on together.
	Interval time.Duration
	// Timeout is how long one run may take; its context ends then. 0: 2s.
	Timeout time.Duration
	// Delay is how long after Add the first run is. 0: none. No duration may be
	// negative or longer than 30 days.
	Delay time.Duration
	// FailAfter is how many runs must fail in a row for the check to fail, at
	// most 1000. 0: 1.
	FailAfter int
	// PassAfter is how many runs must pass in a row for a check to pass that
	// has failed or is new, at most 1000. 0: 1.
	PassAfter int
	// MaxAge is how old a result may get. Without another one the check is
	// stale then, and fails. At least Interval + Timeout. 0: the time in which
	// FailAfter runs would have failed, FailAfter+1 intervals and a timeout.
	MaxAge time.Duration
}

const (
	defaultInterval = 10 * time.Second
	defaultTimeout  = 2 * time.Second
	// firstInterval is the pause between runs of a check that has never passed,
	// where the interval is left to us.
	firstInterval = time.Second

	// The limits keep a typing error from becoming a busy loop or an overflow.
	minInterval  = time.Millisecond
	maxDuration  = 30 * 24 * time.Hour
	maxThreshold = 1000
	maxName      = 64
)

// withDefaults returns k with every default filled in, or one error that joins
// all that is wrong with it.
func (k Check) withDefaults() (Check, error) {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("health: check %.64q: "+format, append([]any{k.Name}, args...)...))
	}

	if !isName(k.Name) {
		bad("Name is not 1 to %d letters, digits and any of \"-_.:/\"", maxName)
	}
	if k.Func == nil {
		bad("Func is nil")
	}
	if k.Kind == 0 {
		k.Kind = Ready
	}
	if k.Kind&^allKinds != 0 {
		bad("Kind is %d, which is no sum of Ready, Live and Startup", k.Kind)
	}
	for _, d := range []struct {
		field string
		value time.Duration
	}{{"Interval", k.Interval}, {"Timeout", k.Timeout}, {"Delay", k.Delay}, {"MaxAge", k.MaxAge}} {
		if d.value < 0 || d.value > maxDuration {
			bad("%s is %v, not between 0 and %v", d.field, d.value, maxDuration)
		}
	}
	for _, n := range []struct {
		field string
		value int
	}{{"FailAfter", k.FailAfter}, {"PassAfter", k.PassAfter}} {
		if n.value < 0 || n.value > maxThreshold {
			bad("%s is %d, not between 0 and %d", n.field, n.value, maxThreshold)
		}
	}
	if k.Interval > 0 && k.Interval < minInterval {
		bad("Interval is %v, shorter than %v", k.Interval, minInterval)
	}
	if len(errs) > 0 {
		return k, errors.Join(errs...)
	}

	if k.Interval == 0 {
		k.Interval = defaultInterval
	}
	if k.Timeout == 0 {
		k.Timeout = defaultTimeout
	}
	k.FailAfter = max(k.FailAfter, 1)
	k.PassAfter = max(k.PassAfter, 1)
	if k.MaxAge == 0 {
		k.MaxAge = time.Duration(k.FailAfter+1)*k.Interval + k.Timeout
	}
	if least := k.Interval + k.Timeout; k.MaxAge < least {
		bad("MaxAge is %v; with less than Interval + Timeout, %v, it would be stale between two good runs", k.MaxAge, least)
	}
	return k, errors.Join(errs...)
}

// isName reports whether s can stand in a URL, a metric label and a log line
// as it is.
func isName(s string) bool {
	for _, r := range s {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
		case r == '-', r == '_', r == '.', r == ':', r == '/':
		default:
			return false
		}
	}
	return s != "" && len(s) <= maxName
}
