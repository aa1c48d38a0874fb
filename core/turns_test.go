package core

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/journal"
	"github.com/quietws/quietws/core/internal/journal/logtest"
)

// A failing path is remembered until it passes; the number of paths is limited.
func TestTurns(t *testing.T) {
	var all healthChanges
	for _, step := range []struct {
		ok   bool
		want journal.Special
	}{{true, journal.Ordinary}, {false, journal.AppFailing}, {false, journal.Ordinary}, {true, journal.AppPassing}, {true, journal.Ordinary}, {false, journal.AppFailing}} {
		if got := all.note("/health", step.ok); got != step.want {
			t.Errorf("well %t: %d, want %d", step.ok, got, step.want)
		}
	}
	if all.note("/"+strings.Repeat("a", journal.MaxText), false) != journal.Ordinary {
		t.Error("a long path is remembered")
	}
	for i := range 2 * maxFailing {
		all.note(fmt.Sprint("/", i), false)
	}
	if len(all.paths) != maxFailing {
		t.Errorf("%d paths are remembered, want %d", len(all.paths), maxFailing)
	}
}

// A failure of an application's health route during a drain is not news.
func TestTurnsWhileDraining(t *testing.T) {
	g, log := newGuardAndLog(t, Config{}, slog.LevelInfo)
	a := g.Adapter().Owner(func(Head) (bool, bool) { return true, true })
	drained(t, g)
	q := a.BeginHTTP(asked("GET", "/own", agent(kubelet)))
	q.Wrap(&handsOver{}, asked("GET", "/own"))
	q.Answered(503, nil)
	q.Done(503, nil)
	for _, l := range linesLoggedBy(t, g, log) {
		if l.Msg == appFails {
			t.Errorf("%v", l)
		}
	}
}

const appFails = "the application's health route fails"

// Which probers are said to use the wrong path, and when it is unknown who answered.
func TestProbesThatTheApplicationAnswers(t *testing.T) {
	const failing, offSocket = appFails, "a probe of a WebSocket route: answered by the application, counted, no longer logged"
	for _, row := range []struct {
		rule    string
		path    string
		agent   string
		from    string
		at      bool // it has reached Endpoint
		status  int
		class   event.Class
		message string // "": the class's own
		remedy  string
	}{
		{"503 of an exact route", "/own", kubelet, inside, false, 503, event.HTTPProbe, failing, "Config.AppHealth"},
		{"500 of an exact route", "/own", kubelet, inside, false, 500, event.ProbeFailing, "", "Config.ProbePaths"},
		{"503 of a catch-all: the line names both", "/elsewhere", kubelet, inside, false, 503, event.ProbeFailing, "", "Config.AppHealth"},
		{"503 of one that is listed", "/listed", kubelet, inside, false, 503, event.HTTPProbe, failing, ""},
		{"the same to any client inside", "/listed", "", inside, false, 503, event.HTTPProbe, failing, ""},
		{"the same to an unknown client", "/listed", kubelet, internet, false, 503, event.HTTPProbe, "", ""},
		{"4xx at Endpoint", "/own", kubelet, inside, true, 426, event.HTTPProbe, offSocket, "Config.ProbePaths"},
		{"503 at Endpoint", "/own", kubelet, inside, true, 503, event.HTTPProbe, failing, "Config.AppHealth"},
		{"4xx at Endpoint of a path that is listed", "/listed", kubelet, inside, true, 404, event.HTTPProbe, failing, ""},
		{"4xx elsewhere", "/own", kubelet, inside, false, 404, event.ProbeFailing, "", "Config.ProbePaths"},
	} {
		g, log := newGuardAndLog(t, Config{AppHealth: []string{"/listed"}}, slog.LevelInfo)
		a := g.Adapter().Owner(func(h Head) (bool, bool) { return h.Path() == "/own" || h.Path() == "/listed", true })
		r := asked("GET", row.path, agent(row.agent), peerAt(row.from))
		q := a.BeginHTTP(r)
		if row.at {
			q.Request = a.Endpoint(q.Request, httpHead{r}, row.path, nil)
		}
		q.Wrap(&handsOver{}, r)
		q.Answered(row.status, nil)
		q.Done(row.status, nil)
		lines := slices.DeleteFunc(linesLoggedBy(t, g, log), func(l logtest.Line) bool { return l.Msg == "health routes" })
		if row.from == internet {
			if len(lines) != 0 {
				t.Errorf("%s: %v", row.rule, lines)
			}
			continue
		}
		if len(lines) != 1 {
			t.Errorf("%s: %v, want one line", row.rule, lines)
			continue
		}
		l := lines[0]
		message := row.message
		if message == "" {
			message = map[event.Class]string{event.HTTPProbe: "probe seen: counted, no longer logged", event.ProbeFailing: "probe failing"}[row.class]
		}
		if l.Msg != message || l.Attrs["class"].String() != row.class.String() || !strings.Contains(l.Attrs["remedy"].String(), row.remedy) || row.remedy == "" && slices.Contains(l.Keys, "remedy") {
			t.Errorf("%s: %v", row.rule, l)
		}
	}
}
