package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/quietws/quietws/core/probetest"
)

const patience = 20 * time.Second

func freeAddress() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return ln.Addr().String(), ln.Close()
}

// output is the log of a server.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// try runs a server and checks what README says about it. handler is false if its route
// has Endpoint.
func try(ctx context.Context, binary, address string, handler bool) (err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary)
	var out output
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = cmd.Process.Kill()
			err = fmt.Errorf("%w; it logged:\n%s", err, out.String())
		}
	}()
	t := probetest.Target{Addr: address}
	if err := await(ctx, func() bool { _, err := probetest.Get(ctx, t, "/livez", "curl/8"); return err == nil }); err != nil {
		return fmt.Errorf("it does not serve: %w", err)
	}
	if err := behaves(ctx, t, handler); err != nil {
		return err
	}
	if err := await(ctx, func() bool { return strings.Contains(out.String(), "reason=upgrade_stripped") }); err != nil {
		return errors.New("a handshake without Upgrade is not logged")
	}

	session, _, err := probetest.Open(ctx, t)
	if err != nil {
		return err
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	f, err := session.Read(ctx)
	if err != nil {
		return fmt.Errorf("at SIGTERM the client got no close frame: %w", err)
	}
	if f.Code() != 1001 {
		return fmt.Errorf("at SIGTERM the client got close code %d, want 1001", f.Code())
	}
	if _, err := session.Close(ctx, 1001); err != nil {
		return err
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("after the drain: %w", err)
	}
	for what, most := range map[string]int{"class=tcp_probe": 1, "prober=kubelet": 1, "level=WARN": 2, "level=ERROR": 0} {
		if n := strings.Count(out.String(), what); n > most {
			return fmt.Errorf("%q is in the log %d times, want at most %d", what, n, most)
		}
	}
	return nil
}

func behaves(ctx context.Context, t probetest.Target, handler bool) error {
	prober := http.StatusOK
	if !handler { // with Endpoint a prober gets the library's answer
		prober = http.StatusUpgradeRequired
	}
	for _, row := range []struct {
		rule    string
		request probetest.Request
		status  int
	}{
		{"a health route", probetest.Curl("/livez"), 200},
		{"a health route", probetest.Curl("/readyz"), 200},
		{"a health route", probetest.Curl("/startupz"), 200},
		{"a health route", probetest.Curl("/healthz"), 200},
		{"the kubelet on the WebSocket route", probetest.Kubelet("/ws"), prober},
		{"a browser on the WebSocket route", probetest.PlainGet("/ws"), 426},
		{"a handshake whose Upgrade a proxy took away", probetest.NoUpgrade("/ws"), 426},
	} {
		res, err := probetest.Do(ctx, t, row.request)
		if err != nil {
			return fmt.Errorf("%s: %w", row.rule, err)
		}
		if res.Status != row.status {
			return fmt.Errorf("%s: %d, want %d", row.rule, res.Status, row.status)
		}
	}
	for range 20 { // bare probes
		for _, end := range []probetest.End{probetest.FIN, probetest.RST} {
			if _, err := probetest.Connect(ctx, t, end); err != nil {
				return err
			}
		}
	}
	session, _, err := probetest.Open(ctx, t)
	if err != nil {
		return err
	}
	if err := session.SendText(ctx, "hello"); err != nil {
		return err
	}
	f, err := session.Read(ctx)
	if err != nil {
		return fmt.Errorf("no echo: %w", err)
	}
	if string(f.Payload) != "hello" {
		return fmt.Errorf("it echoed %q", f.Payload)
	}
	_, err = session.Close(ctx, 1000)
	return err
}

// await waits until done is true.
func await(ctx context.Context, done func() bool) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}
