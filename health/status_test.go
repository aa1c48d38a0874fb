package health

import "testing"

func TestStatusCounts(t *testing.T) {
	for _, row := range []struct {
		rule string
		v    view
		asks Kind
		want Status
	}{
		{"a failing check fails its kind", view{kind: Ready, status: Fail}, Ready, Fail},
		{"one that has not run is pending", view{kind: Ready, status: Pending}, Ready, Pending},
		{"a Live check that has not run is no failure", view{kind: Live, status: Pending}, Live, Warn},
		{"a Live check that fails is one", view{kind: Live, status: Fail}, Live, Fail},
		{"an optional check only warns", view{kind: Ready, status: Fail, optional: true}, Ready, Warn},
		{"an optional check holds nothing back", view{kind: Startup, status: Pending, optional: true}, Startup, Warn},
		{"a Ready check is none of the live route's", view{kind: Ready, status: Fail}, Live, 0},
		{"a Startup check that has passed once has passed", view{kind: Startup, status: Fail, started: true}, Startup, Pass},
		{"as a Ready check it fails again", view{kind: Startup | Ready, status: Fail, started: true}, Ready | Startup, Fail},
		{"a pass", view{kind: allKinds, status: Pass}, allKinds, Pass},
	} {
		if got := row.v.counts(row.asks); got != row.want {
			t.Errorf("%s: %v, want %v", row.rule, got, row.want)
		}
	}
}

func TestStatusWords(t *testing.T) {
	for s, want := range map[Status][2]string{
		0: {"", ""}, Pass: {"pass", "pass"}, Warn: {"warn", "warn"}, Pending: {"pending", "fail"}, Fail: {"fail", "fail"}, 200: {"", ""},
	} {
		if s.String() != want[0] || s.word() != want[1] {
			t.Errorf("Status %d is %q and %q, want %q", s, s.String(), s.word(), want)
		}
	}
}
