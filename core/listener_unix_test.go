//go:build unix

package core

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	starvedFiles    = 64
	starvedConnects = 80
)

// serveStarved is the child process of TestServesAfterFilesRanOut: a server with few file
// descriptors, which ends with its standard input.
func serveStarved() {
	fail := func(err error) {
		if err != nil {
			fmt.Println("failed:", err)
			os.Exit(1)
		}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	fail(err)
	var limit syscall.Rlimit
	fail(syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	limit.Cur = starvedFiles
	fail(syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit))
	g, err := New(Config{Logger: slog.New(slog.NewTextHandler(os.Stdout, nil))})
	fail(err)
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	fmt.Println("address:", ln.Addr())
	fail(g.Serve(ctx, &http.Server{Handler: http.NewServeMux()}, ln))
	fmt.Println("accept errors:", g.Snapshot().AcceptErrors)
	fail(g.Close())
}

// With 64 file descriptors and 80 silent connections, the server still serves afterwards,
// and logs one line about it.
func TestServesAfterFilesRanOut(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // do not wait for a silent server
	defer cancel()
	child := exec.CommandContext(ctx, os.Args[0])
	child.Env = append(os.Environ(), starvedServer+"=1")
	child.Stderr = os.Stderr
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	output := bufio.NewScanner(stdout)
	var all []string
	until := func(part string) string {
		t.Helper()
		for output.Scan() {
			all = append(all, output.Text())
			if _, rest, ok := strings.Cut(output.Text(), part); ok {
				return rest
			}
		}
		t.Fatalf("the server never said %q:\n%s", part, strings.Join(all, "\n"))
		return ""
	}
	address := until("address: ")
	var silent []net.Conn
	for range starvedConnects {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		silent = append(silent, c)
	}
	until("cannot accept connections")
	for _, c := range silent {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for range 3 {
		answer, err := client.Get("http://" + address + "/readyz")
		if err != nil {
			t.Fatalf("the server no longer serves: %v", err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Errorf("status %d", answer.StatusCode)
		}
	}
	_ = stdin.Close()
	if n := until("accept errors: "); n == "0" {
		t.Error("no accept error was counted")
	}
	for output.Scan() {
		all = append(all, output.Text())
	}
	if err := child.Wait(); err != nil {
		t.Errorf("the server ended with %v", err)
	}
	if n := strings.Count(strings.Join(all, "\n"), "cannot accept connections"); n != 1 {
		t.Errorf("the shortage was logged %d times:\n%s", n, strings.Join(all, "\n"))
	}
}
