package probetest_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/quietws/quietws/core/probetest"
)

// This requests a health route as the kubelet does.
func ExampleDo() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello, %s", r.UserAgent())
	}))
	defer server.Close()

	target := probetest.Target{Addr: server.Listener.Addr().String()}
	res, err := probetest.Do(context.Background(), target, probetest.Kubelet("/livez"))
	fmt.Println(res.Status, res.Body, err)
	// Output: 200 hello, kube-probe/1.33 <nil>
}

// One test runs all probes for a plain port.
func ExampleScenarios() {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()

	target := probetest.Target{Addr: server.Listener.Addr().String()}
	for _, s := range probetest.Scenarios() {
		if s.Kind != probetest.Probe || s.Port == probetest.TLSPort || s.Port == probetest.HTTP2Port {
			continue
		}
		if res, err := s.Run(context.Background(), target); err != nil || res.Status == 404 {
			fmt.Println(s.Name, "got a bad answer")
			break
		}
	}
	// Output: health-kubelet got a bad answer
}
