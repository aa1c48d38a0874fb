package main

import (
	"bufio"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

// callers sends readiness requests from 100 clients every 50 ms, while a check takes as
// long; it runs once a second if the library supports that.
func callers(b *bench) (rows []row, err error) {
	const check = 50 * time.Millisecond
	servers := []server{{Framework: "nethttp", Variant: bare}, {Framework: "nethttp", Variant: bare}, {Framework: "nethttp", Variant: quiet, Check: check}}
	names := []string{"", "", "quietws"}
	for _, p := range healthLibraries {
		servers = append(servers, server{Framework: p.name, Variant: bare, Check: check})
		names = append(names, p.module)
	}
	p99, runs := make([][]float64, len(servers)), make([][]float64, len(servers))
	for range min(b.rounds, 6) { // a round takes as long as its slowest library
		for i, s := range servers {
			late, ran, err := b.call(s)
			if err != nil {
				return rows, fmt.Errorf("%v: %w", s, err)
			}
			p99[i], runs[i] = append(p99[i], float64(late)), append(runs[i], ran)
		}
	}
	for i := range servers[2:] {
		i += 2
		rows = append(rows, row{
			what: "100 callers while a check takes 50 ms, p99 of readiness, and how often a check runs in a second", with: names[i],
			base: spread(p99[0], span), got: spread(p99[i], span) + ", " + spread(runs[i], plain) + " times", again: spread(p99[1], span),
		})
	}
	rows[0].target, rows[0].met = "< 1 ms, once", median(p99[2]) < float64(time.Millisecond) && median(runs[2]) < 1.5
	return rows, nil
}

// call returns the 99th percentile, and how often each check ran in a second.
func (b *bench) call(s server) (late time.Duration, ran float64, err error) {
	const pause, while = 50 * time.Millisecond, time.Second
	c, err := b.start(s)
	if err != nil {
		return 0, 0, err
	}
	defer c.stop()
	all, err := c.requests(b.few(100), kubelet)
	if err != nil {
		return 0, 0, err
	}
	defer all.close()
	before, err := c.ask("checks")
	if err != nil {
		return 0, 0, err
	}
	var mu sync.Mutex
	var took []time.Duration
	var failed error
	var wg sync.WaitGroup
	begun := time.Now()
	for i, a := range all {
		wg.Go(func() {
			_ = a.conn.SetDeadline(begun.Add(patience))
			answers := bufio.NewReader(a.conn)                               // they differ in length, because some have the time in them
			<-time.After(pause * time.Duration(i) / time.Duration(len(all))) // not all at once
			tick := time.NewTicker(pause)
			defer tick.Stop()
			for time.Since(begun) < while {
				asked := time.Now()
				status, err := exchange(a.conn, answers, kubelet)
				if err == nil && status != http.StatusOK {
					err = fmt.Errorf("answered %d", status)
				}
				mu.Lock()
				took = append(took, time.Since(asked))
				failed = errors.Join(failed, err)
				mu.Unlock()
				if err != nil {
					return
				}
				<-tick.C
			}
		})
	}
	wg.Wait()
	whole := time.Since(begun)
	after, err := c.ask("checks")
	if err := errors.Join(failed, err); err != nil {
		return 0, 0, err
	}
	slices.Sort(took)
	return percentile(took, 99), float64(after-before) / float64(len(checkNames)) / whole.Seconds(), nil
}
