package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/quietws/quietws/core/probetest"
)

// What a soak is, for each server.
const (
	soakSessions = 2000             // that stand all the time
	soakEcho     = 30 * time.Second // how often each of them says something
	soakRate     = 100              // connections a second that come and go
	soakRateTLS  = 20               // and where each needs a handshake
	soakWorkers  = 16               // of them at a time
	soakOpening  = 4                // handshakes of those that stand, at a time
	soakReadings = 10               // after the first one, in the time that it takes
	soakScrapes  = 5 * time.Second  // between two
	soakCalm     = 12 * time.Second // without connections, before a reading: fasthttp's goroutines wait for ten
	soakScenario = 20 * time.Second // how long a connection may take
)

// reading is the state of a server with no traffic except its sessions' messages.
type reading struct {
	Made       int // connections, in all
	Scrapes    int // all were consistent
	Goroutines int `json:"goroutines"`
	Live       int `json:"live"`
	resident   int
}

// loader is the load of one server, in a process of its own.
type loader struct {
	s        *server
	bare     bool
	scrape   *scraper
	made     atomic.Int64
	scrapes  int
	mu       sync.Mutex
	failed   error
	profiles string // where heap profiles go: a path that gets an ending
}

// runLoad opens the sessions, and lets everything that probetest knows come and go
// but for a reading from time to time, which it prints as JSON.
func runLoad(s *server, bare bool, long time.Duration, profiles string) error {
	l := &loader{s: s, bare: bare, profiles: profiles}
	if err := l.stand(); err != nil {
		return err
	}
	var err error
	if l.scrape, err = s.scraper(); err != nil {
		return err
	}
	defer l.scrape.close()
	l.made.Add(1)
	if err := l.adds(); err != nil { // at once: a server waits ten seconds for the first request
		return err
	}
	out := json.NewEncoder(os.Stdout)
	for n := range soakReadings + 1 {
		if err := l.churn(long / soakReadings); err != nil {
			return err
		}
		r, err := l.read()
		if err != nil {
			return err
		}
		if err := out.Encode(r); err != nil {
			return err
		}
		if n == 0 || n == soakReadings {
			if err := l.profile(n); err != nil {
				return err
			}
		}
	}
	return nil
}

// fail keeps the first error.
func (l *loader) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed == nil {
		l.failed = err
	}
}

func (l *loader) err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed
}

// stand opens the sessions that stay open. Each sends a message from time to time and
// gets its echo.
func (l *loader) stand() error {
	return many(soakOpening, soakSessions, func(i int) error {
		ws, res, err := l.s.dial()
		if err != nil {
			return err
		}
		_ = res.Body.Close()
		l.made.Add(1)
		go l.talk(ws, time.Duration(i)*soakEcho/soakSessions)
		return nil
	})
}

func (l *loader) talk(ws *websocket.Conn, first time.Duration) {
	for wait := first; ; wait = soakEcho {
		<-time.After(wait)
		if err := echo(ws, "still here"); err != nil {
			l.fail(fmt.Errorf("a session that stood: %w", err))
			return
		}
	}
}

// churn lets connections of every kind come and go, and scrapes.
func (l *loader) churn(long time.Duration) error {
	kinds := scenariosOf(l.s)
	rate := soakRate
	if l.s.tls {
		rate = soakRateTLS
	}
	next := make(chan probetest.Scenario)
	var workers sync.WaitGroup
	for range soakWorkers {
		workers.Go(func() {
			for kind := range next {
				l.one(kind)
			}
		})
	}
	defer workers.Wait()
	defer close(next)
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	scrapes := time.NewTicker(soakScrapes)
	defer scrapes.Stop()
	over := time.After(long)
	for n := 0; l.err() == nil; {
		select {
		case <-tick.C:
			next <- kinds[n%len(kinds)]
			n++
		case <-scrapes.C:
			if err := l.adds(); err != nil {
				return err
			}
		case <-over:
			return nil
		}
	}
	return l.err()
}

// one makes one connection.
func (l *loader) one(kind probetest.Scenario) {
	ctx, cancel := context.WithTimeout(context.Background(), soakScenario)
	defer cancel()
	if _, err := kind.Run(ctx, l.s.target()); err != nil {
		l.fail(fmt.Errorf("%s: %w", kind.Name, err))
	}
	l.made.Add(1)
}

// scenariosOf returns all that make sense on this port and end by themselves.
func scenariosOf(s *server) (all []probetest.Scenario) {
	for _, kind := range probetest.Scenarios() {
		onTLS, onPlain := kind.Port == probetest.TLSPort, kind.Port == probetest.PlainPort
		if !kind.Waits && kind.Port != probetest.HTTP2Port && (!onTLS || s.tls) && (!onPlain || !s.tls) {
			all = append(all, kind)
		}
	}
	return all
}

// adds scrapes, and returns an error unless every connection is open or has a class. A
// bare server is scraped too, and has no counts.
func (l *loader) adds() error {
	c, err := l.scrape.get()
	if err != nil || l.bare {
		return err
	}
	l.scrapes++
	return c.adds()
}

// read waits until only the sessions and the scraper's connection are open, and compares
// the counts with the connections made.
func (l *loader) read() (r reading, err error) {
	<-time.After(soakCalm)
	if !l.bare {
		c, err := l.scrape.settle(soakSessions + 1)
		if err != nil {
			return r, err
		}
		l.scrapes++
		if made := float64(l.made.Load()); c[metricAccepted] != made || c[metricOpen] != soakSessions+1 || c[metricSessions] != soakSessions {
			return r, fmt.Errorf("%v connections accepted of %v, %v open, %v sessions of %d", c[metricAccepted], made, c[metricOpen], c[metricSessions], soakSessions)
		}
		if err := c.adds(); err != nil {
			return r, err
		}
	}
	body, err := l.scrape.page("/memory")
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(body, &r); err != nil {
		return r, fmt.Errorf("/memory: %q: %w", body, err)
	}
	r.Made, r.Scrapes = int(l.made.Load()), l.scrapes
	return r, l.err()
}

// profile keeps a profile of the heap, for go tool pprof.
func (l *loader) profile(n int) error {
	body, err := l.scrape.page("/heap")
	return errors.Join(err, os.WriteFile(fmt.Sprintf("%s-%d.pprof", l.profiles, n), body, 0o600))
}
