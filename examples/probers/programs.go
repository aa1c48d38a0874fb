package main

import (
	"debug/buildinfo"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// debian is a program, and the package of Debian's that has it.
type debian struct{ program, pkg string }

// need installs the packages of the programs that are missing, all at once.
func need(programs ...debian) error {
	var missing []string
	for _, p := range programs {
		if _, err := exec.LookPath(p.program); err != nil && !exists(p.program) {
			missing = append(missing, p.pkg)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	for _, args := range [][]string{{"update", "-q"}, append([]string{"install", "-qy", "--no-install-recommends"}, missing...)} {
		apt := exec.Command("apt-get", args...)
		apt.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := apt.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get %s: %w\n%s", args[0], err, out)
		}
	}
	return nil
}

// exists is for what is named by its path and is no program.
func exists(file string) bool {
	_, err := os.Stat(file)
	return filepath.IsAbs(file) && err == nil
}

// process is a program that runs until it is stopped, with all that it starts.
type process struct {
	cmd    *exec.Cmd
	log    *log
	exited chan struct{}
}

// startProcess starts a program and waits until each of addrs is listened on.
func startProcess(dir string, addrs []string, program string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command(program, args...), log: new(log), exited: make(chan struct{})}
	p.cmd.Dir, p.cmd.Env = dir, append(os.Environ(), "HOME="+dir)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.WaitDelay = time.Second // for what it started and that keeps its output
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.exited)
	}()
	for _, addr := range addrs {
		if err := p.await(addr); err != nil {
			p.stop()
			return nil, fmt.Errorf("%s: %w: %s", program, err, p.log)
		}
	}
	return p, nil
}

func (p *process) await(addr string) error {
	for end := time.Now().Add(patience); time.Now().Before(end); <-time.After(20 * time.Millisecond) {
		if nc, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
			return nc.Close()
		}
		select {
		case <-p.exited:
			return errors.New("it has ended")
		default:
		}
	}
	return fmt.Errorf("no server listens on %s", addr)
}

// stop ends it, politely at first.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(5 * time.Second):
	}
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.exited
}

var number = regexp.MustCompile(`\d+(\.\d+)+`)

// version is the first thing like one in what a program says of itself.
func version(program string, args ...string) string {
	out, _ := exec.Command(program, args...).CombinedOutput() // some say it and fail
	if v := number.Find(out); v != nil {
		return string(v)
	}
	return "unknown"
}

// moduleOf is the version of a Go module in a program.
func moduleOf(program, path string) string {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return "unknown"
	}
	for _, m := range info.Deps {
		if m.Path == path {
			return strings.TrimPrefix(m.Version, "v")
		}
	}
	return "unknown"
}

// asked returns what asks a program for its version.
func asked(program string, args ...string) func() string {
	return func() string { return version(program, args...) }
}

// of returns what asks for the version of a module in this program.
func of(path string) func() string { return func() string { return moduleOf("/proc/self/exe", path) } }

// The ports of servers and proxies. They are outside the range that the system gives to
// clients, so that no client takes one before the server listens on it.
const firstPort, ports = 10_000, 10_000

var nextPort atomic.Uint32

func init() { nextPort.Store(uint32(os.Getpid())) }

// freeAddrs returns n unused addresses, and returns none of them again.
func freeAddrs(n int) ([]string, error) {
	var addrs []string
	for range ports {
		if len(addrs) == n {
			break
		}
		addr := fmt.Sprintf("127.0.0.1:%d", firstPort+nextPort.Add(1)%ports)
		if ln, err := net.Listen("tcp", addr); err == nil {
			_ = ln.Close()
			addrs = append(addrs, addr)
		}
	}
	if len(addrs) < n {
		return nil, errors.New("no free port")
	}
	return addrs, nil
}
