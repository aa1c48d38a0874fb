package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// soaked is a server that is under load for long, and what was read of it.
type soaked struct {
	*server
	bare     bool
	readings []reading
	failed   error
}

// soak puts every server, plain and TLS, under load for a long time, together with the
// same server without quietws. At every scrape every connection is open or has a class,
// and goroutines and memory do not grow.
func soak(b *bench) error {
	var all []*soaked
	defer func() {
		for _, s := range all {
			s.kill()
		}
	}()
	profiles, err := os.MkdirTemp("", "quietws-soak")
	if err != nil {
		return err
	}
	for _, name := range b.servers {
		for _, overTLS := range []bool{false, true} {
			for _, bare := range []bool{false, true} {
				s, err := b.subject(name, "", overTLS, "-bare="+strconv.FormatBool(bare))
				if err != nil {
					return err
				}
				all = append(all, &soaked{server: s, bare: bare})
			}
		}
	}
	var running sync.WaitGroup
	for _, s := range all {
		running.Go(func() {
			if s.failed = s.load(b.soak, profiles); s.failed != nil {
				s.failed = fmt.Errorf("%s: %w", s, s.failed)
			}
		})
	}
	running.Wait()
	say("%s of load after %s to warm up, %d sessions on each.\n\n", b.soak, b.soak/soakReadings, soakSessions)
	say("%s", soakTable(all))
	var errs error
	for i, s := range all {
		errs = errors.Join(errs, s.failed)
		if s.bare || s.failed != nil || all[i+1].failed != nil {
			continue
		}
		if err := s.flat(all[i+1]); err != nil {
			errs = errors.Join(errs, fmt.Errorf("%s: %w", s, err))
		}
	}
	if errs != nil {
		return fmt.Errorf("%w\nheap profiles are in %s", errs, profiles)
	}
	return os.RemoveAll(profiles)
}

func (s *soaked) String() string {
	words := port(s.name, s.tls)
	if s.bare {
		words += ", bare"
	}
	return words
}

// What may be more at the last reading than at the first.
const (
	// Of goroutines: fasthttp keeps those that it had for connections for ten
	// seconds and more, so as many as there were connections at a time.
	soakGoroutines = soakWorkers
	// Of live objects: so much for all that is bounded and not yet full, and so
	// much for each connection. The guard has 160 bytes for one (README, "Cost"):
	// if one kind of ten left them behind, that would be 16 for each.
	soakSlack, soakPerConn = 256 << 10, 16
)

// flat compares a server with the bare one: growth that the bare server has under the
// same load is not the guard's.
func (s *soaked) flat(bare *soaked) error {
	first, last := s.readings[0], s.readings[len(s.readings)-1]
	var errs error
	if last.Goroutines > first.Goroutines+soakGoroutines {
		errs = errors.Join(errs, fmt.Errorf("%d goroutines, and %d at first", last.Goroutines, first.Goroutines))
	}
	limit := soakSlack + soakPerConn*(last.Made-first.Made)
	if grown, usual := s.grown(), max(bare.grown(), 0); grown-usual > limit {
		errs = errors.Join(errs, fmt.Errorf("live objects grew by %s, those of the bare server by %s: want at most %s more",
			megabytes(grown), megabytes(usual), megabytes(limit)))
	}
	return errs
}

// grown returns by how many bytes its live objects grew.
func (s *soaked) grown() int { return s.readings[len(s.readings)-1].Live - s.readings[0].Live }

// load puts it under load by a process of its own: file descriptors are limited
// by process.
func (s *soaked) load(long time.Duration, profiles string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*long+10*patience)
	defer cancel()
	name := strings.NewReplacer(", ", "-", " ", "-").Replace(s.String())
	cmd := exec.CommandContext(ctx, self, "-load", s.addr, "-tls="+strconv.FormatBool(s.tls), "-bare="+strconv.FormatBool(s.bare),
		"-soak", long.String(), "-profiles", filepath.Join(profiles, name))
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var r reading
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			_ = cmd.Process.Kill()
			return fmt.Errorf("%q: %w", lines.Text(), err)
		}
		m, err := s.memory()
		if err != nil {
			_ = cmd.Process.Kill()
			return err
		}
		r.resident = m.now
		s.readings = append(s.readings, r)
		fmt.Fprintf(os.Stderr, "%s: %+v\n", s, r)
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%w: %s", err, &complaints)
	}
	return nil
}

// soakTable is what was seen, as it stands in README.md.
func soakTable(all []*soaked) string {
	var t strings.Builder
	t.WriteString("| server | connections | scrapes | goroutines | live objects | grown by | resident |\n|---|---|---|---|---|---|---|\n")
	for _, s := range all {
		if len(s.readings) == 0 {
			continue
		}
		first, last := s.readings[0], s.readings[len(s.readings)-1]
		scrapes := "–"
		if !s.bare {
			scrapes = strconv.Itoa(last.Scrapes)
		}
		fmt.Fprintf(&t, "| %s | %d | %s | %d → %d | %s → %s | %d KiB | %s → %s |\n", s, last.Made, scrapes, first.Goroutines, last.Goroutines,
			megabytes(first.Live), megabytes(last.Live), s.grown()>>10, megabytes(first.resident), megabytes(last.resident))
	}
	return t.String()
}
