package health

import "time"

// Status is the state of a check or of a route. Of several, the greatest counts.
type Status uint8

const (
	// Pass: all is well.
	Pass Status = iota + 1
	// Warn: an optional check fails. Answered 200.
	Warn
	// Pending: not decided yet. Answered 503 by ready and startup.
	Pending
	// Fail: failing or stale. Answered 503.
	Fail
)

// String returns "pass", "warn", "pending", "fail" or "".
func (s Status) String() string {
	return [...]string{"", "pass", "warn", "pending", "fail"}[min(s, Fail+1)%(Fail+1)]
}

// word is s in the three words of the health+json draft. Pending is answered 503, for
// which the draft requires "fail".
func (s Status) word() string {
	if s == Pending {
		s = Fail
	}
	return s.String()
}

// view is the state of a check in a snapshot. It is never changed, only replaced.
type view struct {
	name     string
	kind     Kind
	optional bool
	// status is Pending, Pass or Fail.
	status Status
	// started: it has passed once, which is all that Startup requires.
	started bool
	// at is the time of the last result, zero if there is none.
	at    time.Time
	value float64
	unit  string
	// text says why it does not pass.
	text string
}

// overall is the status of the check itself.
func (v *view) overall() Status {
	if v.status == Fail && v.optional {
		return Warn
	}
	return v.status
}

// counts returns what v contributes to a route of these kinds, 0 for nothing.
func (v *view) counts(kinds Kind) (worst Status) {
	kinds &= v.kind
	if kinds&Ready != 0 {
		worst = max(worst, v.status)
	}
	if kinds&Live != 0 {
		s := v.status
		if s == Pending {
			// There is no sign against the process yet.
			s = Warn
		}
		worst = max(worst, s)
	}
	if kinds&Startup != 0 {
		s := v.status
		if v.started {
			s = Pass
		}
		worst = max(worst, s)
	}
	if v.optional {
		worst = min(worst, Warn)
	}
	return worst
}
