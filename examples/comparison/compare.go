package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// load is what a server is asked for, by clients that are there already.
type load interface {
	// run does it n times, and returns when the server is through with it.
	run(n int) error
	close()
}

// trial compares servers by the CPU time that they have for the same load.
type trial struct {
	// servers are them. The first is what the others are compared with; the
	// second is the same again, which says how much chance there is in it.
	servers []server
	open    func(*bench, *child) (load, error)
	n       int // how much load at a time
}

// turns is how many times each server has its load in a round. More rounds say more
// than more turns: two processes of one program differ more than one from itself.
const turns = 3

// compare returns the CPU time of each server for one of its load, by rounds,
// each of which has processes of its own.
func (b *bench) compare(t trial) ([][]float64, error) {
	spent := make([][]float64, len(t.servers))
	for range b.rounds {
		round, err := b.round(t)
		if err != nil {
			return nil, err
		}
		for i, cpu := range round {
			spent[i] = append(spent[i], cpu)
		}
	}
	return spent, nil
}

func (b *bench) round(t trial) (spent []float64, err error) {
	children, loads := make([]*child, len(t.servers)), make([]load, len(t.servers))
	for i, s := range t.servers {
		if children[i], err = b.start(s); err != nil {
			return nil, err
		}
		defer children[i].stop()
		if loads[i], err = t.open(b, children[i]); err != nil {
			return nil, fmt.Errorf("%v: %w", s, err)
		}
		defer loads[i].close()
	}
	n, each := b.few(t.n), turns
	if b.quick {
		each = 1
	}
	cpu := make([][]float64, len(t.servers))
	for turn := -1; turn < each; turn++ { // the first makes what is made once
		for _, i := range rand.Perm(len(t.servers)) {
			took, err := children[i].during(func() error { return loads[i].run(n) })
			if err != nil {
				return nil, fmt.Errorf("%v: %w", t.servers[i], err)
			}
			if turn >= 0 {
				cpu[i] = append(cpu[i], float64(took)/float64(n))
			}
		}
	}
	// Each turn is compared by itself: what else the machine does comes in bursts,
	// of which the median knows nothing.
	for i := range cpu {
		spent = append(spent, median(cpu[0])*median(ratios(cpu[i], cpu[0])))
	}
	return spent, nil
}

// during is the CPU time that a child has while do runs.
func (c *child) during(do func() error) (time.Duration, error) {
	before, err := c.cpu()
	if err != nil {
		return 0, err
	}
	failed := do()
	after, err := c.cpu()
	return after - before, errors.Join(failed, err)
}

// ratios are those of samples that were taken in pairs.
func ratios(of, to []float64) []float64 {
	all := make([]float64, len(of))
	for i := range of {
		all[i] = of[i] / to[i]
	}
	return all
}

// ordinary are the servers of a framework: bare, bare again, and more.
func ordinary(framework string, more ...string) []server {
	all := []server{{Framework: framework, Variant: bare}, {Framework: framework, Variant: bare}}
	for _, variant := range more {
		all = append(all, server{Framework: framework, Variant: variant})
	}
	return all
}

// rowsOf makes a row for each server after the second.
func (b *bench) rowsOf(t trial, what, on string, limit float64) ([]row, error) {
	spent, err := b.compare(t)
	if err != nil {
		return nil, fmt.Errorf("%s, %s: %w", what, on, err)
	}
	var rows []row
	for i, s := range t.servers[2:] {
		rows = append(rows, ratioRow(what, on, with[s.Variant], spent[0], spent[1], spent[i+2], limit))
	}
	return rows, nil
}

// with is what a variant is called in the table.
var with = map[string]string{quiet: "Listener, Attach, Endpoint", handled: "Listener, Attach, Handler", fibers: "Fiber's healthcheck",
	named: "Listener, Attach, the route named"}
