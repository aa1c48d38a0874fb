package deploy

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// patience is how long anything may take that has to come.
const patience = 30 * time.Second

// process is a program that runs until the test is over.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{}
	mu     sync.Mutex
	log    bytes.Buffer
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.Write(b)
}

// Log is what it has written so far.
func (p *process) Log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

func start(t *testing.T, dir, name string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(name, args...), exited: make(chan struct{})}
	p.cmd.Dir, p.cmd.Env = dir, append(os.Environ(), "HOME="+dir)
	p.cmd.Stdout, p.cmd.Stderr = p, p
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.WaitDelay = time.Second // for what it started and that keeps its output
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.exited
	})
	return p
}

// terminate asks it to end, as a platform does.
func (p *process) terminate() { _ = p.cmd.Process.Signal(syscall.SIGTERM) }

// ended waits until it has ended well.
func (p *process) ended(t *testing.T) {
	t.Helper()
	select {
	case <-p.exited:
		if code := p.cmd.ProcessState.ExitCode(); code != 0 {
			t.Errorf("exit status %d: %s", code, p.Log())
		}
	case <-time.After(patience):
		t.Fatalf("it does not end: %s", p.Log())
	}
}

// await waits until something is so.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); <-time.After(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not so: %s", what)
		}
	}
}

// awaitLog waits until it has written this so often.
func (p *process) awaitLog(t *testing.T, text string, times int) {
	t.Helper()
	await(t, fmt.Sprintf("%d times %q in the log", times, text), func() bool {
		select {
		case <-p.exited:
			if strings.Count(p.Log(), text) < times {
				t.Fatalf("it has ended: %s", p.Log())
			}
		default:
		}
		return strings.Count(p.Log(), text) >= times
	})
}

// listening waits until somebody listens on addr.
func (p *process) listening(t *testing.T, addr string) {
	t.Helper()
	await(t, "somebody listens on "+addr, func() bool {
		select {
		case <-p.exited:
			t.Fatalf("it has ended: %s", p.Log())
		default:
		}
		nc, err := net.Dial("tcp", addr)
		if err == nil {
			_ = nc.Close()
		}
		return err == nil
	})
}

// server is a chat server that runs.
type server struct {
	*process
	addr string
}

func startChat(t *testing.T, args ...string) *server {
	t.Helper()
	addr := freeAddr(t)
	s := &server{start(t, t.TempDir(), chat, append(args, "-addr", addr)...), addr}
	s.awaitLog(t, `msg="health routes"`, 1) // it is about to accept; to ask it would be the first probe
	return s
}

// The ports are outside the range that the system gives to clients, so that no client
// takes one before the server listens on it.
const firstPort, ports = 21_000, 9_000

var nextPort atomic.Uint32

func init() { nextPort.Store(uint32(os.Getpid())) }

// freeAddr returns an unused address that no other test gets.
func freeAddr(t *testing.T) string {
	t.Helper()
	for range ports {
		addr := fmt.Sprintf("127.0.0.1:%d", firstPort+nextPort.Add(1)%ports)
		if ln, err := net.Listen("tcp", addr); err == nil {
			_ = ln.Close()
			return addr
		}
	}
	t.Fatal("no free port")
	return ""
}
