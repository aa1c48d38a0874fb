package main

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/perf/benchfmt"
)

// inProcess runs the packages' own benchmarks. Their binaries take turns.
func inProcess(b *bench) ([]row, error) {
	packages := []string{"core", "echows", "ginws", "fiberws"}
	for _, p := range packages {
		build := exec.Command("go", "test", "-c", "-o", b.binary(p), ".")
		build.Dir = "../../" + p // modules of their own
		if out, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("building the tests of %s: %w\n%s", p, err, out)
		}
	}
	all := make(measured)
	for range b.rounds {
		for _, p := range packages {
			if err := b.benchmarks(all, p); err != nil {
				return nil, err
			}
		}
	}
	var rows []row
	for _, m := range []struct {
		what, on, with string
		base, got      string
		ns, allocs     float64
	}{
		{"ordinary request in process", "nethttp", "Attach", "core.Ordinary/bare_with_context", "core.Ordinary/wrapped", 100, 0},
		{"ordinary request in process", "fiber", "Attach", "fiberws.OrdinaryRequest/nothing", "fiberws.OrdinaryRequest/Attach", 100, 0},
		{"ordinary request in process, compared with an empty middleware", "echo", "Middleware in Use", "echows.Middleware/Use/empty", "echows.Middleware/Use/quietws", 150, 1},
		{"ordinary request in process, compared with an empty middleware", "echo", "Middleware in Pre", "echows.Middleware/Pre/empty", "echows.Middleware/Pre/quietws", 150, 1},
		{"ordinary request in process, compared with an empty middleware", "gin", "Middleware", "ginws.Middleware/empty", "ginws.Middleware/quietws", 150, 1},
		{"ordinary request in process, compared with an empty middleware", "fiber", "Middleware", "fiberws.OrdinaryRequest/empty_middleware", "fiberws.OrdinaryRequest/Middleware", 150, 1},
	} {
		base, got := all[m.base], all[m.got]
		if base == nil || got == nil {
			return rows, fmt.Errorf("there is no benchmark %s or %s", m.base, m.got)
		}
		more, allocs := differences(got.ns[0], base.ns[0]), median(differences(got.allocs, base.allocs))
		rows = append(rows, row{
			what: m.what, on: m.on, with: m.with, base: spread(base.ns[0], span),
			got: spread(more, span) + " more, " + plain(allocs) + " allocations more", again: spread(differences(base.ns[1], base.ns[0]), span) + " more",
			target: fmt.Sprintf("≤ %.0f ns and %.0f allocations more", m.ns, m.allocs), met: median(more) <= m.ns && allocs <= m.allocs, unclear: holds(more, m.ns) && allocs <= m.allocs,
		})
	}
	for _, what := range []string{"connection", "request"} {
		one := all["core.Contention/"+what+"/1"]
		for _, goroutines := range []string{"2", "64"} {
			many := all["core.Contention/"+what+"/"+goroutines]
			if one == nil || many == nil {
				return rows, fmt.Errorf("there is no benchmark of contention for %s", what)
			}
			rows = append(rows, row{
				what: fmt.Sprintf("what the guard does for a %s, by %s goroutines, compared with one", what, goroutines), on: "nethttp", with: "Listener, Attach",
				base: spread(one.ns[0], span), got: spread(ratios(many.ns[0], one.ns[0]), ratio), again: spread(ratios(one.ns[1], one.ns[0]), ratio),
			})
		}
	}
	return rows, nil
}

// procs matches the number of CPUs at the end of a benchmark's name.
func procs() string { return strconv.Itoa(runtime.GOMAXPROCS(0)) }

func (b *bench) binary(p string) string { return filepath.Join(b.dir, p+".test") }

// measured are the results of benchmarks, by package and name. Each runs twice in a
// round, the second time to compare it with itself.
type measured map[string]*struct {
	ns     [2][]float64
	allocs []float64
}

func (b *bench) benchmarks(all measured, p string) error {
	run := exec.Command(b.binary(p), "-test.run=^$", "-test.bench=^Benchmark(Ordinary|OrdinaryRequest|Middleware|Contention)$",
		"-test.count=2", "-test.benchmem", "-test.benchtime="+map[bool]string{false: "50ms", true: "1x"}[b.quick])
	out, err := run.CombinedOutput()
	if err != nil {
		return fmt.Errorf("the benchmarks of %s: %w\n%s", p, err, out)
	}
	return all.read(p, out)
}

func (m measured) read(p string, out []byte) error {
	results := benchfmt.NewReader(bytes.NewReader(out), p)
	times := make(map[string]int)
	for results.Scan() {
		r, ok := results.Result().(*benchfmt.Result)
		if !ok {
			continue
		}
		name := p + "." + strings.TrimSuffix(string(r.Name.Full()), "-"+procs())
		if m[name] == nil {
			m[name] = new(struct {
				ns     [2][]float64
				allocs []float64
			})
		}
		ns, _ := r.Value("sec/op")
		allocs, _ := r.Value("allocs/op")
		if i := times[name]; i < 2 {
			m[name].ns[i] = append(m[name].ns[i], ns*1e9)
			if i == 0 {
				m[name].allocs = append(m[name].allocs, allocs)
			}
		}
		times[name]++
	}
	return results.Err()
}
