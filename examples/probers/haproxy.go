package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// need installs a Debian package where its program is missing.
func need(program, pkg string) error {
	if _, err := exec.LookPath(program); err == nil {
		return nil
	}
	for _, args := range [][]string{{"update", "-q"}, {"install", "-qy", "--no-install-recommends", pkg}} {
		if out, err := exec.Command("apt-get", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get %s: %w\n%s", args[0], err, out)
		}
	}
	return nil
}

// haproxy is a running one, with a socket to ask.
type haproxy struct {
	cmd  *exec.Cmd
	sock string
	log  *log
}

// startHAProxy runs it on config, which is about frontends and backends alone.
func (b *bench) startHAProxy(config string) (*haproxy, error) {
	if err := need("haproxy", "haproxy"); err != nil {
		return nil, err
	}
	h := &haproxy{sock: filepath.Join(b.dir, "haproxy.sock"), log: new(log)}
	file := filepath.Join(b.dir, "haproxy.cfg")
	whole := "global\n  stats socket " + h.sock + " mode 600\n" +
		"defaults\n  timeout connect 5s\n  timeout client 1m\n  timeout server 1m\n" + config
	if err := os.WriteFile(file, []byte(whole), 0o600); err != nil {
		return nil, err
	}
	h.cmd = exec.Command("haproxy", "-db", "-f", file)
	h.cmd.Stderr, h.cmd.Stdout = h.log, h.log
	return h, h.cmd.Start()
}

func (h *haproxy) kill() {
	_ = h.cmd.Process.Kill()
	_ = h.cmd.Wait()
}

// status returns what HAProxy says of a server: UP, DOWN, or on the way.
func (h *haproxy) status(backend, server string) string {
	nc, err := net.DialTimeout("unix", h.sock, time.Second)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = nc.Close() }()
	if _, err := io.WriteString(nc, "show stat\n"); err != nil {
		return err.Error()
	}
	for lines := bufio.NewScanner(nc); lines.Scan(); {
		if fields := strings.Split(lines.Text(), ","); len(fields) > 17 && fields[0] == backend && fields[1] == server {
			return fields[17]
		}
	}
	return "unknown"
}

// await waits until HAProxy says so of a server.
func (h *haproxy) await(backend, server, status string) error {
	for end := time.Now().Add(patience); time.Now().Before(end); <-time.After(50 * time.Millisecond) {
		if h.status(backend, server) == status {
			return nil
		}
	}
	return fmt.Errorf("%s/%s is %s, not %s: %s", backend, server, h.status(backend, server), status, h.log)
}
