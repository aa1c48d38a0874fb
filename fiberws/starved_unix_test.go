//go:build unix

package fiberws_test

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

	"github.com/gofiber/fiber/v2"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/fiberws"
)

func init() { children["starved"] = serveStarved }

// serveStarved is a server with 64 file descriptors, which ends when its standard
// input does.
func serveStarved() {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	var limit syscall.Rlimit
	must(syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	limit.Cur = 64
	must(syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit))
	g, err := core.New(core.Config{Logger: slog.New(slog.NewTextHandler(os.Stdout, nil))})
	must(err)
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	fmt.Println("address:", ln.Addr())
	must(fiberws.ServeListener(ctx, g, newApp(fiber.Config{}), ln))
	must(g.Close())
	fmt.Println("ended well")
}

// fasthttp's Serve returns for good when file descriptors run out.
func TestServesAfterFilesRanOut(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	child := exec.CommandContext(ctx, os.Args[0])
	child.Env = append(os.Environ(), childEnv+"=starved")
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
	until := func(part string) string {
		t.Helper()
		for output.Scan() {
			if _, rest, ok := strings.Cut(output.Text(), part); ok {
				return rest
			}
		}
		t.Fatalf("the server never said %q", part)
		return ""
	}
	address := until("address: ")
	var silent []net.Conn
	for range 80 {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		silent = append(silent, c)
	}
	until("cannot accept connections")
	for _, c := range silent {
		_ = c.Close()
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get("http://" + address + "/readyz")
	if err != nil {
		t.Fatalf("the server no longer serves: %v", err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Errorf("status %d", answer.StatusCode)
	}
	_ = stdin.Close()
	until("ended well")
	if err := child.Wait(); err != nil {
		t.Errorf("the server ended with %v", err)
	}
}
