package core

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// Filters of access logs, metrics and traces use IsProbe: requests for which it is true
// disappear from them.
func TestIsProbe(t *testing.T) {
	c := Config{ProbePaths: []string{"/"}, Routes: Routes{Live: "/up"}, AppHealth: []string{"/health"}}
	for _, row := range []struct {
		rule string
		r    *http.Request
		want bool
	}{
		{"a request for the application", asked("GET", "/app"), false},
		{"a prober's User-Agent from the internet on a path of the application", asked("GET", "/admin", agent(kubelet), peerAt(internet)), false},
		{"a known prober from inside on a path of the application", asked("GET", "/admin", agent(kubelet)), false},
		{"a handshake by a prober's User-Agent", handshake(agent(kubelet), peerAt(inside)), false},
		{"a handshake on a health route", handshake(at("/up"), peerAt(inside)), false},
		{"the application's own health route, requested by a browser", asked("GET", "/readyz"), false},
		{"the application's own health route, asked by a prober's User-Agent from the internet", asked("GET", "/readyz", agent(kubelet), peerAt(internet)), false},
		{"the application's own health route, asked by POST", asked("POST", "/readyz", agent(kubelet)), false},
		{"a probe path requested by a browser", asked("GET", "/"), false},
		{"a probe path asked by POST", asked("POST", "/", agent(kubelet)), false},
		{"a known prober from inside on the application's own health route", asked("GET", "/readyz", agent(kubelet)), true},
		{"the same by HEAD", asked("HEAD", "/readyz", agent(kubelet)), true},
		{"a health route of the guard", asked("GET", "/up"), true},
		{"a health route of the guard, from the internet", asked("GET", "/up", peerAt(internet)), true},
		{"a probe path asked by a known prober", asked("GET", "/", agent(kubelet)), true},
		{"a health route that the application answers itself, from the internet", asked("GET", "/health", peerAt(internet)), true},
		{"the same by HEAD", asked("HEAD", "/health"), true},
		{"the same by POST", asked("POST", "/health", agent(kubelet)), false},
		{"a path below it", asked("GET", "/health/"), false},
		{"a handshake on it", handshake(at("/health"), peerAt(inside)), false},
		{"a known prober on a route of Handler", asked("GET", "/socket", agent(kubelet)), true},
		{"the same from the internet, which gets the answer and stays in the log", asked("GET", "/socket", agent(kubelet), peerAt(internet)), false},
	} {
		g := quietGuard(t, c)
		g.paths.learn("/socket", "GET")
		l := g.layer(appRoutes())
		if got := g.IsProbe(row.r); got != row.want {
			t.Errorf("%s, before the chain: %v", row.rule, got)
		}
		// After the chain a filter has the request that the layer passed on.
		q := l.a.BeginHTTP(row.r)
		_, r := q.Wrap(httptest.NewRecorder(), row.r)
		if got := g.IsProbe(r); got != row.want {
			t.Errorf("%s, inside the chain: %v", row.rule, got)
		}
		q.Done(200, nil)
		if got := g.IsProbe(r); got != row.want {
			t.Errorf("%s, after the chain: %v", row.rule, got)
		}
		if n := g.Snapshot().SessionsOpen; n != 0 {
			t.Errorf("%d sessions", n)
		}
	}
}
