package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// load is a number of requests to a server, from clients that are already connected.
type load interface {
	// run sends n of them, and returns when the server has finished.
	run(n int) error
	close()
}

// trial compares servers by the CPU time that they use for the same load.
type trial struct {
	// servers are the servers to compare. The others are compared with the first; the
	// second is the same as the first, to show the noise.
	servers []server
	open    func(*bench, *child) (load, error)
	n       int // load of each turn
}

// turns is how many times each server gets its load in a round. More rounds help more
// than more turns: two processes of one program differ more than one from itself.
const turns = 3

// compare returns the CPU time of each server for one unit of load, by round. Each round
// has new processes.
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
	for turn := -1; turn < each; turn++ { // the first turn is a warm-up
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
	// Each turn is compared by itself: other work on the machine comes in bursts, and
	// the median removes them.
	for i := range cpu {
		spent = append(spent, median(cpu[0])*median(ratios(cpu[i], cpu[0])))
	}
	return spent, nil
}

// during returns the CPU time that a child uses while do runs.
func (c *child) during(do func() error) (time.Duration, error) {
	before, err := c.cpu()
	if err != nil {
		return 0, err
	}
	failed := do()
	after, err := c.cpu()
	return after - before, errors.Join(failed, err)
}

// ratios returns the ratios of samples that were taken in pairs.
func ratios(of, to []float64) []float64 {
	all := make([]float64, len(of))
	for i := range of {
		all[i] = of[i] / to[i]
	}
	return all
}

// ordinary returns the servers of a framework: bare, bare again, and variants.
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

// with is the name of a variant in the table.
var with = map[string]string{quiet: "Listener, Attach, Endpoint", handled: "Listener, Attach, Handler", fibers: "Fiber's healthcheck",
	named: "Listener, Attach, the route named"}
