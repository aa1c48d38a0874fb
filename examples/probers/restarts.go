package main

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

const (
	rollings    = 10 // restarts, one server after the other
	connectRate = 50 * time.Millisecond
)

// restarts restarts two servers behind HAProxy one after the other, while clients
// connect all the time: none of them may be turned away.
func restarts(b *bench) error {
	say("%-8s %-26s %-10s %9s %10s %7s %9s\n", "server", "check", "drain", "restarts", "handshakes", "failed", "took")
	var errs error
	for _, row := range []struct{ check, drain string }{
		{"check", "20s"},
		{"check inter 500ms fall 1", "9s"},
	} {
		for _, name := range b.servers {
			if err := b.restartsOne(name, row.check, row.drain); err != nil {
				errs = errors.Join(errs, fmt.Errorf("%s, %s, -drain %s: %w", name, row.check, row.drain, err))
			}
		}
	}
	return errs
}

func (b *bench) restartsOne(name, check, drain string) (err error) {
	names := []string{"a", "b"}
	addrs, err := freeAddrs(len(names) + 1)
	if err != nil {
		return err
	}
	front := &server{name: "haproxy", addr: addrs[len(names)]}
	config := "listen all\n  mode http\n  bind " + front.addr + "\n  option httpchk GET /readyz\n"
	running := make(map[string]*server)
	for i, at := range names {
		config += "  server " + at + " " + addrs[i] + " " + check + "\n"
		if running[at], err = b.start(name, addrs[i], false, "-drain", drain); err != nil {
			return err
		}
		defer func() { running[at].kill() }()
	}
	proxy, err := b.startHAProxy(config)
	if err != nil {
		return err
	}
	defer proxy.kill()
	for _, at := range names {
		if err := proxy.await("all", at, "UP"); err != nil {
			return err
		}
	}

	start := time.Now()
	stop := make(chan struct{})
	result := make(chan connects, 1)
	go func() { result <- steadily(front, stop) }()
	err = func() error {
		for i := range rollings {
			at := names[i%len(names)]
			old := running[at]
			old.terminate()
			if status, err := old.wait(patience); err != nil || status != 0 {
				return fmt.Errorf("exit status %d: %w", status, err)
			}
			// HAProxy has to see it go, or what it says next is still of the old one.
			if err := proxy.await("all", at, "DOWN"); err != nil {
				return err
			}
			fresh, err := b.start(name, old.addr, false, "-drain", drain)
			if err != nil {
				return err
			}
			running[at] = fresh
			if err := proxy.await("all", at, "UP"); err != nil {
				return err
			}
		}
		return nil
	}()
	close(stop)
	r := <-result
	say("%-8s %-26s %-10s %9d %10d %7d %9s\n", name, check, drain, rollings, r.made, r.failed, round(time.Since(start)))
	if r.failed > 0 {
		err = errors.Join(err, fmt.Errorf("%d of %d handshakes failed, the first with %w", r.failed, r.made, r.first))
	}
	return err
}

// connects is how clients fared.
type connects struct {
	made, failed int64
	first        error
}

// steadily opens a session at a steady rate, whether or not the one before is
// through, says something on it, and closes it.
func steadily(s *server, stop <-chan struct{}) connects {
	var made, failed atomic.Int64
	var first atomic.Pointer[error]
	var all sync.WaitGroup
	tick := time.NewTicker(connectRate)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			all.Wait()
			r := connects{made: made.Load(), failed: failed.Load()}
			if err := first.Load(); err != nil {
				r.first = *err
			}
			return r
		case <-tick.C:
		}
		all.Go(func() {
			made.Add(1)
			ws, res, err := s.dial()
			if err != nil {
				if res != nil {
					err = fmt.Errorf("status %d: %w", res.StatusCode, err)
				}
				failed.Add(1)
				first.CompareAndSwap(nil, &err)
				return
			}
			_ = ws.WriteMessage(websocket.TextMessage, []byte("hello"))
			_, _, _ = ws.ReadMessage()
			_ = ws.Close()
		})
	}
}
