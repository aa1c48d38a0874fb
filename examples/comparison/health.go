package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/health"
)

// kubelet is a request on a keep-alive connection, so that only the answer is measured.
const kubelet = "GET /readyz HTTP/1.1\r\nHost: localhost\r\nUser-Agent: kube-probe/1.34\r\nAccept: */*\r\n\r\n"

func healthAnswers(b *bench) (rows []row, err error) {
	for _, f := range web {
		variants := []string{quiet}
		if f == "fiber" {
			variants = append(variants, named, fibers)
		}
		more, err := b.rowsOf(trial{
			servers: ordinary(f, variants...), n: 2000,
			open: func(_ *bench, c *child) (load, error) { return c.requests(connections, kubelet) },
		}, "health answer, CPU of the server, compared with a static handler", f, 1)
		if err != nil {
			return rows, err
		}
		more[0].with = "Listener, Attach"
		if f == "fiber" {
			more[2].target = ""
		}
		rows = append(rows, more...)
	}
	more, err := b.healthInProcess()
	return append(rows, more...), err
}

// A contender answers health requests in process.
type contender struct {
	name    string
	handler http.Handler
	spent   []float64
	allocs  float64
}

func passes(context.Context) error { return nil }

func (b *bench) healthInProcess() (rows []row, err error) {
	checks := health.New(health.Config{Logger: slog.New(slog.DiscardHandler)})
	defer func() { _ = checks.Close() }()
	if err := checks.Add(threeChecks(passes)...); err != nil {
		return nil, err
	}
	guard, err := core.New(core.Config{Health: checks, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	defer func() { _ = guard.Close() }()
	layer := guard.Wrap(http.NewServeMux())
	for _, c := range []struct {
		what, path, accept string
		others             bool
	}{
		{"liveness in process", "/livez", "*/*", false},
		{"readiness in process", "/readyz", "*/*", true},
		{"readiness in process, JSON", "/readyz", "application/health+json", false},
	} {
		r := httptest.NewRequest(http.MethodGet, c.path, nil)
		r.RemoteAddr = "10.0.0.7:51423"
		r.Header = http.Header{"User-Agent": {"kube-probe/1.34"}, "Accept": {c.accept}, "Connection": {"close"}}
		answer, err := passing(layer, r)
		if err != nil {
			return rows, err
		}
		least := floor(answer.Header().Get("Content-Type"), answer.Body.String())
		all := []*contender{{name: "floor", handler: least}, {name: "floor", handler: least}, {name: "quietws", handler: layer}}
		if c.others {
			for _, p := range healthLibraries {
				h, err := p.handler(passes)
				if err != nil {
					return rows, err
				}
				if _, err := passing(h, r); err != nil {
					return rows, fmt.Errorf("%s: %w", p.name, err)
				}
				all = append(all, &contender{name: p.module, handler: h})
			}
		}
		if err := b.contend(all, r); err != nil {
			return rows, err
		}
		rows = append(rows, ranked(c.what, all)...)
	}
	return rows, nil
}

// passing waits until h reports success.
func passing(h http.Handler, r *http.Request) (*httptest.ResponseRecorder, error) {
	for end := time.Now().Add(patience); ; <-time.After(10 * time.Millisecond) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code == http.StatusOK {
			return w, nil
		}
		if time.Now().After(end) {
			return nil, fmt.Errorf("answered %d %q", w.Code, w.Body)
		}
	}
}

// nowhere is a ResponseWriter that discards everything, and accepts strings like
// net/http's.
type nowhere struct{ header http.Header }

func (n *nowhere) Header() http.Header         { return n.header }
func (n *nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (n *nowhere) WriteHeader(int)             {}

func (n *nowhere) WriteString(s string) (int, error) { return len(s), nil }

// contend lets all answer in turns. The CPU time is that of this process, including the
// library's goroutines.
func (b *bench) contend(all []*contender, r *http.Request) error {
	const each = 10_000
	for _, c := range all {
		w := &nowhere{make(http.Header)}
		c.allocs = testing.AllocsPerRun(b.few(100), func() { c.handler.ServeHTTP(w, r) })
	}
	for range b.rounds {
		for _, c := range all {
			w := &nowhere{make(http.Header)}
			before, err := cpuOf(0)
			if err != nil {
				return err
			}
			n := b.few(each)
			for range n {
				c.handler.ServeHTTP(w, r)
			}
			after, err := cpuOf(0)
			if err != nil {
				return err
			}
			c.spent = append(c.spent, float64(after-before)/float64(n))
		}
	}
	return nil
}

// ranked returns the rows: quietws and the other libraries compared with the floor, and
// the best of those compared with quietws.
func ranked(what string, all []*contender) (rows []row) {
	base, again, own := all[0], all[1], all[2]
	for _, c := range all[2:] {
		r := ratioRow(what, fmt.Sprintf("%.0f allocations", c.allocs), c.name, base.spent, again.spent, c.spent, 1.5)
		if c != own {
			r.target = ""
		}
		rows = append(rows, r)
	}
	if len(all) == 3 {
		return rows
	}
	best := all[3]
	for _, c := range all[4:] {
		if median(c.spent) < median(best.spent) {
			best = c
		}
	}
	faster := ratios(best.spent, own.spent)
	return append(rows, row{
		what: what + ", the best of these compared with quietws", with: best.name[strings.LastIndexByte(best.name, '/')+1:],
		base: spread(own.spent, span), got: spread(faster, ratio), target: "≥ 5", met: median(faster) >= 5, unclear: holds(faster, 5),
	})
}
