// Command comparison measures what quietws costs, compared with the bare server and with
// other libraries, and prints a table.
//
//	go run . [flags] KIND...
//
// The kinds:
//
//	inprocess   a request through the layer and each Middleware, the guard under many goroutines
//	requests    ordinary requests
//	handshakes  sessions that are opened and closed
//	messages    echoed messages, and the memory of an idle session
//	files       a large file
//	health      a health answer over loopback, and in process compared with other libraries
//	callers     100 callers while a check takes 50 ms
//	probes      bare TCP probes, and what 100,000 of each kind log
//	sources     a connection when a million addresses have been seen
//	drain       up to 10,000 sessions and a SIGTERM
//	instructions  the instructions of all these, counted by valgrind
//
// Server and clients are separate processes. Each round starts new servers, which take
// turns. It needs Linux.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"time"
)

// kind is something to measure.
type kind struct {
	name string
	run  func(*bench) ([]row, error)
}

// kinds are all, in order.
var kinds = []kind{
	{"inprocess", inProcess},
	{"requests", requests},
	{"handshakes", handshakes},
	{"messages", messages},
	{"files", files},
	{"health", healthAnswers},
	{"callers", callers},
	{"probes", probes},
	{"sources", sources},
	{"drain", drain},
	{counting, instructions},
}

// bench says how to measure.
type bench struct {
	rounds  int
	quick   bool
	dir     string // for files
	profile string
	counted string // this program, built for valgrind
	started int
}

// few returns n, or a small part of it with -quick.
func (b *bench) few(n int) int {
	if b.quick {
		return max(n/100, min(n, 4))
	}
	return n
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "server" {
		if err := serve(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	b := new(bench)
	readme := flag.Bool("readme", false, "put the table into README.md")
	flag.BoolVar(&b.quick, "quick", false, "do everything once and a little of it: the figures mean nothing, and are not written")
	flag.IntVar(&b.rounds, "rounds", 16, "how many `rounds` each measurement has; six make an interval")
	flag.StringVar(&b.profile, "profile", "", "a `directory` for CPU profiles of the servers, which then cost more")
	flag.Parse()
	if b.quick {
		b.rounds = 1
	}
	if err := b.run(flag.Args(), *readme); err != nil {
		fmt.Fprintln(os.Stderr, "failed:", err)
		os.Exit(1)
	}
}

func (b *bench) run(names []string, readme bool) (err error) {
	for _, name := range names {
		if !slices.ContainsFunc(kinds, func(k kind) bool { return k.name == name }) {
			return fmt.Errorf("there is no kind %q", name)
		}
	}
	if readme && (b.quick || len(names) > 0 && !slices.Equal(names, []string{counting}) || b.profile != "") {
		return errors.New("-readme needs the whole table, or that of the instructions, and no other flags")
	}
	if b.dir, err = os.MkdirTemp("", "quietws-comparison"); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(b.dir) }()
	fmt.Print(b.caption(), heading)
	tables := make(map[string][]row) // by their mark in README.md
	for _, k := range kinds {
		if len(names) > 0 && !slices.Contains(names, k.name) {
			continue
		}
		began := time.Now()
		more, failed := k.run(b)
		for _, r := range more {
			fmt.Print(r)
		}
		fmt.Fprintf(os.Stderr, "%s: %v\n", k.name, time.Since(began).Round(time.Second))
		if failed != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", k.name, failed))
		}
		tables[markOf(k.name)] = append(tables[markOf(k.name)], more...)
	}
	if !readme || err != nil {
		return err
	}
	for mark, rows := range tables {
		if err := writeReadme(mark, b.caption()+render(rows)); err != nil {
			return err
		}
	}
	return nil
}

// counting is the kind with a table of its own.
const counting = "instructions"

func markOf(kind string) string {
	if kind == counting {
		return "go run . -readme " + counting
	}
	return "go run . -readme"
}
