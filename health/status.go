package health

import "time"

// Status is the state of a check or of a route. Of several the greatest
// counts.
type Status uint8

const (
	// Pass: all is well.
	Pass Status = iota + 1
	// Warn: something optional fails. Answered 200.
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

// word is s in the three words of the health+json draft. What is not decided
// yet is answered 503, so the word is fail, which the draft binds to it.
func (s Status) word() string {
	if s == Pending {
		s = Fail
	}
	return s.String()
}

// view is what is shown of a check. It is never changed, only replaced.
type view struct {
	name     string
	kind     Kind
	optional bool
	// status is Pending, Pass or Fail.
	status Status
	// started: passed once, which is all that a Startup check has to do.
	started bool
	// at is when the last result came in, zero if none has.
	at    time.Time
	value float64
	unit  string
	// text says why it does not pass.
	text string
}

// overall is the status of the check by itself.
func (v *view) overall() Status {
	if v.status == Fail && v.optional {
		return Warn
	}
	return v.status
}

// counts returns what v adds to a route that asks for kinds, 0 if nothing.
func (v *view) counts(kinds Kind) (worst Status) {
	kinds &= v.kind
	if kinds&Ready != 0 {
		worst = max(worst, v.status)
	}
	if kinds&Live != 0 {
		s := v.status
		if s == Pending {
			// Nothing speaks against the process yet.
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
