package main

import (
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"time"
)

// fewDescriptors is how many files the server may have open.
const fewDescriptors = 64

// descriptors connects until the server has no file descriptor left. The server goes on
// serving its connections, logs the shortage once, and accepts again when it can.
func (b *bench) descriptors(name string) error {
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
	kept, res, err := s.dial()
	if err != nil {
		return err
	}
	_ = res.Body.Close()
	defer func() { _ = kept.Close() }()
	limit := fmt.Sprintf("--nofile=%d:%[1]d", fewDescriptors)
	if out, err := exec.Command("prlimit", "--pid", strconv.Itoa(s.cmd.Process.Pid), limit).CombinedOutput(); err != nil {
		return fmt.Errorf("prlimit: %w: %s", err, out)
	}
	var open []net.Conn
	defer func() {
		for _, nc := range open {
			_ = nc.Close()
		}
	}()
	for range 3 * fewDescriptors {
		nc, err := net.DialTimeout("tcp", s.addr, patience)
		if err != nil {
			return err
		}
		open = append(open, nc)
	}
	const metric = "quietws_accept_errors_total"
	var c counters
	for end := time.Now().Add(patience); ; <-time.After(50 * time.Millisecond) {
		if c, err = scrape.get(); err != nil {
			return err
		}
		if c[metric] >= 3 {
			break
		}
		if time.Now().After(end) {
			return errors.New("the server never ran out of them")
		}
	}
	if err := echo(kept, "still here"); err != nil {
		return fmt.Errorf("the session that was open: %w", err)
	}
	for _, nc := range open {
		_ = nc.Close()
	}
	v := &visitor{s: s}
	if err := v.once(); err != nil {
		return fmt.Errorf("a session afterwards: %w", err)
	}
	if c, err = scrape.settle(2); err != nil {
		return err
	}
	lines, err := s.entries()
	if err != nil {
		return err
	}
	shortages := 0
	for _, e := range lines {
		if e.Level == "ERROR" && e.Msg == "cannot accept connections, retrying" {
			shortages++
		}
	}
	say("%-8s %-14s %11d %8v errors of accept, %d line\n", name, "descriptors", 3*fewDescriptors, c[metric], shortages)
	if shortages != 1 {
		return fmt.Errorf("logged %d times, want once: %s", shortages, s.log)
	}
	return c.adds()
}
