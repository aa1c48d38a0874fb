package core

import (
	"fmt"
	"net/http"
	"testing"
)

// A default health path is the application's where it has exactly that route.
func TestMuxOwner(t *testing.T) {
	mux := http.NewServeMux()
	for _, pattern := range []string{"/livez", "GET /readyz", "POST /startupz", "/deep/sub/", "/{key}", "example.org/healthz", "/files/{rest...}"} {
		mux.Handle(pattern, nothing)
	}
	o := &muxOwner{mux: mux, known: make(map[hostPath]bool)}
	for _, row := range []struct {
		rule, host, path string
		want             bool
	}{
		{"an exact pattern", "a", "/livez", true},
		{"an exact pattern for GET", "a", "/readyz", true},
		{"a wildcard", "a", "/anything", false},
		{"an exact pattern for another method", "a", "/startupz", true},
		{"on that host", "example.org", "/healthz", true},
		{"on another host", "a", "/healthz", false},
		{"a subtree's path without its slash: it redirects", "a", "/deep/sub", true},
		{"below a subtree", "a", "/deep/sub/x", false},
		{"nothing", "a", "/x/y", false},
		{"a wildcard of many segments", "a", "/files/x", false},
	} {
		for round := range 2 { // the second is from memory
			owned, asked := o.owns(httpHead{asked("GET", row.path, func(r *http.Request) { r.Host = row.host })})
			if !asked || owned != row.want {
				t.Errorf("%s, round %d: owned %v, asked %v", row.rule, round, owned, asked)
			}
		}
	}
	for i := range 10 * maxHosts {
		o.owns(httpHead{asked("GET", "/livez", func(r *http.Request) { r.Host = fmt.Sprint("host", i) })})
	}
	if len(o.known) > maxHosts {
		t.Errorf("%d hosts are remembered, which are the clients' words", len(o.known))
	}
}
