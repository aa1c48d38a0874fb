package probetest

import (
	"net/http"
	"strings"
	"testing"
)

func TestKeyOverHTTP2(t *testing.T) {
	head := make(chan http.Header, 1)
	target := serve(t, HTTP2Port, func(s *http.Server) {
		s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			head <- r.Header
			http.Error(w, r.Proto+" "+r.URL.Path, http.StatusNotImplemented)
		})
	})
	res, err := KeyOverHTTP2(patient(t), target)
	if err != nil || res.Status != 501 || res.Proto != "HTTP/2.0" || res.Body != "HTTP/2.0 /ws\n" {
		t.Errorf("got %+v, %v", res, err)
	}
	if h := <-head; h.Get("Sec-WebSocket-Key") != Key || h.Get("Upgrade") != "" {
		t.Errorf("the handler saw %v", h)
	}
	if _, err := KeyOverHTTP2(patient(t), serve(t, TLSPort)); err == nil || !strings.Contains(err.Error(), "no application protocol") {
		t.Errorf("a server without h2: %v", err)
	}
}
