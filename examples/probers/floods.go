package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quietws/quietws/core/probetest"
)

// A flood is a large number of connections.
type flood struct {
	name  string
	run   func(*bench, *server) (came int, err error)
	class string // of each
	// memory and perConn limit the growth of the server's memory at its peak, in bytes:
	// in total, and more for each connection.
	memory, perConn int
	// lines is how many lines of any kind it may write.
	lines int
	// messages are the messages of its log lines.
	messages []string
}

var floodsOf = []flood{
	{
		name: "bare connects", run: bareConnects, class: "tcp_probe",
		memory: 40 * mib, lines: 5, messages: []string{"flood of connections without a request", "flood of connections without a request from one source"},
	},
	{
		name: "sources", run: manySources, class: "handshake_refused",
		memory: 40 * mib, lines: 5, messages: []string{"websocket handshake refused"},
	},
	{
		name: "silent", run: silent, class: "idle_connect",
		memory: 40 * mib, perConn: 12 << 10, lines: 7, messages: []string{"connection without a request", "flood of connections without a request"},
	},
	{
		name: "slow heads", run: slowHeads, class: "bad_request",
		memory: 40 * mib, perConn: 12 << 10, lines: 7, messages: []string{"bytes that never became a request"},
	},
}

// floods runs the floods. Memory stays bounded, sessions work meanwhile, and the log
// describes the flood in a few lines.
func floods(b *bench) error {
	say("%-8s %-14s %11s %7s %8s %12s %11s %11s %8s %6s\n", "server", "", "connections", "dropped", "took", "memory", "at worst", "afterwards", "sessions", "lines")
	var errs error
	for _, name := range b.servers {
		for _, f := range floodsOf {
			if err := b.floodOne(name, f); err != nil {
				errs = errors.Join(errs, fmt.Errorf("%s, %s: %w", name, f.name, err))
			}
		}
		if err := b.descriptors(name); err != nil {
			errs = errors.Join(errs, fmt.Errorf("%s, descriptors: %w", name, err))
		}
	}
	return errs
}

func (b *bench) floodOne(name string, f flood) error {
	s, err := b.start(name, "", false)
	if err != nil {
		return err
	}
	defer s.kill()
	scrape, err := s.scraper()
	if err != nil {
		return err
	}
	defer scrape.close()
	visitor, err := s.visit()
	if err != nil {
		return err
	}
	before, err := scrape.get()
	if err != nil {
		return err
	}
	if err := s.forgetPeak(); err != nil {
		return err
	}
	calm, err := s.memory()
	if err != nil {
		return err
	}
	resets, err := embryonicResets()
	if err != nil {
		return err
	}
	start := time.Now()
	came, err := f.run(b, s)
	took := time.Since(start)
	sessions, failed := visitor.over()
	if err := errors.Join(err, failed); err != nil {
		return err
	}
	after, lost, err := scrape.all(came, f.class, before, resets)
	if err != nil {
		return err
	}
	worst, err := s.memory()
	if err != nil {
		return err
	}
	s.terminate()
	if _, err := s.wait(patience); err != nil {
		return err
	}
	all, err := s.entries()
	if err != nil {
		return err
	}
	lines, missing := 0, f.messages
	for _, e := range all {
		if e.Msg != "request" && e.Class != "" || strings.HasPrefix(e.Msg, "flood") || e.Msg == "log lines dropped" {
			lines++
		}
		missing = without(missing, e.Msg)
	}
	say("%-8s %-14s %11d %7d %8s %12s %11s %11s %8d %6d\n", name, f.name, came, came-newlyClosed(after, before)[f.class], round(took),
		megabytes(calm.now), megabytes(worst.peak), megabytes(worst.now), sessions, lines)
	var errs error
	got := newlyClosed(after, before)
	if n := got[f.class]; n > came || n < came-lost {
		errs = errors.Join(errs, fmt.Errorf("%d connections, %d perhaps dropped by the kernel, and %v: want them %s", came, lost, got, f.class))
	}
	delete(got, f.class)
	delete(got, "session")
	delete(got, "http") // slowhttptest asks for a page, too
	if len(got) > 0 {
		errs = errors.Join(errs, fmt.Errorf("there are others: %v", got))
	}
	if grown, limit := worst.peak-calm.now, f.memory+came*f.perConn; grown > limit {
		errs = errors.Join(errs, fmt.Errorf("memory grew by %s, want at most %s", megabytes(grown), megabytes(limit)))
	}
	if lines > f.lines {
		errs = errors.Join(errs, fmt.Errorf("%d lines, want at most %d: %s", lines, f.lines, s.log))
	}
	if len(missing) > 0 {
		errs = errors.Join(errs, fmt.Errorf("not logged: %q", missing))
	}
	return errors.Join(errs, after.adds())
}

func without(all []string, one string) (rest []string) {
	for _, s := range all {
		if s != one {
			rest = append(rest, s)
		}
	}
	return rest
}

// floodWorkers is the number of concurrent connects.
const floodWorkers = 64

// many runs do n times, with that many workers, and returns the first error.
func many(workers, n int, do func(i int) error) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	failed := make(chan error, workers)
	for range workers {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
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

// source returns the i-th address from 127.1.0.0 on. They all belong to this host.
func source(i int) net.IP { return net.IPv4(127, byte(1+i>>16), byte(i>>8), byte(i)) }

// dialFrom connects from the i-th source, so that ports do not run out.
func (s *server) dialFrom(i int) (*net.TCPConn, error) {
	d := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: source(i)}}
	nc, err := d.Dial("tcp", s.addr)
	if err != nil {
		return nil, err
	}
	return nc.(*net.TCPConn), nil
}

// bareConnects connects and closes, from a few addresses, every second time by a
// reset.
func bareConnects(b *bench, s *server) (int, error) {
	return b.connects, many(floodWorkers, b.connects, func(i int) error {
		nc, err := s.dialFrom(i % 16)
		if err != nil {
			return err
		}
		if i%2 == 0 {
			_ = nc.SetLinger(0)
		}
		return nc.Close()
	})
}

// manySources connects from a different address each time. Each client sends a readiness
// request, which makes it a prober, and then a handshake that is refused.
func manySources(b *bench, s *server) (int, error) {
	ready, bad := probetest.Kubelet("/readyz").Without("Connection").Bytes(s.target()), probetest.BadKey("/ws").Bytes(s.target())
	return b.connects, many(floodWorkers, b.connects, func(i int) error {
		nc, err := s.dialFrom(i)
		if err != nil {
			return err
		}
		defer func() { _ = nc.Close() }()
		_ = nc.SetLinger(0) // when it has its answers
		_ = nc.SetDeadline(time.Now().Add(patience))
		answers := bufio.NewReader(nc)
		for _, ask := range [][]byte{ready, bad} {
			if _, err := nc.Write(ask); err != nil {
				return err
			}
			res, err := http.ReadResponse(answers, nil)
			if err != nil {
				return err
			}
			_, _ = io.Copy(io.Discard, res.Body)
		}
		return nil
	})
}

// silent connects and sends no data for longer than a server of net/http waits.
func silent(b *bench, s *server) (int, error) {
	n := b.connects / 10
	open := make([]*net.TCPConn, n)
	if err := many(floodWorkers, n, func(i int) (err error) {
		open[i], err = s.dialFrom(i % 16)
		return err
	}); err != nil {
		return 0, err
	}
	<-time.After(headTimeout)
	for _, nc := range open {
		_ = nc.Close()
	}
	return n, nil
}

// headTimeout is more than Serve's timeout for a head.
const headTimeout = 11 * time.Second

// slowHeads is slowhttptest's: heads that grow by a line from time to time.
func slowHeads(b *bench, s *server) (int, error) {
	if err := need(debian{"slowhttptest", "slowhttptest"}); err != nil {
		return 0, err
	}
	n := b.connects / 100
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, "slowhttptest", "-H", "-c", strconv.Itoa(n), "-r", strconv.Itoa(n), "-i", "5",
		"-l", strconv.Itoa(int(headTimeout.Seconds())), "-u", "http://"+s.addr+"/").CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("slowhttptest: %w\n%s", err, out)
	}
	return n, nil
}
