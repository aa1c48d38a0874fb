package health

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Kind says which routes a check decides. Kinds may be joined: a check of Ready|Startup
// delays the start until it has passed once, and stops the traffic whenever it fails.
type Kind uint8

const (
	// Ready: while it fails no traffic should come here. This is the default and right
	// for nearly every check.
	Ready Kind = 1 << iota
	// Live: while it fails the process should be restarted. Use it only for what a
	// restart fixes, such as a deadlock, and never for a dependency.
	Live
	// Startup: the start is not complete until it has passed once. After that it is not
	// run again, unless it is also of another kind.
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

// Check is one check. Name and Func are required; the zero value of the other fields is
// the recommended setting.
type Check struct {
	// Name is the name of the check in reports, logs, metrics and ?exclude=. It has at
	// most 64 letters, digits and any of "-_.:/", and is unique in its Checker.
	Name string
	// Func returns nil if all is well. It should return soon after its context is done;
	// if it does not, it fails anyway and is not started again until it has returned.
	// A panic in it is a failure.
	//
	// Its error is in the details, and logged when the check begins to fail.
	Func func(context.Context) error
	// Kind is what the check decides. 0: Ready.
	Kind Kind
	// Optional: its failure is a warning, which fails no route.
	Optional bool

	// Interval is the time from the start of one run to the start of the next, at least
	// 1ms. No run starts while another is in progress. 0: 10s, but 1s after the end of a
	// run until the check has passed once, so that a dependency that starts together
	// with this server does not delay it. One early interval is shortened by a random
	// part, at most half, so that checks and replicas that start together do not run
	// together.
	Interval time.Duration
	// Timeout is how long one run may take; its context ends then. 0: 2s.
	Timeout time.Duration
	// Delay is the time from Add to the first run. 0: none. No duration may be negative
	// or longer than 30 days.
	Delay time.Duration
	// FailAfter is how many runs must fail in a row for the check to fail, at
	// most 1000. 0: 1.
	FailAfter int
	// PassAfter is how many runs must pass in a row for a failed or new check to pass, at
	// most 1000. 0: 1.
	PassAfter int
	// MaxAge is how old a result may get. An older one is stale, and the check fails. At
	// least Interval + Timeout. 0: FailAfter+1 intervals and a timeout, the time in which
	// FailAfter runs would have failed.
	MaxAge time.Duration
}

const (
	defaultInterval = 10 * time.Second
	defaultTimeout  = 2 * time.Second
	// firstInterval is the pause between runs of a check that has never passed, if its
	// Interval is 0.
	firstInterval = time.Second

	// The limits keep a typo from becoming a busy loop or an overflow.
	minInterval  = time.Millisecond
	maxDuration  = 30 * 24 * time.Hour
	maxThreshold = 1000
	maxName      = 64
)

// withDefaults returns k with every default filled in, or one error that joins everything
// wrong with it.
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
		bad("Kind is %d, not a combination of Ready, Live and Startup", k.Kind)
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

// isName reports whether s needs no escaping in a URL, a metric label and a log line.
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
