package deploy

import (
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/quietws/quietws/core/probetest"
)

// ask is what a prober does, and how often. What asks /readyz goes on until the
// server is gone.
type ask struct {
	do    func(context.Context, probetest.Target) (probetest.Result, error)
	every time.Duration // 0: three times in all
}

func do(r probetest.Request) func(context.Context, probetest.Target) (probetest.Result, error) {
	return func(ctx context.Context, t probetest.Target) (probetest.Result, error) {
		return probetest.Do(ctx, t, r)
	}
}

func connect(end probetest.End) func(context.Context, probetest.Target) (probetest.Result, error) {
	return func(ctx context.Context, t probetest.Target) (probetest.Result, error) {
		return probetest.Connect(ctx, t, end)
	}
}

func by(method, path, userAgent string) func(context.Context, probetest.Target) (probetest.Result, error) {
	r := probetest.Request{Method: method, Path: path}
	if userAgent != "" {
		r.Header = []probetest.Field{{Name: "User-Agent", Value: userAgent}}
	}
	return do(r)
}

// preamble is a client's request through a balancer that speaks the PROXY
// protocol, to a server that does not know of it.
func preamble(ctx context.Context, t probetest.Target) (probetest.Result, error) {
	return probetest.PreambleRequest(ctx, t, probetest.ProxyV2, probetest.WebSocket("/ws"))
}

// The log of each folder's README is what the server says to the probers of
// the platform, at the intervals of the folder's manifest, and at a drain while
// they go on asking.
func TestLogs(t *testing.T) {
	kubelet := func(path string) func(context.Context, probetest.Target) (probetest.Result, error) {
		return do(probetest.Kubelet(path))
	}
	for _, row := range []struct {
		folder, drain string
		asks          []ask
	}{
		{"azure-container-apps", "20s", []ask{{do: connect(probetest.FIN)}, {do: kubelet("/readyz"), every: 2 * time.Second}}},
		{"kubernetes", "20s", []ask{{do: kubelet("/readyz"), every: 2 * time.Second}}},
		{"eks", "25s", []ask{
			{do: kubelet("/readyz"), every: 5 * time.Second},
			{do: do(probetest.ALB("/readyz")), every: 5 * time.Second},
			{do: connect(probetest.FIN)},
			{do: preamble},
		}},
		{"fly", "12s", []ask{{do: by("GET", "/readyz", ""), every: 2 * time.Second}}},
		{"china-load-balancers", "20s", []ask{
			{do: connect(probetest.RST)},
			{do: by("HEAD", "/readyz", ""), every: 2 * time.Second},
			{do: by("HEAD", "/readyz", "clb-healthcheck"), every: 2 * time.Second},
		}},
		{"compose", "9s", []ask{{do: by("GET", "/startupz", "Wget")}}},
		{"systemd", "9s", []ask{{do: execStartPost(t)}}},
	} {
		t.Run(row.folder, func(t *testing.T) {
			t.Parallel()
			s := startChat(t, "-drain", row.drain)
			var longest time.Duration
			for i, a := range row.asks {
				a.start(t, s, i+1)
				longest = max(longest, a.every)
			}
			code := open(t, s.addr)
			<-time.After(longest) // each has asked twice
			s.terminate()
			s.ended(t)
			if c := <-code; c != websocket.StatusGoingAway {
				t.Errorf("the session ended with %d", c)
			}
			excerpt(t, row.folder, s.Log())
		})
	}
}

// start sends probes until the nth line is logged, and then goes on.
func (a ask) start(t *testing.T, s *server, n int) {
	t.Helper()
	target := probetest.Target{Addr: s.addr}
	once := func(ctx context.Context) error {
		_, err := a.do(ctx, target)
		return err
	}
	if err := once(t.Context()); err != nil {
		t.Fatal(err)
	}
	await(t, "it is logged", func() bool { return strings.Count(s.Log(), " class=") >= n })
	if a.every == 0 {
		for range 2 {
			if err := once(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		return
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		tick := time.NewTicker(a.every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				_ = once(context.Background()) // at the end the server is gone
			case <-s.exited:
				return
			}
		}
	}()
	t.Cleanup(func() { <-s.exited; <-over })
}

// execStartPost runs the command that the unit has to wait for the start.
func execStartPost(t *testing.T) func(context.Context, probetest.Target) (probetest.Result, error) {
	words := strings.Fields(find(t, read(t, "systemd/chat.service"), `ExecStartPost=(.*)`))
	return func(ctx context.Context, target probetest.Target) (probetest.Result, error) {
		args := strings.Fields(strings.ReplaceAll(strings.Join(words[1:], " "), "127.0.0.1:8080", target.Addr))
		return probetest.Result{}, exec.CommandContext(ctx, words[0], args...).Run()
	}
}
