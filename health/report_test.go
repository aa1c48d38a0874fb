package health

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/quietws/quietws/core"
)

// report is the format of draft-inadarei-api-health-check-06, as a reader sees it.
type report struct {
	Status string
	Output string
	Notes  []string
	Checks map[string][]struct {
		Status        string
		ObservedValue any
		ObservedUnit  string
		Time          time.Time
		Output        string
	}
}

func readReport(t *testing.T, c *Checker, r core.Route, query string) (rep report, size int) {
	t.Helper()
	a, _ := c.Answer(core.HealthQuery{Route: r, Details: true, Head: ask{query: "verbose&" + query}})
	if err := json.Unmarshal([]byte(a.Body), &rep); err != nil {
		t.Fatalf("%v in %s", err, a.Body)
	}
	return rep, len(a.Body)
}

func TestDetailsAreForThoseWhoMaySeeThem(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, c *Checker) {
		mustAdd(t, c, Check{Name: "secretdb", Func: func(context.Context) error { return errors.New("secret") }})
		after(0)
		for r := core.RouteLive; r <= core.RouteHealth; r++ {
			for _, a := range []ask{{}, {query: "verbose"}, {accept: "application/health+json"}, {query: "verbose&exclude=nothing"}} {
				if got, _ := c.Answer(core.HealthQuery{Route: r, Head: a}); strings.Contains(got.Body, "secret") {
					t.Errorf("%s shows everyone %s", r, got.Body)
				}
			}
		}
		wantOutput(t, c, "secret")
	})
}

func TestReport(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, c *Checker) {
		mustAdd(t, c,
			Check{Name: "a", Func: func(ctx context.Context) error { <-time.After(1500 * time.Millisecond); return nil }, Interval: time.Hour},
			Check{Name: "b", Func: fails, Optional: true, Interval: time.Hour},
			Check{Name: "c", Func: func(ctx context.Context) error { Observe(ctx, 0, "sessions"); return errDown }, Interval: time.Hour},
			Check{Name: "d", Func: passes, Delay: time.Hour},
			Check{Name: "l", Kind: Live, Func: passes, Interval: time.Hour},
			Check{Name: "s", Kind: Startup, Func: passes, Interval: time.Hour},
		)
		now := time.Now()
		after(10 * time.Second)
		rep, _ := readReport(t, c, core.RouteReady, "")
		if rep.Status != "fail" || rep.Output != "not ready" || rep.Notes != nil || len(rep.Checks) != 5 {
			t.Errorf("the report is %+v", rep)
		}
		for name, want := range map[string]string{
			"a": "[{pass 1500 ms +1s }]",
			"b": "[{warn 0 ms +0s down}]",
			"c": "[{fail 0 sessions +0s down}]",
			"d": "[{fail <nil>  none not run yet}]",
			"s": "[{pass 0 ms +0s }]",
		} {
			d := rep.Checks[name]
			if len(d) != 1 {
				t.Fatalf("%s appears %d times", name, len(d))
			}
			at := "none"
			if !d[0].Time.IsZero() {
				at = "+" + d[0].Time.Sub(now.Truncate(time.Second)).String()
			}
			if got := fmt.Sprintf("[{%s %v %s %s %s}]", d[0].Status, d[0].ObservedValue, d[0].ObservedUnit, at, d[0].Output); got != want {
				t.Errorf("%s is %s, want %s", name, got, want)
			}
		}

		t.Log("each route shows the checks that decide it, health all of them")
		for r, want := range map[core.Route]string{core.RouteLive: "l", core.RouteStartup: "s", core.RouteHealth: "abcdls"} {
			rep, _ := readReport(t, c, r, "")
			if len(rep.Checks) != len(want) || rep.Status != "pass" {
				t.Errorf("%s is %+v", r, rep)
			}
			for _, name := range want {
				if rep.Checks[string(name)] == nil {
					t.Errorf("%s does not show %c", r, name)
				}
			}
			if (r == core.RouteHealth) != (len(rep.Notes) == 1) {
				t.Errorf("%s notes %q", r, rep.Notes)
			}
		}

		t.Log("what is excluded is not shown, and the report says that something is")
		rep, _ = readReport(t, c, core.RouteReady, "exclude=c&exclude=d&exclude=<x>")
		if rep.Status != "warn" || len(rep.Checks) != 3 || len(rep.Notes) != 2 || strings.Contains(fmt.Sprint(rep.Notes), "x>") {
			t.Errorf("the report is %+v", rep)
		}
	})
}

// The kubelet reads 10 KB. Whatever the checks return, the body is shorter, is valid, and
// includes the failing checks.
func TestReportIsShort(t *testing.T) {
	const limit = 10 * 1024
	for _, text := range []string{"", "refused", strings.Repeat("\x00", 1000), strings.Repeat("<", 1000), strings.Repeat("\xff", 1000)} {
		bubble(t, Config{}, func(t *testing.T, c *Checker) {
			for i := range maxChecks - 1 {
				mustAdd(t, c, Check{Name: fmt.Sprintf("%03d-%s", i, strings.Repeat("n", 60)), Optional: true, Func: func(ctx context.Context) error {
					Observe(ctx, -1.2345678901234567e-200, strings.Repeat("\x01", 100))
					return errors.New(text)
				}})
			}
			mustAdd(t, c, Check{Name: "zzz", Func: fails})
			after(0)
			for r := core.RouteReady; r <= core.RouteHealth; r++ {
				rep, size := readReport(t, c, r, "exclude=nothing&exclude=000-"+strings.Repeat("n", 60))
				if size >= limit {
					t.Errorf("%s has %d bytes", r, size)
				}
				if r == core.RouteStartup {
					continue
				}
				if len(rep.Checks) < 4 || rep.Checks["zzz"] == nil {
					t.Errorf("%s shows %d checks, the one that fails: %v", r, len(rep.Checks), rep.Checks["zzz"])
				}
				if last := rep.Notes[len(rep.Notes)-1]; last != fmt.Sprintf("%d more checks do not fit", 255-len(rep.Checks)) {
					t.Errorf("%d of 255 shown, and the note is %q", len(rep.Checks), last)
				}
			}
		})
	}
}
