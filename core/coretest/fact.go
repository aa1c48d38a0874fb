package coretest

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"strconv"
	"strings"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/probetest"
)

// fact is a row that repeats one action.
type fact struct {
	row
	does   string                                                            // a name in probetest.Scenarios
	do     func(context.Context, probetest.Target) (probetest.Result, error) // or what it does
	path   string                                                            // of the WebSocket route
	times  int                                                               // 0: five
	atOnce int                                                               // instead of times, if each takes long
	also   func(e *env, res probetest.Result)                                // more checks of the client's result
	want   Want                                                              // on every port and layer, except
	tls    *Want                                                             // under TLS
}

// library reports whether the application's own library serves the route.
func (f fact) library() bool {
	return strings.HasPrefix(f.path, "/own") || strings.HasPrefix(f.path, "/bare")
}

// unsaid is a status that depends on which side was faster.
const unsaid = -1

// asRow makes a row of f.
func (f fact) asRow() row {
	r := f.row
	r.fact = &f.want
	if f.library() && f.want.Class == event.SessionEnded {
		r.needs |= EndOfSession
	}
	r.run = func(e *env) {
		n := f.times
		if n == 0 {
			n = 5
		}
		if f.path != "" {
			e.target.Path = f.path
		}
		do := f.do
		if do == nil {
			do = e.find(f.does)
		}
		var results []probetest.Result
		if f.atOnce > 0 {
			n = f.atOnce
			results = e.atOnce(n, do)
		} else {
			results = e.times(n, do)
		}
		w := f.want
		if f.tls != nil && e.port == secure {
			w = *f.tls
		}
		switch l := e.limit; {
		case l != nil && l.newer != nil && results[0].Status == cmp.Or(l.answer, w.Status):
			w = l.newer(w)
		case l != nil && l.Instead != nil:
			w = l.Instead(w)
		}
		for _, res := range results {
			answer := w.Answer
			if answer == 0 {
				answer = w.Status
			}
			if answer > 0 && res.Status != answer {
				e.Errorf("the peer was answered %d, not %d", res.Status, answer)
			}
			if f.also != nil {
				f.also(e, res)
			}
		}
		e.became(w, n)
		e.accessed(w.access, n)
	}
	return r
}

func asRows(facts []fact) []row {
	rows := make([]row, len(facts))
	for i, f := range facts {
		rows[i] = f.asRow()
	}
	return rows
}

// became waits until n connections have ended, and checks that each was what w says, and
// that the log has the right lines and no others.
func (e *env) became(w Want, n int) {
	e.Helper()
	if w.Class != event.HTTP {
		e.until("there are events of class "+w.Class.String(), func() bool { return len(e.events.of(w.Class)) >= n })
	}
	e.close()
	e.eventsAre(w, n)
	e.counted(w, n)
	e.linesAre(w, n)
}

// eventsAre checks what Config.Observe got: one event for each connection.
func (e *env) eventsAre(w Want, n int) {
	e.Helper()
	if w.Class == event.HTTP {
		n = 0 // an ordinary request has no event
	}
	list := e.events.list()
	if w.Class == event.HandlerPanic && w.Status == 101 { // and the end of the session
		list = slices.DeleteFunc(list, func(ev event.Event) bool { return ev.Class == event.SessionEnded && ev.Session.End == "panic" })
	}
	if len(list) != n {
		e.Errorf("%d events, want %d of class %v", len(list), n, w.Class)
	}
	for _, ev := range list {
		if ev.Class != w.Class || ev.Reason != w.Reason || w.Status != unsaid && ev.Status != w.Status || ev.Prober != w.prober {
			e.Errorf("event %s\n\twant %v/%v status=%d prober=%q", describe(ev), w.Class, w.Reason, w.Status, w.prober)
			break
		}
		if ev.Class == event.SessionEnded && w.end != "" && ev.Session.End != w.orEnd && (ev.Session.End != w.end || ev.Session.Code != w.code) {
			e.Errorf("session ended %q with code %d, want %q with %d", ev.Session.End, ev.Session.Code, w.end, w.code)
			break
		}
	}
}

// counted checks the counters for n connections of class w.class.
func (e *env) counted(w Want, n int) {
	e.Helper()
	s := e.guard.Snapshot()
	if got := s.Closed[w.Class]; e.layer.counted() && got != uint64(n) {
		e.Errorf("connections of class %v: %d, want %d (%s)", w.Class, got, n, nonZero(s.Closed))
	}
	var results []core.HandshakeCount
	switch w.Class {
	case event.SessionEnded:
		results = []core.HandshakeCount{{Result: "accepted", N: uint64(n)}}
	case event.HandshakeRefused:
		results = []core.HandshakeCount{{Result: "refused", Reason: w.Reason, N: uint64(n)}}
	case event.UpgradeFailed:
		results = []core.HandshakeCount{{Result: "failed", Reason: w.Reason, N: uint64(n)}}
	}
	if len(results) != len(s.Handshakes) && w.Class != event.HandlerPanic || len(results) == 1 && len(s.Handshakes) == 1 && results[0] != s.Handshakes[0] {
		e.Errorf("handshakes counted: %v, want %v", s.Handshakes, results)
	}
	if w.Class.Probe() || w.Class == event.ProbeFailing {
		var got uint64
		for _, p := range s.Probes {
			if p.Class == w.Class && p.Prober == or(w.prober, "unknown") {
				got += p.N
			}
		}
		if got != uint64(n) {
			e.Errorf("probes counted of %v by %q: %d, want %d (%v)", w.Class, or(w.prober, "unknown"), got, n, s.Probes)
		}
	}
}

func or(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

// linesAre checks the log after n events like w and Close.
func (e *env) linesAre(w Want, n int) {
	e.Helper()
	logged := e.log.logged()
	lines := map[Logging]int{LogNothing: 0, LogOnce: 1, LogFull: min(n, 2)}[w.Logged]
	if len(logged) != lines {
		e.Errorf("%d lines at Info or above, want %d", len(logged), lines)
		return
	}
	if lines == 0 {
		return
	}
	first := logged[0]
	level := w.Level
	if w.Logged == LogOnce {
		level = slog.LevelInfo
	}
	if first.level != level {
		e.Errorf("logged at %v, want %v: %v", first.level, level, first)
	}
	e.attrs(first, w)
	if got := first.attrs["proxy"]; got != w.proxy {
		e.Errorf("the line says proxy=%q, want %q", got, w.proxy)
	}
	if w.compared && (first.attrs["origin"] != probetest.ForeignOrigin || first.attrs["host"] != e.target.Addr) {
		e.Errorf("the line says origin=%q host=%q, want %q and %q", first.attrs["origin"], first.attrs["host"], probetest.ForeignOrigin, e.target.Addr)
	}
	if w.Logged == LogFull {
		if got, want := first.attrs["status"], strconv.Itoa(w.Status); got != want && w.Status != unsaid {
			e.Errorf("the line says status=%q, want %q", got, want)
		}
		if first.attrs["remote"] == "" {
			e.Errorf("the line does not say who it was: %v", first)
		}
		if first.attrs["remedy"] == "" && w.Class != event.HandlerPanic {
			e.Errorf("the line says no remedy: %v", first)
		}
	}
	if lines == 2 {
		e.attrs(logged[1], w)
		if got, want := logged[1].attrs["count"], strconv.Itoa(n-1); got != want {
			e.Errorf("the line for the repeats says count=%q, want %q: %v", got, want, logged[1])
		}
	}
}

// attrs checks the attributes that every line about w has.
func (e *env) attrs(l line, w Want) {
	e.Helper()
	if l.attrs["class"] != w.Class.String() || l.attrs["reason"] != w.Reason.String() {
		e.Errorf("the line says class=%q reason=%q, want %q and %q", l.attrs["class"], l.attrs["reason"], w.Class, w.Reason)
	}
	if w.prober != "" && l.attrs["prober"] != w.prober {
		e.Errorf("the line says prober=%q, want %q", l.attrs["prober"], w.prober)
	}
}

// Values of Want.access other than a status.
const (
	none  = "none"  // no line
	first = "first" // at most one: a request is known to be a probe only once its WebSocket route is known
)

// accessed checks that the framework's access log has n lines of that status.
// A line appears when the request is over, which for a session is after the client saw its
// end.
func (e *env) accessed(status string, n int) {
	e.Helper()
	switch got := e.access.lines(); {
	case status == none && len(got) > 0:
		e.Errorf("the access log has %d lines, the first is %q; want none", len(got), got[0])
		return
	case status == first && len(got) > 1, len(got) > n:
		e.Errorf("the access log has %d lines for %d requests; the last is %q", len(got), n, got[len(got)-1])
		return
	case status == none, status == first, status == "":
		return
	}
	e.until("the access log has a line for each request", func() bool { return len(e.access.lines()) >= n })
	got := e.access.lines()
	if len(got) != n {
		e.Errorf("the access log has %d lines, want %d", len(got), n)
	}
	for _, l := range got {
		if !strings.HasPrefix(l, status+" ") {
			e.Errorf("the access log says %q, want status %s", l, status)
			break
		}
	}
}
