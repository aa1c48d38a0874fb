package coretest_test

import (
	"net/http"
	"testing"

	"go.uber.org/goleak"

	"github.com/quietws/quietws/core/coretest"
	"github.com/quietws/quietws/core/coretest/httpapp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestNetHTTP runs the suite on plain net/http.
func TestNetHTTP(t *testing.T) {
	coretest.Run(t, coretest.Adapter{Start: httpapp.Start(mount), Framework: coretest.NetHTTP(), Hooks: httpapp.Hooks()})
}

// mount has the access log around each route, so that the server's handler is
// the mux, which the guard can ask for its routes; with coretest.Inner it is
// around everything.
func mount(s coretest.Setup) http.Handler {
	mux, logged := http.NewServeMux(), httpapp.AccessLog(s)
	handle := func(pattern string, h http.HandlerFunc) {
		if s.Layer == coretest.Inner {
			mux.Handle(pattern, h)
		} else {
			mux.Handle(pattern, logged(h))
		}
	}
	for _, r := range httpapp.Routes(s) {
		handle("GET "+r.Pattern, r.Handler)
	}
	if s.App.CatchAll {
		handle("/", httpapp.CatchAll(s))
	}
	switch s.Layer {
	case coretest.Middleware:
		return s.Guard.Wrap(mux)
	case coretest.Inner:
		return logged(s.Guard.Wrap(mux))
	}
	return mux
}
