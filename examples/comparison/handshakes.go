package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quietws/quietws/core/probetest"
)

// upgrade is a handshake, RFC 6455 §1.3.
const upgrade = "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"

// websockets are the frameworks with an adapter.
var websockets = []string{"echo", "gin", "fiber"}

func handshakes(b *bench) (rows []row, err error) {
	for _, f := range websockets {
		more, err := b.rowsOf(trial{
			servers: ordinary(f, quiet, handled), n: 500,
			open: func(_ *bench, c *child) (load, error) { return connects(c.session), nil },
		}, "handshake and close, CPU of the server", f, 1.05)
		rows = append(rows, more...)
		if err != nil {
			return rows, err
		}
	}
	return rows, nil
}

// connects is a load of separate connections.
type connects func(i int) error

// workers is the number of connections at a time.
const workers = 16

// run makes n connections, with many workers.
func (do connects) run(n int) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	failed := make(chan error, workers)
	for range workers {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := do(i); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(failed)
	return <-failed
}

func (connects) close() {}

var goodbye = probetest.CloseFrame(1000, "").Bytes()

// session opens and closes a session, with the closing handshake of RFC 6455 §7.1.2.
func (c *child) session(i int) error {
	nc, err := c.dialFrom(i % workers)
	if err != nil {
		return err
	}
	defer func() { _ = nc.Close() }()
	_ = nc.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(nc, upgrade); err != nil {
		return err
	}
	answers := bufio.NewReaderSize(nc, 512)
	if err := upgraded(answers); err != nil {
		return err
	}
	if _, err := nc.Write(goodbye); err != nil {
		return err
	}
	rest, err := io.ReadAll(answers)
	if err == nil && (len(rest) == 0 || rest[0] != goodbye[0]) {
		err = errors.New("no close frame")
	}
	return err
}

// upgraded reads the answer to a handshake.
func upgraded(answers *bufio.Reader) error {
	res, err := http.ReadResponse(answers, nil)
	if err == nil && res.StatusCode != http.StatusSwitchingProtocols {
		err = fmt.Errorf("the handshake was answered %s", res.Status)
	}
	return err
}
