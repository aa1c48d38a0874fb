package main

import (
	"strings"
	"testing"
)

func TestRender(t *testing.T) {
	bare := []float64{1000, 1100, 1050, 1020, 1080, 1060}
	again := []float64{1010, 1090, 1060, 1000, 1090, 1050}
	twice := make([]float64, len(bare))
	for i, v := range bare {
		twice[i] = 2 * v
	}
	text := render([]row{
		ratioRow("twice", "echo", "Attach", bare, again, twice, 1.5),
		ratioRow("the same", "echo", "Attach", bare, again, bare, 1),
		ratioRow("by chance", "echo", "Attach", bare, again, again, 1),
		{what: "no target", base: "7"},
	})
	const want = heading +
		"| twice | echo | Attach | 1.05 µs (1 µs–1.1 µs) | 2.000 (2.000–2.000) | 1.009 (0.943–1.069) | ≤ 1.5 | no |\n" +
		"| the same | echo | Attach | 1.05 µs (1 µs–1.1 µs) | 1.000 (1.000–1.000) | 1.009 (0.943–1.069) | ≤ 1 | yes |\n" +
		"| by chance | echo | Attach | 1.05 µs (1 µs–1.1 µs) | 1.009 (0.943–1.069) | 1.009 (0.943–1.069) | ≤ 1 | unclear |\n" +
		"| no target |  |  | 7 |  |  |  |  |\n"
	if text != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
}

func TestReplaced(t *testing.T) {
	const mark = "go run . -readme"
	other := begin(mark+" more") + "other\n" + end
	got, err := replaced("above\n"+other+begin(mark)+"old\n"+end+"below\n", mark, "new")
	if want := "above\n" + other + begin(mark) + "\nnew\n" + end + "below\n"; err != nil || got != want {
		t.Errorf("%q, %v", got, err)
	}
	for _, readme := range []string{"", begin(mark), end} {
		if _, err := replaced(readme, mark, "new"); err == nil {
			t.Errorf("%q has a place for the table", readme)
		}
	}
}

func TestSpan(t *testing.T) {
	for ns, want := range map[float64]string{0: "0 ns", 12.4: "12 ns", -300: "-300 ns", 1234: "1.23 µs", 5e6: "5 ms", 2e9: "2 s"} {
		if got := span(ns); got != want {
			t.Errorf("%v: %q, want %q", ns, got, want)
		}
	}
}

// Results are kept by name, the first and the second of a round apart.
func TestReadBenchmarks(t *testing.T) {
	all := make(measured)
	out := strings.ReplaceAll("BenchmarkX/a-N 10 100 ns/op 8 B/op 1 allocs/op\nBenchmarkX/a-N 10 200 ns/op 8 B/op 1 allocs/op\n", "N", procs())
	for range 2 {
		if err := all.read("core", []byte(out)); err != nil {
			t.Fatal(err)
		}
	}
	a := all["core.X/a"]
	if a == nil || len(a.ns[0]) != 2 || span(median(a.ns[0])) != "100 ns" || span(median(a.ns[1])) != "200 ns" || median(a.allocs) != 1 {
		t.Errorf("%+v of %v", a, all)
	}
}
