package main

import (
	"net"
	"os"
	"path/filepath"
	"testing"
)

func TestFreeAddrs(t *testing.T) {
	seen := make(map[string]bool)
	for range 20 {
		addrs, err := freeAddrs(3)
		if err != nil || len(addrs) != 3 {
			t.Fatal(addrs, err)
		}
		for _, addr := range addrs {
			ln, err := net.Listen("tcp", addr)
			if err != nil || seen[addr] {
				t.Fatalf("%s: %v, given before: %t", addr, err, seen[addr])
			}
			seen[addr] = true
			defer func() { _ = ln.Close() }()
		}
	}
}

func TestVersion(t *testing.T) {
	for _, row := range []struct{ said, want string }{
		{"nginx version: nginx/1.22.1", "1.22.1"},
		{"Chromium 156.0.8078.79 built on Debian 12", "156.0.8078.79"},
		{"none", "unknown"},
	} {
		if got := version("echo", row.said); got != row.want {
			t.Errorf("%s: %s, want %s", row.said, got, row.want)
		}
	}
}

// A process is stopped with all that it has started.
func TestProcess(t *testing.T) {
	dir := t.TempDir()
	p, err := startProcess(dir, nil, "sh", "-c", "sleep 100 & wait")
	if err != nil {
		t.Fatal(err)
	}
	if exists("sh") || !exists(dir) || exists(filepath.Join(dir, "nothing")) {
		t.Error("what is there, and what is not")
	}
	p.stop()
	if p.cmd.ProcessState == nil {
		t.Error("it runs on")
	}
	if _, err := startProcess(dir, []string{"127.0.0.1:1"}, "false"); err == nil {
		t.Error("what ends at once is no error")
	}
	if _, err := startProcess(dir, nil, filepath.Join(dir, "nothing")); !os.IsNotExist(err) {
		t.Errorf("no program: %v", err)
	}
}
