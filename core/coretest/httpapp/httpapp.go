// Package httpapp is the application of package coretest on net/http. Use it to run the
// suite on a router for net/http:
//
//	coretest.Run(t, coretest.Adapter{
//		Start: httpapp.Start(mount), Framework: coretest.NetHTTP(), Hooks: httpapp.Hooks(),
//	})
//
// mount registers [Routes] and the middleware of the layer on the router. [Plain] serves
// their WebSocket without a library; write [Sockets] for a library.
package httpapp

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"testing"

	"github.com/quietws/quietws/core/coretest"
)

// Route is one route of the application, for GET.
type Route struct {
	Pattern string // as ServeMux and chi have it, such as "/key/{x}"
	Handler http.HandlerFunc
}

// Routes are the routes of the application, without the catch-all.
func Routes(s coretest.Setup, sockets Sockets) []Route {
	var all []Route
	for _, a := range s.App.Answers() {
		all = append(all, Route{a.Path, Text(a.Status, a.Body)})
	}
	for _, k := range coretest.Sockets() {
		all = append(all, Route{k.Path, sockets(s.Guard, k)})
	}
	return append(all,
		Route{"/key/{x}", func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "key "+r.PathValue("x")) }},
		Route{"/error", Text(http.StatusInternalServerError, "error")},
		Route{"/panic", func(http.ResponseWriter, *http.Request) { panic(coretest.PanicText) }},
		Route{"/panic/lent/{x}", func(_ http.ResponseWriter, r *http.Request) { panic(coretest.Lent(r.PathValue("x"))) }},
		Route{"/log", func(w http.ResponseWriter, r *http.Request) {
			r.Context().Value(http.ServerContextKey).(*http.Server).ErrorLog.Print(coretest.LogLine)
			_, _ = io.WriteString(w, "logged")
		}},
		Route{"/hijack", func(w http.ResponseWriter, _ *http.Request) {
			if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
				_, _ = io.WriteString(c, coretest.HijackText)
				_ = c.Close()
			}
		}},
	)
}

// Mixed are the routes of the application for every method, by path. A route of Routes on
// the same path comes first.
func Mixed(s coretest.Setup, sockets Sockets) map[string]http.HandlerFunc {
	own := func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(coretest.OwnStatus(r.URL.RawQuery))
		_, _ = io.WriteString(w, coretest.OwnBody)
	}
	session := sockets(s.Guard, coretest.SharedSocket)
	shared := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			session(w, r)
		} else {
			own(w, r)
		}
	})
	all := map[string]http.HandlerFunc{coretest.HealthPath: own, coretest.BesidePath: own, coretest.SharedPath: shared}
	if s.Guard != nil {
		all[coretest.SharedPath] = s.Guard.Endpoint(shared).ServeHTTP
	}
	return all
}

// Text is a handler with a constant answer, such as 200 "catch-all".
func Text(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// CatchAll is the handler for all other paths of the application.
func CatchAll(s coretest.Setup) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.Caught()
		Text(http.StatusOK, "catch-all")(w, r)
	}
}

// Hooks are the hooks of http.Server that Start sets: see [coretest.Adapter].
func Hooks() []string { return []string{"ConnState", "ConnContext", "BaseContext", "OnShutdown"} }

// Start returns what serves the handler that mount returns. mount adds the
// middleware, and the access log of [AccessLog], with the layers Middleware and
// Inner; the other layers are added here.
func Start(mount func(coretest.Setup) http.Handler) coretest.Start {
	return func(t testing.TB, s coretest.Setup) func(context.Context) error {
		srv := &http.Server{
			Handler: mount(s), ErrorLog: log.New(s.ServerLog, "", 0), ReadHeaderTimeout: s.HeadTimeout,
			ConnState:   func(net.Conn, http.ConnState) { s.Hook("ConnState") },
			ConnContext: func(ctx context.Context, _ net.Conn) context.Context { s.Hook("ConnContext"); return ctx },
			BaseContext: func(net.Listener) context.Context { s.Hook("BaseContext"); return context.Background() },
		}
		srv.RegisterOnShutdown(func() { s.Hook("OnShutdown") })
		ln, served := s.Listener, make(chan error, 1)
		if s.Layer == coretest.Serve {
			if s.TLS != nil {
				ln = s.Guard.TLSListener(ln, s.TLS)
			}
			ctx, cancel := context.WithCancel(context.Background())
			go func() { served <- s.Guard.Serve(ctx, srv, ln) }()
			return func(context.Context) error { cancel(); return <-served }
		}
		if s.Layer == coretest.AttachListener {
			ln = s.Guard.Listener(ln)
		}
		if s.Layer == coretest.AttachListener || s.Layer == coretest.Attach {
			s.Guard.Attach(srv)
		}
		if s.TLS != nil {
			ln = tls.NewListener(ln, s.TLS)
		}
		go func() { served <- srv.Serve(ln) }()
		return func(ctx context.Context) error {
			err := srv.Shutdown(ctx)
			<-served
			return err
		}
	}
}

// Mux mounts the application on an [http.ServeMux]. The access log is around each
// route, so that the server's handler is the mux, which the guard can ask for its
// routes; with coretest.Inner it is around everything.
func Mux(sockets Sockets) func(coretest.Setup) http.Handler {
	return func(s coretest.Setup) http.Handler { return mux(s, sockets) }
}

func mux(s coretest.Setup, sockets Sockets) http.Handler {
	mux, logged := http.NewServeMux(), AccessLog(s)
	handle := func(pattern string, h http.HandlerFunc) {
		if s.Layer == coretest.Inner {
			mux.Handle(pattern, h)
		} else {
			mux.Handle(pattern, logged(h))
		}
	}
	for _, r := range Routes(s, sockets) {
		handle("GET "+r.Pattern, r.Handler)
	}
	for path, h := range Mixed(s, sockets) {
		handle(path, h)
	}
	if s.App.CatchAll {
		handle("/", CatchAll(s))
	}
	var app http.Handler = mux
	if s.App.EndpointAround {
		app = s.Guard.Endpoint(mux)
	}
	switch s.Layer {
	case coretest.Middleware:
		return s.Guard.Wrap(app)
	case coretest.Inner:
		return logged(s.Guard.Wrap(app))
	}
	return app
}
