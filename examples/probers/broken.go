package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/quietws/quietws/core/probetest"
)

// A breakage is something that fails while sessions are open.
type breakage struct {
	name string
	log  func() (file *os.File, release func(), err error) // what the server logs to; nil: as usual
	run  func(*server) (int, error)
	// logged checks the log when the server has ended; nil: no check.
	logged func(*server) error
	// visits is false if the example's own access log blocks together with the guard's:
	// on Fiber a handshake is answered only once its access line is written.
	visits bool
}

var breakages = []breakage{
	{"panics", nil, panicking, panicsLogged, true},
	{"mid-frame", nil, resetInFrame, nil, true},
	{"disk full", fullDisk, cutHeads, nil, true},
	{"log blocked", blockedPipe, cutHeads, nil, false},
}

// broken lets handlers panic and clients reset in the middle of a frame, fills the log's
// disk, and stops reading the log's pipe. No session is lost, health requests are
// answered, and the server ends at SIGTERM.
func broken(b *bench) error {
	say("%-8s %-12s %8s %10s %10s\n", "server", "", "broken", "sessions", "exit")
	var errs error
	for _, name := range b.servers {
		for _, way := range breakages {
			if err := b.breakOne(name, way); err != nil {
				errs = errors.Join(errs, fmt.Errorf("%s, %s: %w", name, way.name, err))
			}
		}
	}
	return errs
}

// shortDrain is the deadline of the drain. The drain reaches it when the application's
// own access log blocks a session's handler; the guard then gives its logger two more
// seconds.
const shortDrain, exitLimit = 3 * time.Second, 6 * time.Second

// standing is how many sessions are open from the start to the end.
const standing = 50

func (b *bench) breakOne(name string, way breakage) error {
	if way.log != nil {
		file, release, err := way.log()
		if err != nil {
			return err
		}
		defer release()
		b.stderr = file
		defer func() { b.stderr = nil }()
	}
	start, collapse := b.start, "1ns"
	if way.logged != nil { // the repeats in one line; and no example's handler panics
		start, collapse = b.subject, "1h"
	}
	s, err := start(name, "", false, "-collapse", collapse, "-drain", shortDrain.String())
	if err != nil {
		return err
	}
	defer s.kill()
	all, err := openSessions(s, standing)
	if err != nil {
		return err
	}
	visit := new(visitor)
	if way.visits {
		if visit, err = s.visit(); err != nil {
			return err
		}
	}
	n, err := way.run(s)
	visited := 0
	if way.visits {
		var failed error
		visited, failed = visit.over()
		err = errors.Join(err, failed)
	}
	if err != nil {
		return err
	}
	if status, err := s.get(client, "/readyz"); status != http.StatusOK {
		return fmt.Errorf("/readyz: %d, %w", status, err)
	}
	end := time.Now()
	s.terminate()
	status, err := s.wait(patience)
	if err != nil {
		return err
	}
	took := s.at.Sub(end)
	say("%-8s %-12s %8d %10d %10s\n", name, way.name, n, standing+visited, round(took))
	switch {
	case status != 0:
		return fmt.Errorf("exit status %d: %s", status, s.log)
	case took > exitLimit:
		return fmt.Errorf("took %v to end", took)
	}
	if way.logged != nil {
		err = way.logged(s)
	}
	return errors.Join(err, all.dismissed(standing))
}

// breaks is how often each thing is done.
const breaks = 400

// resetInFrame opens sessions, and resets each in the middle of a message: in the
// header of a frame, or in what the header promises.
func resetInFrame(s *server) (int, error) {
	scrape, err := s.scraper()
	if err != nil {
		return 0, err
	}
	defer scrape.close()
	frame := probetest.Frame{Opcode: probetest.OpText, Payload: make([]byte, 1000)}.Bytes()
	for i := range breaks {
		session, _, err := probetest.Open(context.Background(), s.target())
		if err != nil {
			return i, err
		}
		if _, err := session.Conn().Write(frame[:1+i%20*50]); err != nil {
			return i, err
		}
		if _, err := session.Vanish(probetest.RST); err != nil {
			return i, err
		}
	}
	const vanished = `quietws_sessions_ended_total{code="1006",end="vanished"}`
	for end := time.Now().Add(patience); ; <-time.After(10 * time.Millisecond) {
		c, err := scrape.get()
		if err != nil {
			return breaks, err
		}
		if c[vanished] == breaks {
			break
		}
		if time.Now().After(end) {
			return breaks, fmt.Errorf("%v of %d sessions vanished", c[vanished], breaks)
		}
	}
	all, err := s.entries()
	for _, e := range all {
		if e.Level == "ERROR" || e.Level == "WARN" {
			err = errors.Join(err, fmt.Errorf("logged: %s", e.text))
		}
	}
	return breaks, err
}

// cutHeads makes the guard log line after line: the window in which repeats are
// collapsed is almost zero here.
func cutHeads(s *server) (int, error) {
	raw := probetest.WebSocket("/ws").Bytes(s.target())
	for i := range breaks {
		if _, err := probetest.Cut(context.Background(), s.target(), raw, len(raw)/2, probetest.FIN); err != nil {
			return i, err
		}
	}
	return breaks, nil
}

// fullDisk is a disk on which every write fails with ENOSPC (full(4)).
func fullDisk() (*os.File, func(), error) {
	file, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	return file, func() { _ = file.Close() }, err
}

// blockedPipe is a pipe that is never read. It takes the first 64 KiB (pipe(7)).
func blockedPipe() (*os.File, func(), error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	return write, func() { _, _ = read.Close(), write.Close() }, nil
}
