// Package smoke tests the example servers from outside: each is started, used and
// stopped as by a user, and everything that it serves is tried.
package smoke

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

const patience = 30 * time.Second

// asServer is an environment variable: with it the test binary is the server.
const asServer = "QUIETWS_EXAMPLE"

// Main is for TestMain: the test binary is the server too. That way the race detector
// sees both, and a test result is not reused when the server has changed.
func Main(m *testing.M, server func()) {
	if os.Getenv(asServer) != "" {
		server()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// Test tests the server that was given to Main, with and without TLS. sockets are the
// paths on which it echoes.
func Test(t *testing.T, sockets ...string) {
	cert, key := Certificate(t)
	for _, row := range []struct {
		name  string
		flags []string
	}{
		{name: "plain"},
		{name: "TLS", flags: []string{"-cert", cert, "-key", key}},
	} {
		t.Run(row.name, func(t *testing.T) { run(t, start(t, row.flags...), sockets) })
	}
	t.Run("a second signal ends it at once", func(t *testing.T) { secondSignal(t, start(t, "-drain", "1m"), sockets[0]) })
	t.Run("a flag that is wrong", func(t *testing.T) {
		fails(t, 2, "-cert", cert)
	})
	t.Run("a certificate that is missing", func(t *testing.T) {
		fails(t, 1, "-addr", "127.0.0.1:0", "-cert", cert+".none", "-key", key)
	})
	t.Run("an address that is taken", func(t *testing.T) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = ln.Close() }()
		fails(t, 1, "-addr", ln.Addr().String())
	})
}

// command returns the command of the server with these flags.
func command(t *testing.T, flags ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, flags...)
	cmd.Env = append(os.Environ(), asServer+"=1")
	return cmd
}

// fails checks that the server does not start with these flags.
func fails(t *testing.T, status int, flags ...string) {
	t.Helper()
	cmd := command(t, flags...)
	out, err := cmd.CombinedOutput()
	if err == nil || cmd.ProcessState.ExitCode() != status {
		t.Errorf("%v: ended with %v, want exit status %d: %s", flags, cmd.ProcessState, status, out)
	}
}

var healthRoutes = []string{"/livez", "/readyz", "/startupz", "/healthz"}

func run(t *testing.T, s *server, sockets []string) {
	for _, path := range healthRoutes {
		if status, body := s.get(path); status != 200 {
			t.Errorf("GET %s: %d %s", path, status, body)
		}
	}
	if status, _ := s.ask("HEAD", "/healthz"); status != 200 {
		t.Errorf("HEAD /healthz: %d", status)
	}
	if status, body := s.get("/"); status != 200 || !strings.Contains(body, "new WebSocket") {
		t.Errorf("GET /: %d %s", status, body)
	}
	if status, _ := s.get("/nothing"); status != 404 {
		t.Errorf("GET /nothing: %d, want 404", status)
	}
	kubelet := []string{"User-Agent", "kube-probe/1.31"}
	for range 20 {
		s.connect()
		if status, _ := s.get("/readyz", kubelet...); status != 200 {
			t.Errorf("a prober on /readyz: %d, want 200", status)
		}
	}
	for _, path := range sockets {
		if status, _ := s.get(path, kubelet...); status != 200 {
			t.Errorf("a prober on %s: %d, want 200", path, status)
		}
		if err := s.dial(path).Close(websocket.StatusNormalClosure, ""); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	for _, row := range []struct {
		client string
		header []string
		want   int
	}{
		{"a browser", nil, http.StatusUpgradeRequired},
		{"a client without a key", []string{"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13"}, http.StatusBadRequest},
		{"a proxy without Upgrade", []string{"Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "AAECAwQFBgcICQoLDA0ODw=="}, http.StatusUpgradeRequired},
	} {
		if status, _ := s.get(sockets[0], row.header...); status != row.want {
			t.Errorf("%s on %s: %d, want %d", row.client, sockets[0], status, row.want)
		}
	}
	var open []*websocket.Conn
	for range 3 {
		for _, path := range sockets {
			open = append(open, s.dial(path))
		}
	}
	s.checkMetrics(len(open))

	s.signal(syscall.SIGTERM)
	for i, ws := range open {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		_, _, err := ws.Read(ctx)
		cancel()
		if websocket.CloseStatus(err) != websocket.StatusGoingAway {
			t.Errorf("%s: at SIGTERM the client got %v, want close code 1001", sockets[i%len(sockets)], err)
		}
	}
	if state := s.wait(); state.ExitCode() != 0 {
		t.Errorf("after the drain: %v, want exit status 0", state)
	}
	s.checkLog(sockets[0])
}

// checkMetrics compares the connections that the server counted with those that the
// test made, and the open sessions with sessions.
func (s *server) checkMetrics(sessions int) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); ; {
		_, body := s.get("/metrics")
		parser := expfmt.NewTextParser(model.LegacyValidation)
		families, err := parser.TextToMetricFamilies(strings.NewReader(body))
		if err != nil {
			s.t.Fatal(err)
		}
		sums := make(map[string]float64)
		for name, f := range families {
			for _, m := range f.GetMetric() {
				sums[name] += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
		accepted, open := sums["quietws_connections_accepted_total"], sums["quietws_connections_open"]
		if want := float64(s.made.Load()); accepted != want {
			s.t.Fatalf("%v connections were counted, %v made", accepted, want)
		}
		if closed := sums["quietws_connections_closed_total"]; accepted != open+closed {
			s.t.Fatalf("accepted %v, open %v, closed %v", accepted, open, closed)
		}
		// The scrape's own connection is open too, and the server may see the end of
		// others later than their clients.
		if open == float64(sessions)+1 && sums["quietws_sessions_open"] == float64(sessions) {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%v connections and %v sessions are open, want %d sessions", open, sums["quietws_sessions_open"], sessions)
		}
	}
}

// checkLog checks the whole log of a server that has ended: it names the owner of the
// health routes, and has every request except probes, each of the three refused
// handshakes of socket once, and each kind of probe once.
func (s *server) checkLog(socket string) {
	s.t.Helper()
	logged := make(map[string]int)
	loud, probes := 0, 0
	for _, line := range s.log {
		switch {
		case line["msg"] == "health routes":
			for _, path := range healthRoutes {
				if who, _ := line[path].(string); !strings.HasPrefix(who, "quietws") {
					s.t.Errorf("%s is answered by %v, want quietws", path, line[path])
				}
			}
		case line["level"] != "INFO":
			loud++
			if line["class"] != "handshake_refused" || line["path"] != socket {
				s.t.Errorf("unexpected: %v", line)
			}
		case strings.HasPrefix(fmt.Sprint(line["msg"]), "probe seen"):
			probes++
		case line["msg"] == "request":
			path, _ := line["path"].(string)
			logged[path]++
			if line["status"] == 200.0 && path != "/" && path != "/metrics" {
				s.t.Errorf("a probe in the access log: %v", line)
			}
		}
	}
	if loud != 3 {
		s.t.Errorf("%d loud lines for three refused handshakes", loud)
	}
	if probes == 0 || probes > 4 {
		s.t.Errorf("%d lines about probes: each kind is logged when it is seen first", probes)
	}
	for _, path := range []string{"/", "/nothing", "/metrics", socket} {
		if logged[path] == 0 {
			s.t.Errorf("the access log has no %s", path)
		}
	}
}

// secondSignal leaves a session open whose client does not answer the goodbye.
func secondSignal(t *testing.T, s *server, socket string) {
	_ = s.dial(socket)
	s.signal(syscall.SIGTERM)
	s.await("draining")
	again := time.NewTicker(50 * time.Millisecond) // one sent too early merges with the first
	defer again.Stop()
	for {
		select {
		case <-s.exited:
			if status := s.wait().Sys().(syscall.WaitStatus); !status.Signaled() {
				t.Errorf("ended with %v, want by a signal", s.wait())
			}
			return
		case <-again.C:
			s.signal(syscall.SIGTERM)
		}
	}
}
