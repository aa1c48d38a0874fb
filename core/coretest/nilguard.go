package coretest

import (
	"context"
	"net"
	"testing"

	"github.com/quietws/quietws/core/probetest"
)

// RunNilGuard checks that an adapter passes everything through if its *core.Guard is
// nil. serve is an adapter's ServeListener, on an application that
// has the adapter's Middleware, Attach and Quiet, each with a nil guard, and these
// routes: /app answers "app"; /ws is the adapter's Handler, which sends one message
// back and returns nil; /own does the same with a library behind the adapter's
// Endpoint.
func RunNilGuard(t *testing.T, serve func(context.Context, net.Listener) error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	target := probetest.Target{Addr: ln.Addr().String()}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- serve(ctx, ln) }()
	defer func() {
		stop()
		if err := <-served; err != nil {
			t.Errorf("the server's shutdown: %v", err)
		}
	}()
	patient, cancel := contextWithPatience()
	defer cancel()
	for _, row := range []struct {
		request probetest.Request
		status  int
	}{
		{probetest.Curl("/app"), 200},
		{probetest.Kubelet("/app"), 200},
		{probetest.Kubelet("/readyz"), 404},
		{probetest.WebSocket("/nowhere"), 404},
		{probetest.WebSocket("/ws").With(probetest.Field{Name: "Origin", Value: "https://elsewhere.test"}), 403},
	} {
		if res, err := probetest.Do(patient, target, row.request); err != nil || res.Status != row.status {
			t.Errorf("%s %s: got %d, %v, want %d", row.request.Method, row.request.Path, res.Status, err, row.status)
		}
	}
	for _, path := range []string{"/ws", "/own"} {
		target.Path = path
		s, _, err := probetest.Open(patient, target)
		if err != nil {
			t.Fatalf("no session on %s: %v", path, err)
		}
		if err := s.SendText(patient, "hello"); err != nil {
			t.Error(err)
		}
		if f, err := s.Read(patient); err != nil || string(f.Payload) != "hello" {
			t.Errorf("%s: the echo is %q, %v", path, f.Payload, err)
		}
		if path == "/ws" {
			if f, err := s.Read(patient); err != nil || f.Code() != 1000 {
				t.Errorf("the session got %v and code %d, want a close frame of 1000", err, f.Code())
			}
		}
		_, _ = s.Close(patient, 1000)
	}
}
