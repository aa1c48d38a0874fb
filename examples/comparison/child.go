package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long to wait for anything expected.
const patience = time.Minute

// child is a server in a separate process: this program again.
type child struct {
	server
	addr  string
	cmd   *exec.Cmd
	stdin io.WriteCloser
	out   *bufio.Reader
	log   *os.File
	dumps int // number of callgrind's dumps
}

// start starts s and waits until it listens.
func (b *bench) start(s server) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if b.profile != "" {
		b.started++
		s.Profile = filepath.Join(b.profile, fmt.Sprintf("%03d-%s-%s.pprof", b.started, s.Framework, s.Variant))
	}
	c := &child{server: s, cmd: exec.Command(self, s.args()...)}
	if s.Counted {
		c.cmd = b.underValgrind(s)
	}
	if c.log, err = os.CreateTemp(b.dir, "log"); err != nil {
		return nil, err
	}
	c.cmd.Stderr = c.log
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = bufio.NewReader(out)
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	if c.addr, err = c.line(); err != nil {
		c.stop()
		return nil, fmt.Errorf("%v does not start: %w", s, err)
	}
	return c, nil
}

// stop ends the child and waits for its end.
func (c *child) stop() {
	_ = c.stdin.Close()
	kill := time.AfterFunc(patience, func() { _ = c.cmd.Process.Kill() })
	defer kill.Stop()
	_ = c.cmd.Wait()
	_ = c.log.Close()
	_ = os.Remove(c.log.Name())
}

// line returns the next line that the child prints.
func (c *child) line() (string, error) {
	line, err := c.out.ReadString('\n')
	return strings.TrimSuffix(line, "\n"), err
}

// ask asks the child for a number.
func (c *child) ask(what string) (n int, err error) {
	if _, err := fmt.Fprintln(c.stdin, what); err != nil {
		return 0, err
	}
	line, err := c.line()
	if err != nil {
		return 0, err
	}
	_, err = fmt.Sscan(line, &n)
	return n, err
}

// cpu returns the CPU time of the process so far, user and system mode together, all
// threads.
func (c *child) cpu() (time.Duration, error) { return cpuOf(c.cmd.Process.Pid) }

// cpuOf reads the CPU-time clock of a process, 0 for this one. It has nanoseconds, where
// /proc/PID/stat has hundredths of a second. The number of the clock is that of
// clock_getcpuclockid(3), as the kernel makes it (MAKE_PROCESS_CPUCLOCK with
// CPUCLOCK_SCHED, include/linux/posix-timers_types.h).
func cpuOf(pid int) (time.Duration, error) {
	const sched = 2
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|sched), &ts); err != nil {
		return 0, fmt.Errorf("the CPU time of process %d: %w", pid, err)
	}
	return time.Duration(ts.Nano()), nil
}

// logged returns how many bytes the child has logged.
func (c *child) logged() (int, error) {
	info, err := os.Stat(c.log.Name())
	if err != nil {
		return 0, err
	}
	return int(info.Size()), nil
}

// terminate makes the child drain and end, waits for that, and returns the CPU time that
// it took.
func (c *child) terminate() (time.Duration, error) {
	before, err := c.cpu()
	if err != nil {
		return 0, err
	}
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return 0, err
	}
	err = c.cmd.Wait()
	state := c.cmd.ProcessState
	return state.UserTime() + state.SystemTime() - before, err
}
