package health

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/quietws/quietws/core"
)

// The table of the package comment: what each kind of check does to each route.
func TestRoutes(t *testing.T) {
	for _, row := range []struct {
		rule   string
		checks []Check
		want   []int // live, ready, startup, health
	}{
		{"a Ready check that fails", []Check{{Func: fails}}, []int{200, 503, 200, 200}},
		{"a Ready check that has not run", []Check{{Func: passes, Delay: time.Hour}}, []int{200, 503, 200, 200}},
		{"a Live check that fails", []Check{{Func: fails, Kind: Live}}, []int{503, 200, 200, 200}},
		{"a Live check that has not run", []Check{{Func: passes, Kind: Live, Delay: time.Hour}}, []int{200, 200, 200, 200}},
		{"a Startup check that fails", []Check{{Func: fails, Kind: Startup}}, []int{200, 503, 503, 200}},
		{"a Startup check that has not run", []Check{{Func: passes, Kind: Startup, Delay: time.Hour}}, []int{200, 503, 503, 200}},
		{"one that is everything and fails", []Check{{Func: fails, Kind: Live | Ready | Startup}}, []int{503, 503, 503, 200}},
		{"one of two fails", []Check{{Func: passes}, {Func: fails}}, []int{200, 503, 200, 200}},
		{"optional ones that fail", []Check{{Func: fails, Optional: true, Kind: allKinds}}, []int{200, 200, 200, 200}},
		{"optional ones that have not run", []Check{{Func: fails, Optional: true, Kind: allKinds, Delay: time.Hour}}, []int{200, 200, 200, 200}},
		{"all pass", []Check{{Func: passes}, {Func: passes, Kind: Live}, {Func: passes, Kind: Startup}}, []int{200, 200, 200, 200}},
		{"no checks", nil, []int{200, 200, 200, 200}},
	} {
		t.Run(row.rule, func(t *testing.T) {
			bubble(t, Config{}, func(t *testing.T, c *Checker) {
				for i, k := range row.checks {
					k.Name = fmt.Sprint("c", i)
					mustAdd(t, c, k)
				}
				after(time.Second)
				wantCodes(t, c, row.rule, row.want...)
			})
		})
	}
}

func TestStartIsOverForEver(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, c *Checker) {
		n := 0
		mustAdd(t, c, Check{Name: "init", Kind: Startup | Ready, Func: func(context.Context) error {
			if n++; n == 2 {
				return nil
			}
			return errDown
		}})
		after(0)
		wantCodes(t, c, "not passed yet", 200, 503, 503, 200)
		after(time.Second)
		wantCodes(t, c, "passed once", 200, 200, 200, 200)
		after(time.Hour)
		wantCodes(t, c, "failing since", 200, 503, 200, 200)
		if rep, _ := readReport(t, c, core.RouteStartup, ""); rep.Status != "pass" || rep.Checks["init"][0].Status != "pass" || rep.Checks["init"][0].Output != "" {
			t.Errorf("the startup report is %+v", rep)
		}
	})
}

func TestChecksReports(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, c *Checker) {
		mustAdd(t, c, Check{Name: "c", Func: passes}, Check{Name: "a", Func: fails}, Check{Name: "b", Func: fails, Optional: true},
			Check{Name: "d", Func: passes, Delay: time.Hour}, Check{Name: "e", Kind: Live, Func: passes, Delay: time.Hour})
		after(0)
		if got := fmt.Sprint(c.Checks()); got != "[{a fail} {b warn} {c pass} {d fail} {e warn}]" {
			t.Errorf("the checks are %s", got)
		}
	})
}
