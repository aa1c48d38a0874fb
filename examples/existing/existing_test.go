// Package existing shows how to add quietws to an existing application: each folder
// has it before and after.
package existing

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quietws/quietws/core/probetest"
)

// mostChanges is the largest number of lines to change in an application.
const mostChanges = 6

// TestChanges counts the lines that differ. examples/readme compares them with
// README.md.
func TestChanges(t *testing.T) {
	for _, framework := range []string{"gin", "fiber"} {
		before, after := code(t, framework, "before"), code(t, framework, "after")
		if added := without(after, before); len(added) > mostChanges {
			t.Errorf("%s: %d lines differ, want %d at most:\n%s", framework, len(added), mostChanges, strings.Join(added, "\n"))
		}
	}
}

// code returns a program's lines without blank ones and the comment at its top.
func code(t *testing.T, framework, when string) (lines []string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(framework, when, "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	_, b, _ = bytes.Cut(b, []byte("package main\n"))
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimRight(line, "\n"); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// without returns what is in a but not in b.
func without(a, b []string) (rest []string) {
	b = slices.Clone(b)
	for _, line := range a {
		if i := slices.Index(b, line); i >= 0 {
			b = slices.Delete(b, i, i+1)
		} else {
			rest = append(rest, line)
		}
	}
	return rest
}

const patience = 30 * time.Second

// TestAfter runs both as they are: probes are answered and not logged, sessions work,
// and failures are logged.
func TestAfter(t *testing.T) {
	for framework, row := range map[string]struct {
		path   string
		prober int // status of a probe of that path, as before
	}{
		"gin":   {"/ws", 400},     // by gorilla
		"fiber": {"/ws/one", 426}, // by the application's own Use, which comes first
	} {
		t.Run(framework, func(t *testing.T) {
			path := row.path
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			target, out := start(ctx, t, framework)
			for range 20 {
				if _, err := probetest.Connect(ctx, target, probetest.FIN); err != nil {
					t.Fatal(err)
				}
				if res, err := probetest.Do(ctx, target, probetest.Kubelet("/readyz")); err != nil || res.Status != 200 {
					t.Fatalf("GET /readyz: %d, %v", res.Status, err)
				}
			}
			target.Path = path
			if _, err := probetest.Handshake(ctx, target, probetest.WebSocket(path)); err != nil {
				t.Fatal(err)
			}
			if res, err := probetest.Do(ctx, target, probetest.Kubelet(path)); err != nil || res.Status != row.prober {
				t.Errorf("a prober on %s: %d, %v", path, res.Status, err)
			}
			if res, err := probetest.Do(ctx, target, probetest.NoUpgrade(path)); err != nil || res.Status < 400 {
				t.Errorf("a handshake without Upgrade: %d, %v", res.Status, err)
			}
			const refused = "reason=upgrade_stripped"
			for !strings.Contains(out.String(), refused) {
				select {
				case <-ctx.Done():
					t.Fatalf("a refused handshake is not logged:\n%s", out)
				case <-time.After(10 * time.Millisecond):
				}
			}
			for what, most := range map[string]int{"class=tcp_probe": 1, "prober=kubelet method=GET path=/readyz": 1, refused: 1} {
				if n := strings.Count(out.String(), what); n == 0 || n > most {
					t.Errorf("%q is in the log %d times, want 1 to %d:\n%s", what, n, most, out)
				}
			}
		})
	}
}

// output is what a program has printed.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

func start(ctx context.Context, t *testing.T, framework string) (probetest.Target, *output) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	_ = ln.Close()
	program, out := filepath.Join(t.TempDir(), framework), new(output)
	build := exec.CommandContext(ctx, "go", "build", "-o", program, "-ldflags", "-X main.addr="+addr, "./"+framework+"/after")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	cmd := exec.Command(program)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	target := probetest.Target{Addr: addr}
	for {
		if res, err := probetest.Do(ctx, target, probetest.Curl("/livez")); err == nil && res.Status == 200 {
			return target, out
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s does not serve:\n%s", framework, out)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
