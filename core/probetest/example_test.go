package probetest_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/quietws/quietws/core/probetest"
)

// A health route is asked as the kubelet asks it.
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

// Everything that is a probe on a plain port, as one test would run it.
func ExampleStimuli() {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()

	target := probetest.Target{Addr: server.Listener.Addr().String()}
	for _, s := range probetest.Stimuli() {
		if s.Kind != probetest.Probe || s.Port == probetest.TLSPort || s.Port == probetest.HTTP2Port {
			continue
		}
		if res, err := s.Run(context.Background(), target); err != nil || res.Status == 404 {
			fmt.Println(s.Name, "is not answered well")
			break
		}
	}
	// Output: health-kubelet is not answered well
}
