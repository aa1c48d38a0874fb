package main

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"time"
)

// sources measures what a connection costs on a server that has seen few addresses or
// many, and the memory for them. Each client sends a readiness request, which makes it a
// prober, and a handshake that is refused and logged.
func sources(b *bench) ([]row, error) {
	const n = 500
	numbers := []int{1, 1000, 1_000_000}
	children, memory := make([]*child, len(numbers)), make([]int, len(numbers))
	spent := make([][]float64, len(numbers))
	for i, seen := range numbers {
		c, err := b.start(server{Framework: "nethttp", Variant: quiet})
		if err != nil {
			return nil, err
		}
		defer c.stop()
		children[i] = c
		before, err := c.ask("memory")
		if err != nil {
			return nil, err
		}
		if seen = b.few(seen); seen < 1000 { // all servers do the same
			err = connects(func(int) error { return c.visit(0) }).run(b.few(1000))
		}
		if err == nil {
			err = connects(c.visit).run(seen)
		}
		if err != nil {
			return nil, err
		}
		after, err := c.ask("memory")
		if err != nil {
			return nil, err
		}
		memory[i] = after - before
	}
	for turn := range b.rounds + 1 { // the first turn is a warm-up
		for _, i := range rand.Perm(len(numbers)) {
			c, seen := children[i], b.few(numbers[i])
			cpu, err := c.during(func() error {
				return connects(func(int) error { return c.visit(rand.IntN(seen)) }).run(b.few(n))
			})
			if err != nil {
				return nil, err
			}
			if turn > 0 {
				spent[i] = append(spent[i], float64(cpu)/float64(b.few(n)))
			}
		}
	}
	var rows []row
	for i := range numbers[1:] {
		i++
		r := ratios(spent[i], spent[0])
		rows = append(rows, row{
			what: fmt.Sprintf("connection of one of %d addresses, CPU of the server, compared with a server that has seen 1", numbers[i]), on: "nethttp", with: "Listener, Attach",
			base: spread(spent[0], span), got: fmt.Sprintf("%s, and %d KiB more in use", spread(r, ratio), (memory[i]-memory[0])>>10),
			target: "≤ 1.3", met: median(r) <= 1.3, unclear: holds(r, 1.3),
		})
	}
	return rows, nil
}

const badHandshake = "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Key: c2hvcnQ=\r\nSec-WebSocket-Version: 13\r\n\r\n"

// visit makes one connection from the i-th address.
func (c *child) visit(i int) error {
	nc, err := c.dialFrom(i)
	if err != nil {
		return err
	}
	defer func() { _ = nc.Close() }()
	_ = nc.(*net.TCPConn).SetLinger(0) // the client has its answers by then
	_ = nc.SetDeadline(time.Now().Add(patience))
	answers := bufio.NewReaderSize(nc, 512)
	if _, err := exchange(nc, answers, kubelet); err != nil {
		return err
	}
	status, err := exchange(nc, answers, badHandshake)
	if err == nil && status != 400 {
		err = fmt.Errorf("a bad handshake is answered %d", status)
	}
	return err
}
