package core

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/conn"
)

const (
	kubelet  = "kube-probe/1.30"
	inside   = "10.0.0.9:4711"
	internet = "203.0.113.9:4711"
)

// asked is a request that is not a handshake.
func asked(m, path string, change ...func(*http.Request)) *http.Request {
	r := httptest.NewRequest(m, path, nil)
	r.Host, r.RemoteAddr = "example.com", inside
	for _, c := range change {
		c(r)
	}
	return r
}

// bareHTTP10 leaves only what HAProxy's "option httpchk" sends by default.
func bareHTTP10(r *http.Request) {
	r.Proto, r.ProtoMajor, r.ProtoMinor, r.Host = "HTTP/1.0", 1, 0, ""
	r.Header = make(http.Header)
}

func agent(ua string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("User-Agent", ua) }
}
func peerAt(addr string) func(*http.Request) { return func(r *http.Request) { r.RemoteAddr = addr } }
func at(path string) func(*http.Request)     { return func(r *http.Request) { r.URL.Path = path } }

// appRoutes has an exact route, a subtree, a wildcard and a catch-all.
func appRoutes() *http.ServeMux {
	mux := http.NewServeMux()
	for _, pattern := range []string{"/readyz", "GET /startupz", "/{key}", "/"} {
		mux.Handle(pattern, nothing)
	}
	return mux
}

// What a request is before any handler has run.
func TestJudge(t *testing.T) {
	for _, row := range []struct {
		rule   string
		c      Config
		r      *http.Request
		kind   verdict
		status int  // of the answer, 0: none
		plain  bool // not a candidate: an ordinary request
	}{
		// Requests of the application's.
		{"a browser's request", Config{}, asked("GET", "/app"), verdictPass, 0, true},
		{"a prober's User-Agent from the internet, on a path of the application", Config{}, asked("GET", "/admin", agent(kubelet), peerAt(internet)), verdictPass, 0, true},
		{"a known prober from a platform's address, on a path of the application: its answer is looked at", Config{}, asked("GET", "/admin", agent(kubelet)), verdictPass, 0, false},
		{"a path that begins like a health route", Config{}, asked("GET", "/livez/x"), verdictPass, 0, true},
		{"a health route in other letter case", Config{}, asked("GET", "/Livez"), verdictPass, 0, true},
		{"a route that is off", Config{Routes: Routes{Live: "-"}}, asked("GET", "/livez"), verdictPass, 0, true},
		{"a default path whose route has another path", Config{Routes: Routes{Live: "/up"}}, asked("GET", "/livez"), verdictPass, 0, true},
		{"a default path that is the application's exact route", Config{}, asked("GET", "/readyz"), verdictPass, 0, true},
		{"a default path that is the application's for GET", Config{}, asked("GET", "/startupz"), verdictPass, 0, true},
		{"the same, asked by a known prober: its answer is looked at", Config{}, asked("GET", "/readyz", agent(kubelet)), verdictPass, 0, false},
		{"a probe path requested by a browser", Config{ProbePaths: []string{"/"}}, asked("GET", "/"), verdictPass, 0, true},
		{"a probe path asked by POST", Config{ProbePaths: []string{"/"}}, asked("POST", "/", agent(kubelet)), verdictPass, 0, false},
		{"a known prober that sends something to the application", Config{}, asked("POST", "/app", agent(kubelet)), verdictPass, 0, true},

		{"the application's health route", Config{AppHealth: []string{"/health"}}, asked("GET", "/health"), verdictPass, 0, false},
		{"the same by POST", Config{AppHealth: []string{"/health"}}, asked("POST", "/health"), verdictPass, 0, true},

		// Health routes.
		{"a default path that only a catch-all has", Config{}, asked("GET", "/livez"), verdictProbe, 200, false},
		{"a default path that only a wildcard has", Config{}, asked("HEAD", "/healthz"), verdictProbe, 200, false},
		{"HAProxy asks by OPTIONS", Config{}, asked("OPTIONS", "/healthz"), verdictProbe, 200, false},
		{"from the internet too", Config{}, asked("GET", "/healthz", peerAt(internet)), verdictProbe, 200, false},
		{"another method", Config{}, asked("POST", "/livez"), verdictProbe, 405, false},
		{"HAProxy's check as it comes: if the application has no answer it is ours", Config{}, asked("OPTIONS", "/", bareHTTP10), verdictPass, 0, false},
		{"the same on a probe path", Config{ProbePaths: []string{"/"}}, asked("OPTIONS", "/", bareHTTP10), verdictProbe, 200, false},
		{"the same from the internet", Config{}, asked("OPTIONS", "/", bareHTTP10, peerAt(internet)), verdictPass, 0, true},
		{"the same by GET", Config{}, asked("GET", "/", bareHTTP10), verdictPass, 0, true},
		{"a browser's question before another origin's request", Config{}, asked("OPTIONS", "/", agent("Mozilla/5.0 (X11) Gecko/1 Firefox/1.0")), verdictPass, 0, true},
		{"a question about the whole server", Config{}, asked("OPTIONS", "/", at("*")), verdictPass, 0, false},
		{"the same from the internet", Config{}, asked("OPTIONS", "/", at("*"), peerAt(internet)), verdictPass, 0, true},
		{"a named path is answered before the application", Config{Routes: Routes{Ready: "/readyz"}}, asked("GET", "/readyz"), verdictProbe, 200, false},
		{"a named path of any name", Config{Routes: Routes{Ready: "/key"}}, asked("GET", "/key"), verdictProbe, 200, false},
		{"a probe path asked by a known prober", Config{ProbePaths: []string{"/"}}, asked("GET", "/", agent(kubelet)), verdictProbe, 200, false},
		{"a probe path asked by HEAD", Config{ProbePaths: []string{"/"}}, asked("HEAD", "/", agent(kubelet)), verdictProbe, 200, false},
		{"a probe path, from the internet: harmless", Config{ProbePaths: []string{"/"}}, asked("GET", "/", agent(kubelet), peerAt(internet)), verdictProbe, 200, false},

		// A request that asks to upgrade is never a probe.
		{"a handshake", Config{}, handshake(peerAt(inside)), verdictUpgrade, 0, false},
		{"a handshake with a prober's User-Agent", Config{}, handshake(peerAt(inside), agent(kubelet)), verdictUpgrade, 0, false},
		{"a handshake on a health route", Config{}, handshake(peerAt(inside), at("/livez")), verdictUpgrade, 0, false},
		{"a handshake on a named health route, by a prober", Config{Routes: Routes{Live: "/up"}}, handshake(peerAt(inside), at("/up"), agent(kubelet)), verdictUpgrade, 0, false},
		{"a handshake on a probe path, by a prober", Config{ProbePaths: []string{"/ws"}}, handshake(peerAt(inside), agent(kubelet)), verdictUpgrade, 0, false},
		{"what a proxy left of a handshake", Config{}, handshake(peerAt(inside), with("Upgrade"), with("Connection"), agent(kubelet)), verdictUpgrade, 0, false},
		{"a bad handshake is the application's to refuse", Config{}, handshake(peerAt(inside), with("Sec-Websocket-Version", "8")), verdictUpgrade, 0, false},

		// ObserveOnly answers and refuses nothing.
		{"observing: a health route", Config{ObserveOnly: true}, asked("GET", "/livez"), verdictPass, 0, false},
		{"observing: a named one", Config{ObserveOnly: true, Routes: Routes{Live: "/up"}}, asked("GET", "/up"), verdictPass, 0, false},
		{"observing: a probe path", Config{ObserveOnly: true, ProbePaths: []string{"/"}}, asked("GET", "/", agent(kubelet)), verdictPass, 0, false},
		{"observing: a handshake", Config{ObserveOnly: true}, handshake(peerAt(inside)), verdictUpgrade, 0, false},
	} {
		g := quietGuard(t, row.c)
		q := g.layer(appRoutes()).a.BeginHTTP(row.r)
		v := q.decision()
		if v.verdict != row.kind || v.answer.Status != row.status || q.Candidate() == row.plain || v.err != nil {
			t.Errorf("%s: kind %d, status %d, candidate %v, %v; want kind %d, status %d, candidate %v",
				row.rule, v.verdict, v.answer.Status, q.Candidate(), v.err, row.kind, row.status, !row.plain)
		}
		q.Done(200, nil)
	}
}

// On a WebSocket route: Endpoint refuses only what RFC 6455 forbids and a
// library would accept, and never looks at Origin; Handler owns its route.
func TestJudgeAtARoute(t *testing.T) {
	foreign := with("Origin", "https://elsewhere.example")
	for _, row := range []struct {
		rule              string
		r                 *http.Request
		endpoint, handler int // the status of our answer, 0: the route's own
		reason            event.Reason
	}{
		{"a good handshake", handshake(), 0, 0, event.NoReason},
		{"of the same origin", handshake(with("Origin", "https://example.com")), 0, 0, event.NoReason},
		{"of another origin", handshake(foreign), 0, 403, event.ReasonOriginForbidden},
		{"by a prober's User-Agent", handshake(agent(kubelet)), 0, 0, event.NoReason},
		{"a browser", asked("GET", "/ws"), 0, 426, event.ReasonNotUpgrade},
		{"a POST", asked("POST", "/ws"), 0, 405, event.ReasonBadMethod},
		{"a handshake by POST", handshake(method("POST")), 0, 405, event.ReasonBadMethod},
		{"what a proxy left", handshake(with("Upgrade")), 0, 426, event.ReasonUpgradeStripped},
		{"another version", handshake(with("Sec-Websocket-Version", "8")), 0, 400, event.ReasonBadVersion},
		{"no key", handshake(with("Sec-Websocket-Key")), 0, 400, event.ReasonMissingKey},
		{"two keys, which gorilla accepts", handshake(with("Sec-Websocket-Key", goodKey, goodKey)), 400, 400, event.ReasonDuplicateKey},
		{"a bad key, which the libraries of net/http refuse themselves", handshake(with("Sec-Websocket-Key", "x")), 0, 400, event.ReasonBadKey},
		{"the version twice on one line", handshake(with("Sec-Websocket-Version", "13, 13")), 0, 0, event.NoReason},
		{"HTTP/1.0, which gorilla accepts", handshake(http10), 426, 426, event.ReasonHTTP10},
		{"HTTP/2", handshake(http2, with("Upgrade"), with("Connection")), 0, 501, event.ReasonHTTP2},
		{"two faults: the first of the list", handshake(foreign, with("Sec-Websocket-Version", "8")), 0, 400, event.ReasonBadVersion},
	} {
		for kind, status := range map[string]int{"Endpoint": row.endpoint, "Handler": row.handler} {
			g := quietGuard(t, Config{})
			a := g.Adapter()
			q := a.AtEndpoint(row.r, "/ws", nil)
			if kind == "Handler" {
				q = a.AtEndpoint(row.r, "/ws", new(Origins))
			}
			v := q.decision()
			if v.answer.Status != status || (v.verdict == verdictRefuse) != (status != 0) || v.verdict == verdictProbe {
				t.Errorf("%s, at %s: kind %d with %d, want %d", row.rule, kind, v.verdict, v.answer.Status, status)
			}
			if status != 0 && (v.err == nil || v.err.Reason != row.reason || v.err.Status != status) {
				t.Errorf("%s, at %s: %v, want %v", row.rule, kind, v.err, row.reason)
			}
			q.Done(status, nil)
		}
	}
	g := quietGuard(t, Config{})
	for rule, origins := range map[string]*Origins{"a pattern": {Patterns: []string{"elsewhere.*"}}, "every origin": {Any: true}} {
		q := g.Adapter().AtEndpoint(handshake(foreign), "/ws", origins)
		if v := q.decision(); v.verdict != verdictUpgrade {
			t.Errorf("%s lets a foreign page in: kind %d, %v", rule, v.verdict, v.err)
		}
		q.Done(101, nil)
	}
}

// On a route of Handler a known prober gets the health answer, whatever its method; on
// its path also for a method without a route. A route of Endpoint, and one next to
// Handler's, answers it itself.
func TestJudgeProberAtARoute(t *testing.T) {
	for _, m := range []string{"GET", "HEAD", "OPTIONS", "POST", "PUT"} {
		for _, from := range []string{inside, internet} {
			g := quietGuard(t, Config{})
			a := g.Adapter()
			r := asked(m, "/ws", agent(kubelet), peerAt(from))
			answers := func(when string, status int, ours bool) {
				t.Helper()
				q := a.BeginHTTP(r)
				if v := q.decision(); v.verdict != verdictPass {
					t.Errorf("%s %s: kind %d", m, when, v.verdict)
				}
				answer, got := q.fallback(httpHead{r}, status)
				if got != ours {
					t.Errorf("%s %s, answered %d: ours %v", m, when, status, got)
				}
				header := make(http.Header)
				for _, f := range answer.Header {
					header[f.Name] = f.Values
				}
				if ours && (answer.Status != 200 || header.Get("Vary") != "User-Agent" || header.Get("Cache-Control") != "no-store") {
					t.Errorf("%s %s: answered %d %v", m, when, answer.Status, header)
				}
				q.Done(status, nil)
			}
			answers("before the route is known", 405, false)
			at := a.AtEndpoint(r, "/ws", nil)
			if v := at.decision(); v.verdict != verdictPass {
				t.Errorf("%s at Endpoint: kind %d", m, v.verdict)
			}
			at.Done(405, nil)
			answers("when Endpoint's route is known", 405, false)
			g.paths.learn("/ws", "PUT") // a route of Handler for another purpose
			read := m == "GET" || m == "HEAD" || m == "OPTIONS"
			answers("when PUT is known to be Handler's", 405, false)
			g.paths.learn("/ws", "GET")
			if m != "GET" {
				if got := g.IsProbe(r); got != (read && from == inside) {
					t.Errorf("%s from %s is a probe: %t", m, from, got)
				}
				answers("when GET is known to be Handler's", 405, read)
				answers("when GET is known to be Handler's", 404, read)
				answers("on another route of that path", 403, false)
				answers("on another route of that path", 200, false)
			}
			at = a.AtEndpoint(r, "/ws", &Origins{Any: true})
			if v := at.decision(); v.verdict != verdictProbe || v.answer.Status != 200 {
				t.Errorf("%s at Handler: kind %d, status %d", m, v.verdict, v.answer.Status)
			}
			at.Done(200, nil)
			again := a.BeginHTTP(r)
			if v := again.decision(); (v.verdict == verdictProbe) != read {
				t.Errorf("%s when it is known to be Handler's: kind %d", m, v.verdict)
			}
			again.Done(200, nil)
			other := a.BeginHTTP(asked(m, "/ws", peerAt(from)))
			if other.Candidate() {
				t.Errorf("%s by a browser is a candidate", m)
			}
			other.Done(426, nil)
		}
	}
}

// An exchange that a drain may have found on its connection is not reused.
func TestJudgeRecycles(t *testing.T) {
	g := quietGuard(t, Config{})
	near, far := net.Pipe()
	defer func() { _ = errors.Join(near.Close(), far.Close()) }()
	c := conn.New(near, &conn.Source{Watch: g.watch}, conn.Accepted)
	a := g.Adapter()
	h := httpHead{asked("GET", "/ws/1", agent(kubelet), peerAt(inside))}
	q := HTTPRequest{Request: a.begin(h, c, nil)}
	x := occupantOf(c)
	if x == nil {
		t.Fatal("it is not found on its connection")
	}
	q.Request = a.Endpoint(q.Request, h, "", &Origins{Any: true})
	if !q.Answer(httptest.NewRecorder(), h.r) {
		t.Fatal("not answered")
	}
	if x.g != g || x.verdict != verdictProbe {
		t.Error("it was given up for use again")
	}
}

// What can be learned of WebSocket paths is limited, whatever clients request.
func TestLearnIsBounded(t *testing.T) {
	g := quietGuard(t, Config{})
	a := g.Adapter()
	for i := range 10 * maxSockets {
		path := "/ws/" + strings.Repeat("x", i)
		q := a.AtEndpoint(asked("GET", path), path, &Origins{Any: true})
		q.Done(426, nil)
	}
	if m := g.paths.sockets.Load(); m == nil || len(*m) > maxSockets {
		t.Errorf("%v paths are remembered, want at most %d", m, maxSockets)
	}
}

// A request that a layer in between has answered, such as one that limits the time of its
// handlers, is no longer judged when it reaches its route.
func TestRouteAfterAnswer(t *testing.T) {
	for _, row := range []struct {
		rule string
		at   func(Adapter, *http.Request) HTTPRequest
	}{
		{"Endpoint", func(a Adapter, r *http.Request) HTTPRequest { return a.AtEndpoint(r, "/ws", nil) }},
		{"Handler", func(a Adapter, r *http.Request) HTTPRequest { return a.AtEndpoint(r, "/ws", new(Origins)) }},
	} {
		a := quietGuard(t, Config{}).Adapter()
		r := handshake(with("Sec-Websocket-Version", "8"))
		q := a.BeginHTTP(r)
		_, r = q.Wrap(httptest.NewRecorder(), r)
		q.Done(http.StatusServiceUnavailable, nil)
		late := row.at(a, r)
		if v := late.decision(); late.Candidate() || v.verdict != verdictPass {
			t.Errorf("%s: judged again: %+v", row.rule, v)
		}
	}
}

// HAProxy's default check from an address that is not a platform's is not a question
// about health. On a WebSocket route at / it is like any other request.
func TestServerCheckFromTheInternetAtEndpoint(t *testing.T) {
	for _, row := range []struct {
		rule string
		at   func(Adapter, *http.Request) HTTPRequest
	}{
		{"Endpoint", func(a Adapter, r *http.Request) HTTPRequest { return a.AtEndpoint(r, "/", nil) }},
		{"Handler", func(a Adapter, r *http.Request) HTTPRequest { return a.AtEndpoint(r, "/", new(Origins)) }},
	} {
		for _, r := range []*http.Request{asked("OPTIONS", "/", bareHTTP10, peerAt(internet)), asked("OPTIONS", "/", at("*"), peerAt(internet))} {
			q := row.at(quietGuard(t, Config{}).Adapter(), r)
			if v := q.decision(); q.Candidate() != (row.rule == "Handler") || q.Candidate() && (q.x.credited || q.x.route != NoRoute) {
				t.Errorf("%s, %s %s: %+v", row.rule, r.Method, r.RequestURI, v)
			}
			q.Done(http.StatusUpgradeRequired, nil)
		}
	}
}
