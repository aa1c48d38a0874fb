// Package chi shows quietws on a router that it has no adapter for, and how to run its
// suite there.
package chi

import (
	"net/http"
	"testing"

	"github.com/go-chi/chi/v5"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/coretest"
	"github.com/quietws/quietws/core/coretest/httpapp"
)

func TestConformance(t *testing.T) {
	coretest.Run(t, coretest.Adapter{Start: httpapp.Start(mount), Framework: coretest.NetHTTP(), Hooks: httpapp.Hooks()})
}

func mount(s coretest.Setup) http.Handler {
	r := chi.NewRouter()
	if s.Layer == coretest.Middleware {
		r.Use(s.Guard.Wrap)
	}
	r.Use(httpapp.AccessLog(s))
	if s.Layer == coretest.Inner {
		r.Use(s.Guard.Wrap)
	}
	if s.App.EndpointAround {
		r.Use(s.Guard.Endpoint)
	}
	for path, h := range httpapp.Mixed(s, httpapp.Plain) {
		r.Handle(path, h)
	}
	for _, route := range httpapp.Routes(s, httpapp.Plain) {
		r.Get(route.Pattern, route.Handler)
	}
	if s.App.CatchAll {
		r.Handle("/*", httpapp.CatchAll(s))
	}
	if s.Guard != nil {
		s.Guard.Adapter().Owner(owner(r)).Paths(core.PathRules{Raw: true}) // chi compares the path as the client sent it
	}
	return r
}

// owner asks the router which health routes are the application's own. A
// catch-all does not count.
func owner(r chi.Routes) func(core.Head) (owned, asked bool) {
	return func(h core.Head) (bool, bool) {
		c := chi.NewRouteContext()
		return r.Match(c, http.MethodGet, h.Path()) && c.RoutePattern() == h.Path(), true
	}
}
