package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	sundheit "github.com/AppsFlyer/go-sundheit"
	"github.com/AppsFlyer/go-sundheit/checks"
	sundheithttp "github.com/AppsFlyer/go-sundheit/http"
	alex "github.com/alexliesenfeld/health"
	hellofresh "github.com/hellofresh/health-go/v5"
	"k8s.io/apiserver/pkg/server/healthz"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/health"
)

// checkNames are the names of the checks, the same for all libraries. All have the same
// function.
var checkNames = [...]string{"db", "cache", "loop"}

// threeChecks returns them for quietws.
func threeChecks(check func(context.Context) error) (all []health.Check) {
	for _, name := range checkNames {
		all = append(all, health.Check{Name: name, Func: check, Interval: time.Second})
	}
	return all
}

// healthLibraries are other libraries' readiness handlers, each set up as in its README.
// If a library has a cache or background checks, they are used, with one second.
var healthLibraries = []struct {
	name, module string
	handler      func(check func(context.Context) error) (http.Handler, error)
}{
	{"k8s", "k8s.io/apiserver", func(check func(context.Context) error) (http.Handler, error) {
		mux := http.NewServeMux()
		var all []healthz.HealthChecker
		for _, name := range checkNames {
			all = append(all, healthz.NamedCheck(name, func(r *http.Request) error { return check(r.Context()) }))
		}
		healthz.InstallReadyzHandler(mux, all...)
		return mux, nil
	}},
	{"alexliesenfeld", "github.com/alexliesenfeld/health", func(check func(context.Context) error) (http.Handler, error) {
		options := []alex.CheckerOption{alex.WithCacheDuration(time.Second)}
		for _, name := range checkNames {
			options = append(options, alex.WithCheck(alex.Check{Name: name, Check: check}))
		}
		return alex.NewHandler(alex.NewChecker(options...)), nil
	}},
	{"hellofresh", "github.com/hellofresh/health-go/v5", func(check func(context.Context) error) (http.Handler, error) {
		h, err := hellofresh.New()
		for _, name := range checkNames {
			if err == nil {
				err = h.Register(hellofresh.Config{Name: name, Check: check})
			}
		}
		if err != nil {
			return nil, err
		}
		return h.Handler(), nil
	}},
	{"go-sundheit", "github.com/AppsFlyer/go-sundheit", func(check func(context.Context) error) (http.Handler, error) {
		h := sundheit.New(sundheit.ExecutionPeriod(time.Second))
		for _, name := range checkNames {
			err := h.RegisterCheck(&checks.CustomCheck{CheckName: name, CheckFunc: func(ctx context.Context) (any, error) { return nil, check(ctx) }})
			if err != nil {
				return nil, err
			}
		}
		return sundheithttp.HandleHealthJSON(h), nil
	}},
}

func init() {
	for _, p := range healthLibraries {
		frameworks[p.name] = func(s server, _ *core.Guard, ln net.Listener) error {
			h, err := p.handler(s.check)
			if err != nil {
				return err
			}
			mux := http.NewServeMux()
			mux.Handle("/readyz", h)
			return (&http.Server{Handler: mux}).Serve(ln)
		}
	}
}

// floor is the least that a health answer can cost: a ready body, and the header fields
// of quietws's answer.
func floor(contentType, body string) http.Handler {
	type prepared struct {
		body   []byte
		length string
	}
	var current atomic.Pointer[prepared]
	current.Store(&prepared{[]byte(body), fmt.Sprint(len(body))})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := current.Load()
		h := w.Header()
		h.Set("Content-Type", contentType)
		h.Set("Content-Length", p.length)
		for _, f := range readyFields {
			h.Set(f[0], f[1])
		}
		w.WriteHeader(http.StatusOK)
		if r.Method != http.MethodHead {
			_, _ = w.Write(p.body)
		}
	})
}
