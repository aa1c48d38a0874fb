package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/quietws/quietws/core/probetest"
)

// sessionsAtOnce is the number of sessions that send messages at once.
const sessionsAtOnce = 1000

func messages(b *bench) (rows []row, err error) {
	for _, f := range websockets {
		for _, size := range []struct {
			name     string
			bytes, n int
		}{{"64 B", 64, 2000}, {"64 KiB", 64 << 10, 200}} {
			for _, sessions := range []int{1, sessionsAtOnce} {
				more, err := b.rowsOf(trial{
					servers: ordinary(f, quiet, handled), n: size.n,
					open: func(b *bench, c *child) (load, error) { return c.sessions(nil, b.few(sessions), size.bytes) },
				}, fmt.Sprintf("message of %s echoed, %d sessions, CPU of the server", size.name, sessions), f, 1.02)
				rows = append(rows, more...)
				if err != nil {
					return rows, err
				}
			}
		}
		more, err := b.memory(f)
		rows = append(rows, more...)
		if err != nil {
			return rows, err
		}
	}
	return rows, nil
}

// sessions opens n more sessions. Each has echoed a message.
func (c *child) sessions(all crowd, n, size int) (crowd, error) {
	frame := probetest.Frame{Opcode: probetest.OpBinary, Payload: make([]byte, size)}.Bytes()
	// The answer is not masked (RFC 6455 §5.1), and so is shorter by the masking key.
	answer := len(frame) - 4
	for i := range n {
		nc, err := c.dialFrom(i % workers)
		if err != nil {
			return nil, err
		}
		_ = nc.SetDeadline(time.Now().Add(patience))
		if _, err := io.WriteString(nc, upgrade); err != nil {
			return nil, err
		}
		answers := bufio.NewReaderSize(nc, 512)
		if err := upgraded(answers); err != nil {
			return nil, err
		}
		if answers.Buffered() > 0 {
			return nil, errors.New("the server sent data first")
		}
		a := &asker{conn: nc, ask: frame, answer: answer, begins: string(frame[:1]), buf: make([]byte, min(answer, 16<<10))}
		if err := a.once(); err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	return all, nil
}

// memory measures the heap and stack of an idle session.
func (b *bench) memory(framework string) ([]row, error) {
	servers := ordinary(framework, quiet, handled)
	kept := make([][]float64, len(servers))
	for range b.rounds {
		for i, s := range servers {
			bytes, err := b.kept(s)
			if err != nil {
				return nil, fmt.Errorf("memory of %v: %w", s, err)
			}
			kept[i] = append(kept[i], bytes)
		}
	}
	var rows []row
	for i, s := range servers[2:] {
		limit := map[string]float64{quiet: 256, handled: 512}[s.Variant]
		more := differences(kept[i+2], kept[0])
		rows = append(rows, row{
			what: "memory of an idle session, bytes", on: framework, with: with[s.Variant],
			base: spread(kept[0], plain), got: spread(more, plain) + " more", again: spread(differences(kept[1], kept[0]), plain) + " more",
			target: fmt.Sprintf("≤ %.0f more", limit), met: median(more) <= limit, unclear: holds(more, limit),
		})
	}
	return rows, nil
}

func (b *bench) kept(s server) (float64, error) {
	c, err := b.start(s)
	if err != nil {
		return 0, err
	}
	defer c.stop()
	all, err := c.sessions(nil, b.few(sessionsAtOnce)/10+1, 64) // one-time allocations
	if err != nil {
		return 0, err
	}
	defer func() { all.close() }()
	before, err := c.ask("memory")
	if err != nil {
		return 0, err
	}
	n := b.few(sessionsAtOnce)
	if all, err = c.sessions(all, n, 64); err != nil {
		return 0, err
	}
	after, err := c.ask("memory")
	return float64(after-before) / float64(n), err
}

func differences(of, to []float64) []float64 {
	all := make([]float64, len(of))
	for i := range of {
		all[i] = of[i] - to[i]
	}
	return all
}
