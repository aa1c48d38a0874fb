package health

import (
	"encoding/json"
	"log/slog"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quietws/quietws/core"
)

func TestAnswerKnowsFourRoutes(t *testing.T) {
	c := New(Config{})
	for _, r := range []core.Route{core.NoRoute, core.RouteHealth + 1, 255} {
		if _, ok := c.Answer(core.HealthQuery{Route: r, Head: ask{}}); ok {
			t.Errorf("route %d is answered", r)
		}
	}
}

func TestAnswerBodies(t *testing.T) {
	fail := Check{Name: "db", Func: fails}
	for _, row := range []struct {
		rule  string
		check Check
		q     core.HealthQuery
		ask   ask
		want  string
	}{
		{"draining comes before any other state", fail, core.HealthQuery{Route: core.RouteReady, Draining: true}, ask{}, "503 draining"},
		{"health fails while draining", fail, core.HealthQuery{Route: core.RouteHealth, Draining: true}, ask{}, "503 draining"},
		{"live does not", fail, core.HealthQuery{Route: core.RouteLive, Draining: true}, ask{}, "200 ok"},
		{"startup does not", fail, core.HealthQuery{Route: core.RouteStartup, Draining: true}, ask{}, "200 ok"},
		{"ready while a check fails", fail, core.HealthQuery{Route: core.RouteReady}, ask{}, "503 not ready"},
		{"ready before the first result", Check{Name: "db", Func: passes, Delay: time.Hour}, core.HealthQuery{Route: core.RouteReady}, ask{}, "503 starting"},
		{"live while a check fails", Check{Name: "db", Kind: Live, Func: fails}, core.HealthQuery{Route: core.RouteLive}, ask{}, "503 not live"},
		{"startup while a check fails", Check{Name: "db", Kind: Startup, Func: fails}, core.HealthQuery{Route: core.RouteStartup}, ask{}, "503 starting"},
		{"a warning is ok", Check{Name: "db", Func: fails, Optional: true}, core.HealthQuery{Route: core.RouteReady}, ask{}, "200 ok"},
		{"health ignores checks", fail, core.HealthQuery{Route: core.RouteHealth}, ask{}, "200 ok"},

		{"by Accept", fail, core.HealthQuery{Route: core.RouteReady}, ask{accept: "application/health+json"},
			`503 {"status":"fail","output":"not ready"}`},
		{"by query", fail, core.HealthQuery{Route: core.RouteHealth}, ask{query: "verbose"}, `200 {"status":"pass"}`},
		{"by query with a value", fail, core.HealthQuery{Route: core.RouteHealth}, ask{query: "x=1&verbose=true"}, `200 {"status":"pass"}`},
		{"draining", fail, core.HealthQuery{Route: core.RouteReady, Draining: true}, ask{query: "verbose"},
			`503 {"status":"fail","output":"draining"}`},
		{"a warning is a warning in JSON", Check{Name: "db", Func: fails, Optional: true}, core.HealthQuery{Route: core.RouteReady}, ask{query: "verbose"},
			`200 {"status":"warn","output":"an optional check fails"}`},
		{"details are not in the text", fail, core.HealthQuery{Route: core.RouteReady, Details: true}, ask{}, "503 not ready"},

		{"exclude", fail, core.HealthQuery{Route: core.RouteReady, Details: true}, ask{query: "exclude=db"}, "200 ok"},
		{"exclude, escaped", fail, core.HealthQuery{Route: core.RouteReady, Details: true}, ask{query: "exclude=d%62"}, "200 ok"},
		{"exclude with others", fail, core.HealthQuery{Route: core.RouteReady, Details: true}, ask{query: "exclude=x&exclude=db&exclude=db"}, "200 ok"},
		{"exclude, unknown", fail, core.HealthQuery{Route: core.RouteReady, Details: true}, ask{query: "exclude=bd"}, "503 not ready"},
		{"exclude, empty", fail, core.HealthQuery{Route: core.RouteReady, Details: true}, ask{query: "exclude=&exclude"}, "503 not ready"},
		{"exclude, broken", fail, core.HealthQuery{Route: core.RouteReady, Details: true}, ask{query: "exclude=db%zz&&=&"}, "503 not ready"},
		{"exclude, of who may not see the details", fail, core.HealthQuery{Route: core.RouteReady}, ask{query: "exclude=db"}, "503 not ready"},
		{"exclude does not end a drain", fail, core.HealthQuery{Route: core.RouteReady, Draining: true, Details: true}, ask{query: "exclude=db"}, "503 draining"},
	} {
		t.Run(row.rule, func(t *testing.T) {
			bubble(t, Config{}, func(t *testing.T, c *Checker) {
				mustAdd(t, c, row.check)
				after(0)
				row.q.Head = row.ask
				a, ok := c.Answer(row.q)
				if got := strconv.Itoa(a.Status) + " " + strings.TrimSuffix(a.Body, "\n"); !ok || got != row.want {
					t.Errorf("%s, want %s", got, row.want)
				}
			})
		})
	}
}

// Every possible answer has the same four fields, the right length, and a status that fits
// its word: draft-inadarei-api-health-check-06 §3.1.
func TestAnswerFields(t *testing.T) {
	check := func(a core.Answer, contentType string) {
		t.Helper()
		got := map[string]string{}
		for _, f := range a.Header {
			got[f.Name] = strings.Join(f.Values, "|")
		}
		if len(got) != 4 || got["Content-Type"] != contentType || got["Content-Length"] != strconv.Itoa(len(a.Body)) ||
			got["Cache-Control"] != "no-store" || got["X-Content-Type-Options"] != "nosniff" {
			t.Errorf("the fields of %q are %v", a.Body, got)
		}
		if contentType != typeJSON {
			return
		}
		var body struct{ Status string }
		if err := json.Unmarshal([]byte(a.Body), &body); err != nil || (body.Status == "fail") != (a.Status == 503) {
			t.Errorf("%d with %q (%v)", a.Status, a.Body, err)
		}
	}
	for p := range phrases {
		check(plain[p], typeText)
		check(brief[p], typeJSON)
	}
	bubble(t, Config{}, func(t *testing.T, c *Checker) {
		mustAdd(t, c, Check{Name: "db", Func: fails})
		after(0)
		for r := core.RouteLive; r <= core.RouteHealth; r++ {
			a, _ := c.Answer(core.HealthQuery{Route: r, Details: true, Head: ask{query: "verbose"}})
			check(a, typeJSON)
		}
	})
}

func TestAcceptsJSON(t *testing.T) {
	for accept, want := range map[string]bool{
		"":                            false,
		"*/*":                         false,
		"application/*":               false,
		"application/json":            false,
		"application/health+jsonx":    false,
		"application/health+json;q=0": false,
		"application/health+json ; x=1 ; Q=0.000":    false,
		"text/plain, application/health+json;q=0.0":  false,
		"application/health+json":                    true,
		"Application/Health+JSON":                    true,
		"text/plain, application/health+json":        true,
		"text/plain,application/health+json;q=0.001": true,
		"application/health+json; q=1.0":             true,
		"application/health+json;q=1":                true,
	} {
		if got := acceptsJSON(accept); got != want {
			t.Errorf("acceptsJSON(%q) is %v", accept, got)
		}
	}
}

func TestShortBodyIsStable(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, c *Checker) {
		mustAdd(t, c, Check{Name: "db", Func: fails}, Check{Name: "ok", Func: passes})
		after(0)
		for _, a := range []ask{{}, {query: "verbose"}} {
			first, _ := c.Answer(core.HealthQuery{Route: core.RouteReady, Head: a})
			for range 50 {
				after(17 * time.Second)
				if next, _ := c.Answer(core.HealthQuery{Route: core.RouteReady, Head: a}); next.Body != first.Body || &next.Header[0] != &first.Header[0] {
					t.Fatalf("%q became %q", first.Body, next.Body)
				}
			}
		}
	})
}

// checkerWith returns a Checker with n checks that have passed. The caller closes it.
func checkerWith(tb testing.TB, n int) *Checker {
	c := New(Config{Logger: slog.New(slog.DiscardHandler)})
	for i := range n {
		k := Check{Name: "check" + strconv.Itoa(i), Func: passes, Interval: time.Hour, Kind: allKinds}
		if err := c.Add(k); err != nil {
			tb.Fatal(err)
		}
	}
	return c
}

// The answers to probers must not allocate.
var cheap = []struct {
	name string
	q    core.HealthQuery
}{
	{"live", core.HealthQuery{Route: core.RouteLive, Head: ask{}}},
	{"ready", core.HealthQuery{Route: core.RouteReady, Head: ask{accept: "*/*"}}},
	{"startup", core.HealthQuery{Route: core.RouteStartup, Head: ask{}}},
	{"health", core.HealthQuery{Route: core.RouteHealth, Head: ask{}}},
	{"draining", core.HealthQuery{Route: core.RouteReady, Draining: true, Head: ask{}}},
	{"json", core.HealthQuery{Route: core.RouteReady, Head: ask{accept: "text/html, application/health+json;q=0.9"}}},
	{"verbose", core.HealthQuery{Route: core.RouteReady, Head: ask{query: "verbose"}}},
	{"exclude", core.HealthQuery{Route: core.RouteReady, Details: true, Head: ask{query: "exclude=check3&exclude=nothing"}}},
}

func TestAnswerDoesNotAllocate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := checkerWith(t, 20)
		defer c.Close()
		synctest.Wait()
		for _, row := range cheap {
			if n := testing.AllocsPerRun(100, func() { c.Answer(row.q) }); n != 0 {
				t.Errorf("%s: %v allocations", row.name, n)
			}
		}
	})
}

func BenchmarkAnswer(b *testing.B) {
	c := checkerWith(b, 20)
	defer c.Close()
	for _, row := range append(cheap, struct {
		name string
		q    core.HealthQuery
	}{"details", core.HealthQuery{Route: core.RouteReady, Details: true, Head: ask{query: "verbose"}}}) {
		b.Run(row.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.Answer(row.q)
			}
		})
	}
}

func FuzzQuery(f *testing.F) {
	for _, seed := range []string{"verbose", "exclude=db", "exclude=%64b&verbose=1", "exclude=db%zz&&=&", ";;", "%76erbose"} {
		f.Add(seed)
	}
	s := newSnapshot([]*view{{name: "a:b/c", kind: Ready, status: Fail}, {name: "db", kind: Ready, status: Pass}})
	f.Fuzz(func(t *testing.T, raw string) {
		q := s.parse(raw)
		if q.verbose && !strings.Contains(raw, "verbose") || q.excludes && !strings.Contains(raw, "exclude=") {
			t.Errorf("%q is read as %+v", raw, q)
		}
		if q.excludes != (q.skip != set{}) {
			t.Errorf("%q excludes %v", raw, q.skip)
		}
		for name, want := range map[string]Status{"a:b/c": Pass, "db": Fail} {
			// Whatever comes before, one more parameter is read.
			more := s.parse(raw + "&exclude=" + url.QueryEscape(name))
			if !more.excludes || s.status(core.RouteReady, &more.skip) > max(want, s.status(core.RouteReady, &q.skip)) {
				t.Errorf("%q and %s is read as %+v", raw, name, more)
			}
		}
	})
}

func FuzzAccept(f *testing.F) {
	for _, seed := range []string{"*/*", "application/health+json;q=0", ";,;q", "application/health+json;q=0.5, text/html"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, accept string) {
		got := acceptsJSON(accept)
		if got && !strings.Contains(strings.ToLower(accept), typeJSON) {
			t.Errorf("%q does not name it", accept)
		}
		if got != acceptsJSON(" "+strings.ToUpper(accept)+" ") {
			t.Errorf("%q is read differently in upper case", accept)
		}
	})
}
