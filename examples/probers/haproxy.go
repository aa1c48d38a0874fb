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

// haproxy is a running HAProxy with a control socket.
type haproxy struct {
	cmd  *exec.Cmd
	sock string
	log  *log
}

// startHAProxy runs it on config, which is about frontends and backends alone.
func (b *bench) startHAProxy(config string) (*haproxy, error) {
	if err := need(debian{"haproxy", "haproxy"}); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(b.dir, "haproxy")
	if err != nil {
		return nil, err
	}
	h := &haproxy{sock: filepath.Join(dir, "sock"), log: new(log)}
	file := filepath.Join(dir, "haproxy.cfg")
	whole := "global\n  stats socket " + h.sock + " mode 600 level admin\n" +
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

// checked is what HAProxy says of a server: UP, DOWN, or on the way, how many
// checks failed, and whether one is under way.
type checked struct {
	status, failed string
	now            bool
}

// ask puts a command to HAProxy, or several with semicolons between them.
func (h *haproxy) ask(command string) (io.ReadCloser, error) {
	nc, err := net.DialTimeout("unix", h.sock, time.Second)
	if err != nil {
		return nil, err
	}
	if _, err := io.WriteString(nc, command+"\n"); err != nil {
		_ = nc.Close()
		return nil, err
	}
	return nc, nil
}

// rest ends the checks of backends, each with one server, and waits for those under
// way: a check that is cut off is another probe than a whole one.
func (h *haproxy) rest(backends int) error {
	var commands []string
	for i := range backends {
		commands = append(commands, fmt.Sprintf("disable health b%d/s", i))
	}
	said, err := h.ask(strings.Join(commands, ";"))
	if err != nil {
		return err
	}
	answer, err := io.ReadAll(said)
	_ = said.Close()
	if text := strings.TrimSpace(string(answer)); err != nil || text != "" {
		return fmt.Errorf("disable health: %w: %s", err, text)
	}
	for end := time.Now().Add(patience); time.Now().Before(end); <-time.After(20 * time.Millisecond) {
		all, err := h.stats()
		if err != nil {
			return err
		}
		busy := false
		for _, c := range all {
			busy = busy || c.now
		}
		if !busy {
			return nil
		}
	}
	return fmt.Errorf("the checks do not end: %s", h.log)
}

// stats returns what it says of each server, as backend/server.
func (h *haproxy) stats() (map[string]checked, error) {
	nc, err := h.ask("show stat")
	if err != nil {
		return nil, err
	}
	defer func() { _ = nc.Close() }()
	all := make(map[string]checked)
	lines := bufio.NewScanner(nc)
	for lines.Scan() { // the columns of HAProxy's management guide, 9.1
		if fields := strings.Split(lines.Text(), ","); len(fields) > 36 {
			all[fields[0]+"/"+fields[1]] = checked{fields[17], fields[21], strings.HasPrefix(fields[36], "* ")}
		}
	}
	return all, lines.Err()
}

// await waits until HAProxy says so of a server.
func (h *haproxy) await(backend, server, status string) error {
	for end := time.Now().Add(patience); time.Now().Before(end); <-time.After(50 * time.Millisecond) {
		all, err := h.stats()
		if err == nil && all[backend+"/"+server].status == status {
			return nil
		}
	}
	return fmt.Errorf("%s/%s is not %s: %s", backend, server, status, h.log)
}
