// Command libraries proves that each session gets its goodbye at a drain, whatever
// WebSocket library the application has, without a line in it: a table of
// libraries, frameworks and set-ups, each a server of its own under load that gets
// a SIGTERM, and the strictest of clients.
//
//	go run . [flags]
//
// It fails when a client got no 1001, a corrupt frame, or anything after the close
// frame, when one was not answered, or when a drain took longer than the bare
// server's end and the spread. A second table has how sessions end otherwise.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "server" {
		if err := serve(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	var b bench
	flag.BoolVar(&b.quick, "quick", false, "each library on net/http, and each server with two, with 50 sessions: what CI runs")
	flag.BoolVar(&b.readme, "readme", false, "put the tables into README.md")
	flag.IntVar(&b.sessions, "sessions", 0, "how many `sessions` each server has; 0: 200, or 50 with -quick")
	only := flag.String("only", "", "only the rows which this `regexp` matches, as they are named on standard error")
	expect := flag.String("expect", string(goodbye), "what must hold, or the program fails: `goodbye`, or \"intact\" for no corrupt frame alone")
	flag.BoolVar(&b.noEnds, "drains", false, "the drains alone, without the second table")
	flag.Parse()
	b.expect = expectation(*expect)
	if err := b.run(*only); err != nil {
		fmt.Fprintln(os.Stderr, "failed:", err)
		os.Exit(1)
	}
}

// bench is what to run.
type bench struct {
	quick, readme, noEnds bool
	sessions              int
	expect                expectation
	bares                 map[server]time.Duration // how long they took to end
}

func (b *bench) run(only string) error {
	match, err := regexp.Compile(only)
	switch {
	case err != nil:
		return err
	case b.expect != goodbye && b.expect != intact:
		return fmt.Errorf("-expect %s", b.expect)
	case b.readme && only != "":
		return errors.New("-readme is for a whole table")
	}
	plan := wholePlan()
	if b.quick {
		plan = quickPlan()
	}
	plan = slices.DeleteFunc(plan, func(s server) bool { return !match.MatchString(s.String()) })
	if b.sessions == 0 {
		b.sessions = map[bool]int{true: 50, false: 200}[b.quick]
	}
	if slices.ContainsFunc(plan, func(s server) bool { return s.library.npm }) {
		defer removeNPM()
	}
	b.bares = make(map[server]time.Duration)
	began := time.Now()
	var text strings.Builder
	var errs []error
	show := func(line string, err error) {
		fmt.Print(line)
		text.WriteString(line)
		errs = append(errs, err)
	}
	show(caption()+heading, nil)
	for _, s := range plan {
		r := b.row(s)
		show(r.String(), r.err())
	}
	if !b.noEnds {
		show("\n"+endHeading(), nil)
		for _, l := range libraries {
			if match.MatchString(l.name) && !l.npm {
				r := l.ends()
				if b.expect == intact {
					r.problems = nil
				}
				show(r.String(), r.err())
			}
		}
	}
	fmt.Fprintf(os.Stderr, "%v\n", time.Since(began).Round(time.Second))
	if b.readme {
		errs = append(errs, writeReadme(text.String()))
	}
	return errors.Join(errs...)
}

// row runs a row, and what it is compared with.
func (b *bench) row(s server) row {
	without := s
	without.setup = bare
	took, ok := b.bares[without]
	var problems []string
	if !ok {
		r := without.run(b.sessions)
		took = r.drain
		b.bares[without] = took
		if len(r.problems) > 0 {
			problems = []string{fmt.Sprintf("the bare server: %q", r.problems)}
		}
	}
	r := s.run(b.sessions)
	r.bare = took
	r.problems = append(r.problems, problems...)
	r.judge(b.expect)
	if err := r.err(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return r
}
