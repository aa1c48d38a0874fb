//go:build unix

package fiberws_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/probetest"
	"github.com/quietws/quietws/fiberws"
)

func init() { children["prefork"] = servePrefork }

// servePrefork is Fiber's master and each of its children: Fiber starts the same
// program again. On /exit a child ends, and the others and the master with it.
func servePrefork() {
	g, err := core.New(core.Config{Logger: slog.New(slog.DiscardHandler)})
	must(err)
	app := newApp(fiber.Config{Prefork: true, Network: fiber.NetworkTCP4})
	fiberws.Attach(g, app)
	app.Get("/ws", fiberws.Handler(g, echo))
	app.Get("/count", func(c *fiber.Ctx) error {
		s := g.Snapshot()
		return c.SendString(fmt.Sprint(fiber.IsChild(), " accepted ", s.Accepted, " probes ", s.Probes, " ended ", s.Closed[event.SessionEnded]))
	})
	app.Get("/exit", func(*fiber.Ctx) error { os.Exit(0); return nil })
	must(app.Listen(os.Getenv("FIBERWS_TEST_ADDR")))
	fmt.Println("ended well")
}

// Under Prefork each child has a guard of its own behind one port: health is
// answered, probes are counted, sessions followed.
func TestAttachPrefork(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	ln, err := net.Listen("tcp4", "127.0.0.1:0") // for an address: each child listens on it itself
	if err != nil {
		t.Fatal(err)
	}
	target := probetest.Target{Addr: ln.Addr().String(), Path: "/ws"}
	_ = ln.Close()
	master := exec.CommandContext(ctx, os.Args[0])
	master.Env = append(os.Environ(), childEnv+"=prefork", "FIBERWS_TEST_ADDR="+target.Addr, "GOMAXPROCS=2")
	stdout, err := master.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := master.Start(); err != nil {
		t.Fatal(err)
	}
	var c net.Conn
	until(t, "a child listens", func() bool {
		c, err = new(net.Dialer).DialContext(ctx, "tcp4", target.Addr)
		return err == nil
	})
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(8 * time.Second))
	answers := bufio.NewReader(c)
	// One connection belongs to one child.
	ask := func(r probetest.Request) string {
		t.Helper()
		if _, err := c.Write(r.Bytes(target)); err != nil {
			t.Fatal(err)
		}
		var body string
		for length := 0; ; {
			line, err := answers.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			_, _ = fmt.Sscanf(line, "Content-Length: %d", &length)
			if line == "\r\n" {
				b := make([]byte, length)
				_, err := io.ReadFull(answers, b)
				if err != nil {
					t.Fatal(err)
				}
				body = string(b)
				break
			}
		}
		return body
	}
	if got := ask(probetest.Kubelet("/readyz").Without("Connection")); got != "ok\n" {
		t.Errorf("/readyz: %q", got)
	}
	if got := ask(probetest.Request{Path: "/count"}); !strings.HasPrefix(got, "true accepted 1 ") || !strings.Contains(got, "kubelet") {
		t.Errorf("counted: %q", got)
	}
	for range 4 { // whichever child takes them
		if res, err := probetest.Handshake(ctx, target, probetest.WebSocket("/ws")); err != nil || res.Status != 101 {
			t.Errorf("answered %d, %v", res.Status, err)
		}
	}
	_, _ = c.Write(probetest.Request{Path: "/exit"}.Bytes(target))
	said, err := io.ReadAll(stdout)
	if err != nil || !strings.Contains(string(said), "ended well") {
		t.Errorf("the servers said %q, %v", said, err)
	}
	if err := master.Wait(); err != nil {
		t.Errorf("the master ended with %v", err)
	}
}
