package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// child is a server in a process of its own: this program again.
type child struct {
	server
	addr   string
	cmd    *exec.Cmd
	ends   chan ended
	log    logbook
	reaped chan struct{} // closed when it has ended
	err    error         // of its end
}

// ended is how a session ended, as the guard has it: event.SessionEnd, with what
// later versions may know besides.
type ended struct {
	End      string
	Code     int
	By       *string
	Answered *bool
}

func (e ended) String() string {
	text := fmt.Sprintf("%s %d", e.End, e.Code)
	if e.By != nil && *e.By != "" {
		text += " by " + *e.By
	}
	return text
}

// logbook keeps what a child logs.
type logbook struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start starts s and waits until it listens.
func (s server) start() (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{server: s, cmd: exec.Command(self, s.args()...), ends: make(chan ended, 1<<14), reaped: make(chan struct{})}
	c.cmd.Stderr = &c.log
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(out)
	if lines.Scan() {
		c.addr = lines.Text()
	}
	go func() {
		for lines.Scan() {
			var e ended
			if json.Unmarshal(lines.Bytes(), &e) == nil {
				c.ends <- e
			}
		}
		c.err = c.cmd.Wait()
		close(c.ends)
		close(c.reaped)
	}()
	if c.addr == "" {
		<-c.reaped
		return nil, fmt.Errorf("it does not start: %w\n%s", c.err, c.log.String())
	}
	return c, nil
}

// terminate sends SIGTERM, waits until it has ended, and returns how long that
// took.
func (c *child) terminate() (time.Duration, error) {
	began := time.Now()
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return 0, err
	}
	select {
	case <-c.reaped:
		took := time.Since(began)
		if c.err != nil {
			return took, fmt.Errorf("%w\n%s", c.err, c.log.String())
		}
		return took, nil
	case <-time.After(patience):
		c.kill()
		return patience, errors.New("it does not end")
	}
}

func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	<-c.reaped
}

// drained is what the guard says of its drain, in the line that it logs: attributes
// by their names.
func (c *child) drained() map[string]any {
	for line := range strings.Lines(c.log.String()) {
		var attributes map[string]any
		if json.Unmarshal([]byte(line), &attributes) == nil && attributes["msg"] == "drained" {
			return attributes
		}
	}
	return nil
}
