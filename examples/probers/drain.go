package main

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// drainTimeout is the example servers' default.
const drainTimeout = 9 * time.Second

// drain opens thousands of sessions and ends the server: each client gets a close frame,
// readiness fails before the first of them, and the server ends in time.
func drain(b *bench) error {
	say("%-8s %9s %6s %6s %15s %12s %12s %8s %5s\n", "server", "sessions", "1001", "1006", "readiness 503", "first close", "last close", "exit", "")
	var errs error
	for _, name := range b.servers {
		if err := b.drainOne(name); err != nil {
			errs = errors.Join(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	return errs
}

func (b *bench) drainOne(name string) error {
	s, err := b.start(name, "", false)
	if err != nil {
		return err
	}
	defer s.kill()
	all, err := openSessions(s, b.sessions)
	if err != nil {
		return err
	}
	// A prober like a platform's, twice a second.
	unready := make(chan time.Time, 1)
	stop := make(chan struct{})
	go func() {
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		for {
			if status, _ := s.get(client, "/readyz"); status == http.StatusServiceUnavailable {
				select {
				case unready <- time.Now():
				default:
				}
			}
			select {
			case <-tick.C:
			case <-stop:
				return
			}
		}
	}()
	defer close(stop)
	<-time.After(2 * time.Second) // it is known as a prober then

	start := time.Now()
	s.terminate()
	status, err := s.wait(patience)
	if err != nil {
		return err
	}
	failed := all.dismissed(b.sessions)
	var noticed time.Duration
	select {
	case at := <-unready:
		noticed = at.Sub(start)
	default:
		failed = errors.Join(failed, errors.New("readiness was never 503"))
	}
	first, last, gone := all.first.Sub(start), all.last.Sub(start), s.at.Sub(start)
	say("%-8s %9d %6d %6d %15s %12s %12s %8s %5d\n", name, b.sessions, all.codes[1001]+all.codes[1012], all.codes[1006],
		round(noticed), round(first), round(last), round(gone), status)
	switch {
	case failed != nil:
		return failed
	case status != 0:
		return fmt.Errorf("exit status %d: %s", status, s.log)
	case noticed > first:
		return fmt.Errorf("the first close came at %v, before readiness was 503 at %v", first, noticed)
	case gone > drainTimeout:
		return fmt.Errorf("took %v to end", gone)
	}
	return nil
}

func round(d time.Duration) string { return d.Round(10 * time.Millisecond).String() }

// kill is an impatient platform.
func kill(b *bench) error {
	const n, grace = 1000, 5 * time.Second
	say("%-8s %9s %6s %6s %12s\n", "server", "sessions", "1001", "1006", "last close")
	var errs error
	for _, name := range b.servers {
		err := func() error {
			s, err := b.start(name, "", false)
			if err != nil {
				return err
			}
			defer s.kill()
			all, err := openSessions(s, n)
			if err != nil {
				return err
			}
			start := time.Now()
			s.terminate()
			select {
			case <-time.After(grace):
				s.kill()
			case <-s.exited:
			}
			failed := all.dismissed(n)
			say("%-8s %9d %6d %6d %12s\n", name, n, all.codes[1001]+all.codes[1012], all.codes[1006], round(all.last.Sub(start)))
			return failed
		}()
		if err != nil {
			errs = errors.Join(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	return errs
}
