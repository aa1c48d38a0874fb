package core

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
)

// A default health path is the application's where it has exactly that route.
func TestMuxOwner(t *testing.T) {
	mux := http.NewServeMux()
	for _, pattern := range []string{"/livez", "GET /readyz", "POST /startupz", "/deep/sub/", "/{key}", "example.org/healthz", "/files/{rest...}"} {
		mux.Handle(pattern, nothing)
	}
	o := &muxOwner{mux: mux, known: make(map[hostPath]*ownedPath)}
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
		for round := range 2 { // the second comes from memory
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

// A health path with a pattern in the mux is the application's for every method,
// whichever method comes first.
func TestMuxOwnerWhateverTheMethod(t *testing.T) {
	methods := []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
	for _, row := range []struct {
		rule, pattern string
		owned         bool
	}{
		{"no pattern", "GET /app", false},
		{"a wildcard", "POST /{any}", false},
		{"a subtree is not its content", "POST /", false},
		{"POST", "POST /healthz", true},
		{"PUT", "PUT /healthz", true},
		{"PATCH", "PATCH /healthz", true},
		{"DELETE", "DELETE /healthz", true},
		{"OPTIONS", "OPTIONS /healthz", true},
		{"GET", "GET /healthz", true},
		{"every method", "/healthz", true},
		{"with a host", "POST example.com/healthz", true},
	} {
		for _, first := range methods {
			g := quietGuard(t, Config{})
			mux := http.NewServeMux()
			mux.HandleFunc(row.pattern, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusCreated) })
			h := g.Wrap(mux)
			for _, method := range append([]string{first}, methods...) {
				got, bare := httptest.NewRecorder(), httptest.NewRecorder()
				r := httptest.NewRequest(method, "http://example.com/healthz", nil)
				h.ServeHTTP(got, r)
				mux.ServeHTTP(bare, r)
				if row.owned && got.Code != bare.Code {
					t.Errorf("%s: %s after %s was answered %d, by the mux alone %d", row.rule, method, first, got.Code, bare.Code)
				}
				if !row.owned && method == "GET" && got.Code != http.StatusOK {
					t.Errorf("%s: GET after %s was answered %d, want the health answer", row.rule, first, got.Code)
				}
			}
		}
	}
}

// If the mux contains a framework, its routes are the application's too.
func TestMuxOwnerWithAFrameworkInside(t *testing.T) {
	g := quietGuard(t, Config{})
	g.Adapter().Owner(func(h Head) (owned, asked bool) { return h.Path() == "/readyz", true })
	mux := http.NewServeMux()
	mux.Handle("/", nothing)
	mux.Handle("/startupz", nothing)
	l := g.layer(mux)
	for path, want := range map[string]bool{"/readyz": true, "/startupz": true, "/livez": false} {
		if owned, _ := l.a.owns(httpHead{asked("GET", path)}, false); owned != want {
			t.Errorf("%s: owned %t, want %t", path, owned, want)
		}
	}
}
