package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// row is a line of the first table: sessions under load, and a SIGTERM.
type row struct {
	server
	sessions, goodbyes, intact, nothingAfter, answered, byFIN int
	fragments                                                 bool // some came
	drain, bare                                               time.Duration
	problems                                                  []string
}

// goodbyeCode is the close code of a drain.
const goodbyeCode = 1001

// slack is what a drain may take beyond the spread and the bare server's end.
const slack = 500 * time.Millisecond

// spread is how long the goodbyes of n sessions take by default: 100 a second at
// least, and a quarter of nine seconds at most.
func spread(n int) time.Duration {
	return min(time.Duration(n)*10*time.Millisecond, 9*time.Second/4)
}

// paced is s with messages as slow as n sessions need on a small machine.
func (s server) paced(n int) server {
	s.pace = max(200*time.Millisecond, time.Duration(n)*4*time.Millisecond)
	if s.deflate {
		s.pace *= 2
	}
	s.every = max(8, n/25)
	return s
}

func (s server) String() string {
	port := "plain"
	if s.tls {
		port = "TLS"
	}
	deflate := ""
	if s.deflate {
		deflate = ", deflate"
	}
	return fmt.Sprintf("%s on %s, %s, %s%s", s.library.name, s.framework, s.setup, port, deflate)
}

// run has n sessions on s, and terminates it in the middle.
func (s server) run(n int) (r row) {
	s = s.paced(n)
	r = row{server: s, sessions: n}
	c, err := s.start()
	if err != nil {
		r.problem("%v", err)
		return r
	}
	if s.library.npm {
		r.npm(c)
		return r
	}
	visits := make([]visit, n)
	warm := make(chan struct{}, n)
	var wait sync.WaitGroup
	dialing := make(chan struct{}, 32)
	for i := range visits {
		wait.Go(func() {
			dialing <- struct{}{}
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			conn, err := c.dial(ctx)
			cancel()
			<-dialing
			if err != nil {
				visits[i] = visit{end: never, fault: err}
				warm <- struct{}{}
				return
			}
			visits[i] = newClient(i, s, conn, func() { warm <- struct{}{} }).run()
		})
	}
	r.waitWarm(warm, n)
	r.drain, err = c.terminate()
	if err != nil {
		r.problem("%v", err)
		c.kill()
	}
	wait.Wait()
	r.count(visits)
	if s.setup != bare {
		r.answered = int(number(c.drained()["answered"]))
	}
	return r
}

// waitWarm waits until messages have gone both ways in all sessions.
func (r *row) waitWarm(warm <-chan struct{}, n int) {
	late := time.After(patience + time.Duration(n)*50*time.Millisecond)
	for i := range n {
		select {
		case <-warm:
		case <-late:
			r.problem("of %d sessions only %d were under load", n, i)
			return
		}
	}
}

func number(v any) float64 {
	f, _ := v.(float64)
	return f
}

func (r *row) count(visits []visit) {
	faults := make(map[string]int)
	for _, v := range visits {
		if v.code == goodbyeCode {
			r.goodbyes++
		}
		if v.fault == nil || v.after {
			r.intact++
		}
		if !v.after {
			r.nothingAfter++
		}
		if v.end == byFIN {
			r.byFIN++
		}
		r.fragments = r.fragments || v.fragments
		if v.fault != nil {
			faults[v.fault.Error()]++
		}
	}
	common := slices.SortedFunc(maps.Keys(faults), func(a, b string) int {
		return cmp.Or(faults[b]-faults[a], strings.Compare(a, b))
	})
	for i, what := range common {
		if i == 3 {
			r.problem("and %d others", len(common)-i)
			break
		}
		r.problem("%d × %s", faults[what], what)
	}
}

func (r *row) problem(format string, args ...any) {
	r.problems = append(r.problems, fmt.Sprintf(format, args...))
}

// judge adds what is not as expected.
func (r *row) judge(e expectation) {
	if r.setup == bare {
		return
	}
	for _, what := range []struct {
		name string
		n    int
		ask  bool
	}{
		{"intact", r.intact, true},
		{"without anything after the close frame", r.nothingAfter, true},
		{"with 1001", r.goodbyes, e == goodbye},
		{"answered, by the guard's count", r.answered, e == goodbye},
		{"ended by FIN", r.byFIN, e == goodbye},
	} {
		if r.library.npm && what.name != "with 1001" && !strings.HasPrefix(what.name, "answered") {
			continue // its socket is not ours to look at
		}
		if what.ask && what.n != r.sessions {
			r.problem("%s: %d of %d", what.name, what.n, r.sessions)
		}
	}
	if limit := r.bare + spread(r.sessions) + slack; e == goodbye && r.drain > limit {
		r.problem("the drain takes %v, more than %v", r.drain.Round(time.Millisecond), limit.Round(time.Millisecond))
	}
}

// expectation is what is asked of every row.
type expectation string

const (
	goodbye expectation = "goodbye" // all of it
	intact  expectation = "intact"  // no corrupt frame, nothing after the close frame
)

// err is what was wrong with a row, nil if nothing was.
func (r *row) err() error {
	if len(r.problems) == 0 {
		return nil
	}
	return errors.New(r.server.String() + ": " + strings.Join(r.problems, "; "))
}
