package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// counted is a figure of the kind "instructions": the same load on two bare servers and
// on one with quietws.
type counted struct {
	what, on string
	servers  []server
	open     func(*bench, *child) (load, error)
	n        int // load of each count
	limits   []float64
}

// near is the tolerance above a limit: counts of a request repeat within half a percent,
// those of a connection within two.
const near = 0.02

// instructions counts user-space instructions, which vary much less than CPU time. The
// servers run under valgrind, on one thread, without garbage collection and preemption.
// The cost of garbage collection is shown separately, as allocations and bytes.
func instructions(b *bench) (rows []row, err error) {
	if err := b.buildCounted(); err != nil {
		return nil, err
	}
	done := make(map[string]bool)
	for _, c := range allCounted() {
		if b.quick && done[c.what] { // one of each: the figures are meaningless
			continue
		}
		done[c.what] = true
		more, err := b.count(c)
		rows = append(rows, more...)
		if err != nil {
			return rows, fmt.Errorf("%s, %s: %w", c.what, c.on, err)
		}
	}
	return rows, nil
}

// allCounted returns the figures with their limits, one for each server after the
// second.
func allCounted() (all []counted) {
	onHTTP := func(f string, http, fiber float64) float64 {
		if f == "fiber" {
			return fiber
		}
		return http
	}
	ask := func(head string) func(*bench, *child) (load, error) {
		return func(_ *bench, c *child) (load, error) { return c.requests(1, head) }
	}
	for _, f := range web {
		all = append(all, counted{"ordinary request", f, ordinary(f, quiet), ask(browser), 400, []float64{onHTTP(f, 1.04, 1.15)}})
	}
	for _, f := range websockets {
		all = append(all, counted{"handshake and close", f, ordinary(f, quiet, handled),
			func(_ *bench, c *child) (load, error) { return serially(c.session), nil }, 200,
			[]float64{onHTTP(f, 1.06, 1.12), onHTTP(f, 1.08, 1.18)}})
	}
	for _, f := range websockets {
		all = append(all, counted{"message of 64 B echoed", f, ordinary(f, quiet, handled),
			func(_ *bench, c *child) (load, error) { return c.sessions(nil, 1, 64) }, 400,
			[]float64{onHTTP(f, 1.05, 1.10), onHTTP(f, 1.05, 1.10)}})
	}
	for _, f := range []string{"nethttp", "fiber"} {
		all = append(all, counted{"bare TCP probe", f, ordinary(f, quiet),
			func(_ *bench, c *child) (load, error) {
				return probing{c, serially(func(i int) error { return fin(c, i) })}, nil
			}, 400, []float64{onHTTP(f, 1.15, 1.30)}})
	}
	for _, f := range web {
		variants, limits := []string{quiet}, []float64{onHTTP(f, 1.04, 1.15)}
		if f == "fiber" {
			variants, limits = append(variants, named), append(limits, 1.15)
		}
		all = append(all, counted{"health answer, compared with a static handler", f, ordinary(f, variants...), ask(kubelet), 400, limits})
	}
	return all
}

// serially is a load of separate connections, one after the other: concurrent ones would
// change the count.
type serially func(i int) error

func (do serially) run(n int) error {
	for i := range n {
		if err := do(i); err != nil {
			return err
		}
	}
	return nil
}

func (serially) close() {}

// buildCounted builds this program for valgrind, for which Go needs a build tag.
func (b *bench) buildCounted() error {
	for _, tool := range []string{"valgrind", "vgdb"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("the kind instructions needs valgrind: %w", err)
		}
	}
	b.counted = filepath.Join(b.dir, "counted")
	out, err := exec.Command("go", "build", "-tags", "valgrind", "-o", b.counted, ".").CombinedOutput()
	if err != nil {
		return fmt.Errorf("go build -tags valgrind: %w: %s", err, out)
	}
	return nil
}

// underValgrind returns the command of a server whose instructions are counted.
func (b *bench) underValgrind(s server) *exec.Cmd {
	b.started++
	args := []string{"--tool=callgrind", "--callgrind-out-file=" + filepath.Join(b.dir, fmt.Sprintf("callgrind.%d", b.started)), b.counted}
	cmd := exec.Command("valgrind", append(args, s.args()...)...)
	cmd.Env = append(os.Environ(), "GOGC=off", "GODEBUG=asyncpreemptoff=1", "GOMAXPROCS=1")
	return cmd
}

// spent is what a server has used since the last reading.
type spent struct{ instructions, allocations, bytes float64 }

// spentBy reads it. callgrind numbers its dumps.
func (b *bench) spentBy(c *child, before *[2]int) (s spent, err error) {
	for i, what := range []string{"allocations", "allocated"} {
		n, err := c.ask(what)
		if err != nil {
			return s, err
		}
		n, before[i] = n-before[i], n
		if i == 0 {
			s.allocations = float64(n)
		} else {
			s.bytes = float64(n)
		}
	}
	c.dumps++
	if out, err := exec.Command("vgdb", "--pid="+strconv.Itoa(c.cmd.Process.Pid), "dump").CombinedOutput(); err != nil {
		return s, fmt.Errorf("vgdb: %w: %s", err, out)
	}
	s.instructions, err = totals(fmt.Sprintf("%s.%d", strings.TrimPrefix(c.cmd.Args[2], "--callgrind-out-file="), c.dumps))
	return s, err
}

// totals returns the sum of a dump.
func totals(name string) (float64, error) {
	dump, err := os.ReadFile(name)
	if err != nil {
		return 0, err
	}
	for lines := bufio.NewScanner(bytes.NewReader(dump)); lines.Scan(); {
		if n, ok := strings.CutPrefix(lines.Text(), "totals: "); ok {
			return strconv.ParseFloat(n, 64)
		}
	}
	return 0, fmt.Errorf("%s: %w", name, io.ErrUnexpectedEOF)
}

// each returns the cost of one unit of load. Twice the load minus once the load leaves
// out one-time costs: the readings, the dump, the page that ends a flood.
func (b *bench) each(s server, t counted) (one spent, err error) {
	s.Counted = true
	c, err := b.start(s)
	if err != nil {
		return one, err
	}
	defer c.stop()
	l, err := t.open(b, c)
	if err != nil {
		return one, err
	}
	defer l.close()
	n := b.few(t.n)
	var before [2]int
	var took []spent
	for _, times := range []int{1, 1, 2} { // the first turn is a warm-up
		if err := l.run(times * n); err != nil {
			return one, err
		}
		s, err := b.spentBy(c, &before)
		if err != nil {
			return one, err
		}
		took = append(took, s)
	}
	per := func(of func(spent) float64) float64 { return (of(took[2]) - of(took[1])) / float64(n) }
	return spent{
		per(func(s spent) float64 { return s.instructions }),
		per(func(s spent) float64 { return s.allocations }),
		per(func(s spent) float64 { return s.bytes }),
	}, nil
}

// count returns a row for each server after the second.
func (b *bench) count(t counted) (rows []row, err error) {
	all := make([]spent, len(t.servers))
	for i, s := range t.servers {
		if all[i], err = b.each(s, t); err != nil {
			return nil, fmt.Errorf("%v: %w", s, err)
		}
	}
	base := all[0]
	if base.instructions <= 0 {
		return nil, errors.New("no instructions were counted")
	}
	for i, s := range t.servers[2:] {
		got := all[i+2]
		r := got.instructions / base.instructions
		name := with[s.Variant]
		if t.what != "handshake and close" && s.Variant == quiet {
			name = "Listener, Attach"
		}
		rows = append(rows, row{
			what: t.what + ", instructions", on: t.on, with: name, base: plain(base.instructions),
			got:    fmt.Sprintf("%s; %+.1f allocations, %+.0f bytes", ratio(r), got.allocations-base.allocations, got.bytes-base.bytes),
			again:  ratio(all[1].instructions / base.instructions),
			target: "≤ " + fmt.Sprint(t.limits[i]), met: r <= t.limits[i]+near,
		})
	}
	return rows, nil
}
