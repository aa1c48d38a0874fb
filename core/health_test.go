package core

import (
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/journal/logtest"
)

// healthFunc is a Health.
type healthFunc func(HealthQuery) (Answer, bool)

func (f healthFunc) Answer(q HealthQuery) (Answer, bool) { return f(q) }

func TestAnswerRoute(t *testing.T) {
	routes := []Route{RouteLive, RouteReady, RouteStartup, RouteHealth}
	teapot := textAnswer(418, "short and stout\n")
	for _, row := range []struct {
		rule  string
		c     Config
		drain bool
		want  [4]int // live, ready, startup, health
		ready bool
	}{
		{"no Health: always live, ready unless draining", Config{}, false, [4]int{200, 200, 200, 200}, true},
		{"no Health, draining: liveness and startup do not fail", Config{}, true, [4]int{200, 503, 200, 503}, false},
		{"a Health without an answer", Config{Health: healthFunc(func(HealthQuery) (Answer, bool) { return Answer{}, false })}, true, [4]int{200, 503, 200, 503}, false},
		{"a Health decides, draining too", Config{Health: healthFunc(func(HealthQuery) (Answer, bool) { return teapot, true })}, true, [4]int{418, 418, 418, 418}, false},
		{"a Health that is not ready", Config{Health: healthFunc(func(q HealthQuery) (Answer, bool) {
			return answerDraining, q.Route == RouteReady
		})}, false, [4]int{200, 503, 200, 200}, false},
		{"a Health that panics is not ready; the process is alive", Config{Health: healthFunc(func(HealthQuery) (Answer, bool) { panic("health") })},
			false, [4]int{200, 503, 503, 200}, false},
	} {
		g, log := newGuardAndLog(t, row.c, slog.LevelWarn)
		if row.drain {
			drained(t, g)
		}
		for i, route := range routes {
			if a := g.answerRoute(route, pathHead("/"), new(Answer)); a.Status != row.want[i] {
				t.Errorf("%s: %v is %d, want %d", row.rule, route, a.Status, row.want[i])
			}
			if a := g.answerRoute(route, httpHead{asked("DELETE", "/")}, new(Answer)); a.Status != 405 {
				t.Errorf("%s: DELETE %v is %d", row.rule, route, a.Status)
			}
		}
		if g.ready() != row.ready || g.Snapshot().Ready != row.ready {
			t.Errorf("%s: ready is %v", row.rule, !row.ready)
		}
		if lines := linesLoggedBy(t, g, log); (len(lines) > 0) != strings.Contains(row.rule, "panics") {
			t.Errorf("%s: logged %v", row.rule, lines)
		}
	}
}

// Details are shown only if Config.Details allows it. It is asked only for requests that
// ask for details. If it panics, they are not shown.
func TestShowDetails(t *testing.T) {
	plain, query, accept := asked("GET", "/healthz"), asked("GET", "/healthz?verbose"), asked("GET", "/healthz", with("Accept", "application/json"))
	for _, row := range []struct {
		rule    string
		details func(Head) bool
		want    [3]bool // plain, with a query, with Accept
	}{
		{"nil: never", nil, [3]bool{}},
		{"no", func(Head) bool { return false }, [3]bool{}},
		{"yes", func(Head) bool { return true }, [3]bool{false, true, true}},
		{"decided by the head", func(h Head) bool { return h.Query() == "verbose" }, [3]bool{false, true, false}},
		{"a panic", func(Head) bool { panic("details") }, [3]bool{}},
	} {
		var got [3]bool
		seen := 0
		g := quietGuard(t, Config{Details: row.details, Health: healthFunc(func(q HealthQuery) (Answer, bool) {
			got[seen] = q.Details
			seen++
			return Answer{}, false
		})})
		for _, r := range []*http.Request{plain, query, accept} {
			g.answerRoute(RouteHealth, httpHead{r}, new(Answer))
		}
		if got != row.want {
			t.Errorf("%s: details %v, want %v", row.rule, got, row.want)
		}
	}
}

// One line at the start says which side answers each health route.
func TestLogRoutes(t *testing.T) {
	g, log := newGuardAndLog(t, Config{Routes: Routes{Live: "/up", Startup: "-"}, ProbePaths: []string{"/"}}, slog.LevelInfo)
	h := g.Wrap(appRoutes())
	for range 3 {
		h.ServeHTTP(httptest.NewRecorder(), asked("GET", "/app"))
	}
	lines := linesLoggedBy(t, g, log)
	logtest.WantMessages(t, "logged once", lines, "health routes")
	logtest.WantAttrs(t, lines[0], map[string]string{"/up": "quietws", "/readyz": "application", "/healthz": "quietws", "/startupz": "-", "/": "-"})

	g, log = newGuardAndLog(t, Config{}, slog.LevelInfo)
	g.Wrap(nothing).ServeHTTP(httptest.NewRecorder(), asked("GET", "/app"))
	for path, who := range linesLoggedBy(t, g, log)[0].Attrs {
		if !strings.Contains(who.String(), "where the application has no route or middleware of its own") {
			t.Errorf("%s is logged as %q: the handler cannot be asked", path, who)
		}
	}
}

// If the guard answers no route, there is no line.
func TestLogNoRoutes(t *testing.T) {
	for _, c := range []Config{
		{ObserveOnly: true},
		{Routes: Routes{Live: "-", Ready: "-", Startup: "-", Health: "-"}},
	} {
		g, log := newGuardAndLog(t, c, slog.LevelInfo)
		g.Wrap(appRoutes()).ServeHTTP(httptest.NewRecorder(), asked("GET", "/app"))
		logtest.WantMessages(t, "no health route", linesLoggedBy(t, g, log))
	}
}

func TestRouteWords(t *testing.T) {
	for r, want := range map[Route]string{NoRoute: "", RouteLive: "live", RouteReady: "ready", RouteStartup: "startup", RouteHealth: "health", routes: "", 200: ""} {
		if r.String() != want {
			t.Errorf("Route(%d) is %q, want %q", r, r, want)
		}
	}
}

// panicking is a Health that panics.
type panicking struct{}

func (panicking) Answer(HealthQuery) (Answer, bool) { panic("health") }

// A panic of a Health is logged, and the answer is that it is not ready. It does not
// decide whether the process is alive.
func TestHealthThatPanics(t *testing.T) {
	for _, s := range stands4 {
		for path, status := range map[string]string{"/livez": "200 OK", "/readyz": "503 Service Unavailable", "/startupz": "503 Service Unavailable", "/healthz": "200 OK"} {
			t.Run(path+"/"+s.name, func(t *testing.T) {
				g, log := newGuardAndLog(t, Config{Health: panicking{}}, slog.LevelError)
				address := s.serve(t, g, &http.Server{Handler: http.NewServeMux()})
				got := heard(t, address, "GET "+path+" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
				if !strings.HasPrefix(got, "HTTP/1.1 "+status+"\r\n") || strings.Contains(got, "health\r\n") {
					t.Errorf("answered %q, want %s", got, status)
				}
				waitClosed(t, g)
				if n := g.Snapshot().Open; n != 0 {
					t.Errorf("%d connections are open", n)
				}
				lines := linesLoggedBy(t, g, log)
				if len(lines) == 0 {
					t.Fatal("nothing was logged")
				}
				for _, l := range lines {
					logtest.WantMessages(t, "logged", []logtest.Line{l}, "callback panicked")
					logtest.WantAttrs(t, l, map[string]string{"callback": "Health", "panic": "health"})
				}
			})
		}
	}
}

// For each probe that fails, a Health is asked whether the server is ready. If it panics,
// the server is not.
func TestHealthThatPanicsIsNotReady(t *testing.T) {
	g := quietGuard(t, Config{Health: panicking{}})
	if g.ready() {
		t.Error("ready")
	}
}

// Paths that clients request on a route with wildcards are not learned: clients choose
// them, as many and as long as they like.
func TestHandlerLearnsNoPathsOfClients(t *testing.T) {
	g := quietGuard(t, Config{})
	mux := http.NewServeMux()
	for _, pattern := range []string{"GET /rooms/{room}", "/ws"} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			q := g.Adapter().AtEndpoint(r, patternPath(r.Pattern), &Origins{Any: true})
			q.Answer(w, r)
		})
	}
	address := served(t, &http.Server{Handler: g.Wrap(mux)}, func(ln net.Listener) net.Listener { return ln })
	for _, path := range []string{"/rooms/1", "/rooms/2", "/rooms/" + strings.Repeat("a", 1000), "/ws"} {
		heard(t, address, "GET "+path+" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	}
	if m := g.paths.sockets.Load(); m == nil || len(*m) != 1 || (*m)["/ws"] == 0 {
		t.Errorf("learned %v, want /ws alone", m)
	}
}

// HAProxy's default "option httpchk" asks for the whole server. The application's answer
// stays; that it has no route for it is not a failure.
func TestWholeServer(t *testing.T) {
	for _, row := range []struct {
		rule     string
		app      int
		draining bool
		want     int
		class    event.Class
	}{
		{"the application has no such page", 404, false, 200, event.HTTPProbe},
		{"the application has it for GET", 405, false, 200, event.HTTPProbe},
		{"the same while draining", 405, true, 503, event.HTTPProbe},
		{"the application answers", 204, false, 204, event.HTTPProbe},
		{"the application fails", 500, false, 500, event.ProbeFailing},
	} {
		t.Run(row.rule, func(t *testing.T) {
			events := new(book)
			g := quietGuard(t, Config{Observe: events.observe})
			quiet := false
			h := g.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(row.app)
				quiet = g.IsProbe(r)
			}))
			if row.draining {
				drained(t, g)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, asked("OPTIONS", "/", bareHTTP10))
			if w.Code != row.want {
				t.Errorf("answered %d, want %d", w.Code, row.want)
			}
			if !quiet {
				t.Error("an access log is to have it")
			}
			if got := events.of(t, g, row.class); len(got) != 1 || got[0].Prober != "haproxy" {
				t.Errorf("%v of haproxy: %+v", row.class, got)
			}
		})
	}
}
