package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/quietws/quietws/core/probetest"
)

// drain measures the cost of ending sessions all at once, for growing numbers of them.
func drain(b *bench) (rows []row, err error) {
	numbers := []int{1250, 2500, 5000, 10_000}
	for _, f := range websockets {
		cpu, took := make([][]float64, len(numbers)), make([][]float64, len(numbers))
		for range min(b.rounds, 6) {
			for i, n := range numbers {
				n = b.few(n)
				spent, last, err := b.drained(f, n)
				if err != nil {
					return rows, fmt.Errorf("%s, %d sessions: %w", f, n, err)
				}
				cpu[i], took[i] = append(cpu[i], float64(spent)/float64(n)), append(took[i], float64(last))
			}
		}
		for i, n := range numbers[1:] {
			i++
			r := ratios(cpu[i], cpu[0])
			rows = append(rows, row{
				what: fmt.Sprintf("drain of %d sessions at once, CPU of the server for each, compared with %d", n, numbers[0]), on: f, with: "Listener, Attach, Handler",
				base: spread(cpu[0], span), got: spread(r, ratio) + "; all closed with 1001, the last after " + spread(took[i], span),
				target: "linear, ≤ 1.3; all closed", met: median(r) <= 1.3, unclear: holds(r, 1.3),
			})
		}
	}
	return rows, nil
}

// drained opens n sessions and ends the server. It returns the CPU time of that, and
// when the last session got its close frame.
func (b *bench) drained(framework string, n int) (cpu, last time.Duration, err error) {
	c, err := b.start(server{Framework: framework, Variant: promptly})
	if err != nil {
		return 0, 0, err
	}
	defer c.stop()
	all := make(crowd, 0, n)
	defer func() { all.close() }()
	if all, err = c.sessions(all, n, 64); err != nil {
		return 0, 0, err
	}
	closed := make(chan error, n)
	var wg sync.WaitGroup
	for _, a := range all {
		_ = a.conn.SetDeadline(time.Now().Add(patience))
		wg.Go(func() { closed <- a.farewell() })
	}
	begun := time.Now()
	over := make(chan time.Time, 1)
	go func() {
		wg.Wait()
		over <- time.Now()
	}()
	if cpu, err = c.terminate(); err != nil {
		return 0, 0, err
	}
	last = (<-over).Sub(begun)
	close(closed)
	for failed := range closed {
		err = errors.Join(err, failed)
	}
	return cpu, last, err
}

// farewell waits for a close frame with 1001 and answers it.
func (a *asker) farewell() error {
	going := probetest.CloseFrame(1001, "").Bytes()
	var frame [4]byte // unmasked: two bytes and the code
	if _, err := io.ReadFull(bufio.NewReaderSize(a.conn, 16), frame[:]); err != nil {
		return err
	}
	if frame != [4]byte{going[0], 2, 1001 >> 8, 1001 & 0xff} {
		return fmt.Errorf("closed with %x", frame)
	}
	_, err := a.conn.Write(going)
	return err
}
