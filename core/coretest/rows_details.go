package coretest

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/probetest"
	"github.com/quietws/quietws/health"
)

// The error of a failing check, and the secret that lets a client see it.
const (
	checkName  = "s3cr3t-name"
	checkError = "dial s3cr3t.internal:5432: refused"
	checkToken = "opensesame"
)

// detailRows: which clients see the details of health.
func detailRows() []row {
	// Each row has its own, because rows run at the same time and more than once.
	var checkers sync.Map
	type watched struct {
		*health.Checker
		failed chan struct{} // closed when the check has failed
	}
	failing := func(c *core.Config) {
		failed := make(chan struct{})
		checker := health.New(health.Config{Logger: slog.New(slog.DiscardHandler), OnChange: func(ch health.Change) {
			if ch.To == health.Fail { // once: it keeps failing
				close(failed)
			}
		}})
		checkers.Store(c.Logger.Handler(), watched{checker, failed})
		c.Health = checker
	}
	check := func(e *env) (done func()) {
		found, _ := checkers.LoadAndDelete(slog.Handler(e.log))
		checker := found.(watched)
		kinds := health.Ready | health.Live | health.Startup
		if err := checker.Add(health.Check{Name: checkName, Kind: kinds, Func: func(context.Context) error { return errors.New(checkError) }}); err != nil {
			e.Fatal(err)
		}
		select { // /readyz is 503 from the start
		case <-checker.failed:
		case <-e.ctx.Done():
			e.Fatal("the check has not failed")
		}
		return func() {
			if err := checker.Close(); err != nil {
				e.Error(err)
			}
		}
	}
	const secret = "s3cr3t"
	return []row{{
		name: "health/details are hidden", layers: everywhere, config: failing,
		rule: "without Config.Details a client gets one word about health, whatever it requests and claims to be, and cannot find out the names of checks",
		run: func(e *env) {
			defer check(e)()
			for _, path := range []string{"/readyz", "/startupz"} {
				if res := e.do(probetest.Curl(path + "?exclude=" + checkName)); res.Status != 503 {
					e.Errorf("%s without the check that fails is %d for everybody", path, res.Status)
				}
			}
			for _, r := range disguises() {
				res := e.do(r)
				if all := res.Body + strings.Join(fieldsOf(res), "\n"); strings.Contains(all, secret) || len(res.Body) > 40 {
					e.Errorf("%s %s, %v: %q", r.Method, r.Path, r.Header, res.Body)
				}
			}
		},
	}, {
		name: "health/details for the allowed", layers: everywhere,
		config: func(c *core.Config) {
			failing(c)
			c.Details = func(h core.Head) bool { return h.Field("X-Token") == checkToken }
		},
		rule: "only requests that Config.Details allows see the details",
		run: func(e *env) {
			defer check(e)()
			for _, r := range disguises() {
				if res := e.do(r); strings.Contains(res.Body, secret) {
					e.Errorf("%s %s, %v: %q", r.Method, r.Path, r.Header, res.Body)
				}
			}
			named := probetest.Field{Name: "X-Token", Value: checkToken}
			if res := e.do(probetest.Curl("/readyz?exclude=" + checkName).With(named)); res.Status != 200 {
				e.Errorf("the named asks without the check that fails, and is answered %d", res.Status)
			}
			for _, r := range []probetest.Request{
				probetest.Curl("/readyz?verbose").With(named), probetest.Curl("/readyz").With(named, asksForJSON),
			} {
				if res := e.do(r); !strings.Contains(res.Body, checkName) {
					e.Errorf("the named sees %q", res.Body)
				}
			}
		},
	}}
}

// asksForJSON is the Accept of a client that wants the details.
var asksForJSON = probetest.Field{Name: "Accept", Value: "application/health+json"}

// disguises are requests for details by clients that may not see them.
func disguises() (all []probetest.Request) {
	as := [][]probetest.Field{
		nil,
		{{Name: "X-Forwarded-For", Value: "127.0.0.1"}},
		{{Name: "Forwarded", Value: "for=127.0.0.1;host=localhost"}},
		{{Name: "X-Real-IP", Value: "::1"}, {Name: "X-Forwarded-Host", Value: "localhost"}},
		{{Name: "Authorization", Value: "Basic YWRtaW46YWRtaW4="}},
		{{Name: "X-Token", Value: "verbose"}},
		{{Name: "X-Original-URL", Value: "/readyz?verbose"}},
	}
	for _, path := range []string{"/readyz", "/livez", "/startupz", "/healthz", "/ws"} {
		for _, ask := range []string{"", "?verbose", "?verbose=1&exclude=nothing", "?full=true&details"} {
			r := probetest.Kubelet(path + ask)
			r.Host = "localhost"
			all = append(all, r, r.With(asksForJSON))
		}
	}
	for _, fields := range as {
		all = append(all, probetest.Curl("/readyz?verbose").With(fields...).With(asksForJSON))
	}
	return all
}

// fieldsOf are the lines of an answer's header.
func fieldsOf(res probetest.Result) (all []string) {
	for name, values := range res.Header {
		all = append(all, name+": "+strings.Join(values, ", "))
	}
	return all
}
