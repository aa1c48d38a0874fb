package core

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// replies is an application with given replies.
type replies struct {
	version uint64
	exact   string
	asked   []string
	reply   func() Reply
}

func (r *replies) application() Application {
	return Application{
		Key:     r,
		Version: func() uint64 { return r.version },
		Exact:   func(path string) bool { return path == r.exact },
		Ask: func(h Head) func() Reply {
			r.asked = append(r.asked, h.Path())
			return r.reply
		},
	}
}

// The application is asked once who answers a default health path, as long as its route
// table is the same.
func TestWhoAnswersIsAskedOnce(t *testing.T) {
	middleware := func(status int, contentType string) func() Reply {
		return func() Reply { return Reply{status, contentType, true} }
	}
	for _, row := range []struct {
		rule  string
		reply func() Reply
		owned bool
		wait  time.Duration
	}{
		{"a middleware that answers 200", middleware(200, "text/plain; charset=utf-8"), true, 0},
		{"a middleware that answers 503", middleware(503, "application/json"), true, 0},
		{"a middleware with a page for all paths", middleware(200, "Text/HTML; charset=utf-8"), false, 0},
		{"a redirect", middleware(302, ""), false, 0},
		{"a middleware that refuses everyone", middleware(401, "text/plain"), false, 0},
		{"an error of a middleware", middleware(500, "text/plain"), false, 0},
		{"a catch-all", func() Reply { return Reply{200, "text/plain", false} }, false, 0},
		{"a panic", func() Reply { panic("broken") }, false, 0},
		{"a slow one", func() Reply { <-time.After(200 * time.Millisecond); return Reply{200, "text/plain", true} }, true, 200 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			g := quietGuard(t, Config{})
			app := &replies{reply: row.reply}
			a := g.Adapter().Asks(app.application())
			same := g.Adapter().Asks(app.application()) // of another layer
			if owned, asked := a.owns(pathHead("/readyz"), true); owned || asked || len(app.asked) != 0 {
				t.Errorf("%s: a look is %t, %t, asked %q", row.rule, owned, asked, app.asked)
			}
			begun := time.Now()
			for range 3 {
				for _, a := range []Adapter{a, same} {
					if owned, asked := a.owns(pathHead("/readyz"), false); owned != row.owned || !asked {
						t.Errorf("%s: owned %t, asked %t", row.rule, owned, asked)
					}
				}
			}
			if waited := time.Since(begun); waited != row.wait {
				t.Errorf("%s: waited %v", row.rule, waited)
			}
			if owned, asked := a.owns(pathHead("/readyz"), true); owned != row.owned || !asked {
				t.Errorf("%s: a look is then %t, %t", row.rule, owned, asked)
			}
			a.owns(pathHead("/livez"), false)
			app.version++
			a.owns(pathHead("/readyz"), false)
			if got := strings.Join(app.asked, " "); got != "/readyz /livez /readyz" {
				t.Errorf("%s: asked for %q", row.rule, got)
			}
			app.version, app.exact = app.version+1, "/readyz"
			if owned, asked := a.owns(pathHead("/readyz"), true); !owned || !asked || len(app.asked) != 3 {
				t.Errorf("%s: a route of that path is owned %t, asked %t, %q", row.rule, owned, asked, app.asked)
			}
		})
	}
}

// An application that hangs delays the first question for a moment, and the others not at
// all. Its late reply still counts.
func TestAnApplicationThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := quietGuard(t, Config{})
		free := make(chan struct{})
		app := &replies{reply: func() Reply { <-free; return Reply{200, "", true} }}
		a := g.Adapter().Asks(app.application())
		for i, want := range []time.Duration{250 * time.Millisecond, 0, 0} {
			begun := time.Now()
			if owned, asked := a.owns(pathHead("/readyz"), false); owned || !asked {
				t.Errorf("question %d: owned %t, asked %t", i, owned, asked)
			}
			if got := time.Since(begun); got != want {
				t.Errorf("question %d waits %v, want %v", i, got, want)
			}
		}
		close(free)
		synctest.Wait()
		if owned, _ := a.owns(pathHead("/readyz"), false); !owned || len(app.asked) != 1 {
			t.Errorf("owned %t, asked %q", owned, app.asked)
		}
	})
}

// A question is not a request: it passes every layer and is not counted.
func TestAQuestionPasses(t *testing.T) {
	g := quietGuard(t, Config{Routes: Routes{Ready: "/readyz"}})
	a := g.Adapter()
	m := newLetter(asked("GET", "/readyz"), nil)
	MarkAsked(m)
	called := false
	q := a.Endpoint(a.BeginMessage(m), m, "/readyz", &Origins{Any: true})
	_ = q.Around(m, func() error { called = true; return nil }, nil)
	if !called || q.Candidate() || !a.IsProbeMessage(m) || g.paths.servedAt("/readyz") != 0 {
		t.Errorf("called %t, a candidate %t, quiet %t, learned %t", called, q.Candidate(), a.IsProbeMessage(m), g.paths.servedAt("/readyz") != 0)
	}
	if s := g.Snapshot(); len(s.Probes) != 0 || len(s.Handshakes) != 0 {
		t.Errorf("counted %v, %v", s.Probes, s.Handshakes)
	}
}
