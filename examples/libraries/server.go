package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/gofiber/fiber/v2"
	"github.com/labstack/echo/v4"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/probetest"
	"github.com/quietws/quietws/echows"
	"github.com/quietws/quietws/fiberws"
	"github.com/quietws/quietws/ginws"
)

// server says what a child is to be.
type server struct {
	library      *library
	framework    string
	setup        string
	tls, deflate bool
	pace         time.Duration // of the pushes
	every        int           // one session of so many has the longest messages
}

// The set-ups. In all but the first the route goes through the adapter's Endpoint.
const (
	bare     = "bare"   // without quietws
	served   = "serve"  // by the adapter's Serve
	attached = "attach" // by the framework, with Attach and Guard.Listener; at SIGTERM Guard.Drain, and then Shutdown
)

// patience is how long anything may take that has to come.
const patience = 30 * time.Second

func (s server) args() []string {
	return []string{"server", "-library", s.library.name, "-framework", s.framework, "-setup", s.setup, "-tls=" + strconv.FormatBool(s.tls),
		"-deflate=" + strconv.FormatBool(s.deflate), "-pace", s.pace.String(), "-every", strconv.Itoa(s.every)}
}

func serverOf(args []string) (s server, err error) {
	flags := flag.NewFlagSet("server", flag.ContinueOnError)
	flags.Func("library", "", func(name string) error {
		if s.library = libraryOf(name); s.library == nil {
			return fmt.Errorf("there is no library %q", name)
		}
		return nil
	})
	flags.StringVar(&s.framework, "framework", "", "")
	flags.StringVar(&s.setup, "setup", "", "")
	flags.BoolVar(&s.tls, "tls", false, "")
	flags.BoolVar(&s.deflate, "deflate", false, "")
	flags.DurationVar(&s.pace, "pace", pace, "")
	flags.IntVar(&s.every, "every", every, "")
	err = flags.Parse(args)
	return s, err
}

// serve is the child. It prints its address, and then how each session ended, and
// ends at SIGTERM.
func serve(args []string) error {
	s, err := serverOf(args)
	if err != nil {
		return err
	}
	pace, every = s.pace, s.every
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stderr, nil)))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	var guard *core.Guard // nil: the bare server
	if s.setup != bare {
		// Nobody probes here, so that a drain need not wait for probers.
		guard, err = core.New(core.Config{Observe: printEnd, Drain: core.DrainConfig{Fall: -1}})
		if err != nil {
			return err
		}
	}
	if ln, err = s.listener(guard, ln); err != nil {
		return err
	}
	run := map[string]func(context.Context, *core.Guard, net.Listener) error{
		"nethttp": s.serveNetHTTP, "echo": s.serveEcho, "gin": s.serveGin, "fiber": s.serveFiber,
	}[s.framework]
	if run == nil {
		return fmt.Errorf("there is no framework %q", s.framework)
	}
	err = run(ctx, guard, ln)
	if guard != nil {
		err = errors.Join(err, guard.Close())
	}
	return err
}

var printing sync.Mutex

// printEnd prints how a session ended: whatever fields event.SessionEnd has.
func printEnd(e event.Event) {
	if e.Class != event.SessionEnded {
		return
	}
	b, err := json.Marshal(e.Session)
	if err != nil {
		failed("event", err)
		return
	}
	printing.Lock()
	defer printing.Unlock()
	fmt.Println(string(b))
}

func (s server) listener(guard *core.Guard, ln net.Listener) (net.Listener, error) {
	if !s.tls {
		if guard == nil {
			return ln, nil
		}
		return guard.Listener(ln), nil
	}
	certificate, _, err := probetest.Certificate()
	if err != nil {
		return nil, err
	}
	config := &tls.Config{Certificates: []tls.Certificate{certificate}}
	if guard == nil {
		return tls.NewListener(ln, config), nil
	}
	return guard.TLSListener(ln, config), nil
}

// until serves until ctx ends, and then shuts down as an application does that has
// its own handler of SIGTERM.
func until(ctx context.Context, guard *core.Guard, serve func() error, shutdown func(context.Context) error) error {
	failed := make(chan error, 1)
	go func() { failed <- serve() }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if guard != nil {
		if _, err := guard.Drain(ctx); err != nil {
			return err
		}
	}
	return shutdown(ctx)
}

func (s server) serveNetHTTP(ctx context.Context, guard *core.Guard, ln net.Listener) error {
	app, err := s.library.handler(s.deflate)
	if err != nil {
		return err
	}
	if guard != nil {
		app = guard.Endpoint(app)
	}
	mux := http.NewServeMux()
	mux.Handle("GET "+s.library.route(), app)
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: patience}
	switch s.setup {
	case served:
		return guard.Serve(ctx, srv, ln)
	case attached:
		guard.Attach(srv)
	}
	return until(ctx, guard, func() error { return srv.Serve(ln) }, srv.Shutdown)
}

func (s server) serveEcho(ctx context.Context, guard *core.Guard, ln net.Listener) error {
	app, err := s.library.handler(s.deflate)
	if err != nil {
		return err
	}
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	var through []echo.MiddlewareFunc
	if guard != nil {
		through = append(through, echows.Endpoint(guard))
	}
	e.GET(s.library.route(), echo.WrapHandler(app), through...)
	switch s.setup {
	case served:
		return echows.ServeListener(ctx, guard, e, ln)
	case attached:
		echows.Attach(guard, e)
	}
	e.Listener = ln
	return until(ctx, guard, func() error { return e.Start("") }, e.Shutdown)
}

func (s server) serveGin(ctx context.Context, guard *core.Guard, ln net.Listener) error {
	app, err := s.library.handler(s.deflate)
	if err != nil {
		return err
	}
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	through := []gin.HandlerFunc{gin.WrapH(app)}
	if guard != nil {
		through = []gin.HandlerFunc{ginws.Endpoint(guard), through[0]}
	}
	engine.GET(s.library.route(), through...)
	if s.setup == served {
		return ginws.ServeListener(ctx, guard, engine, ln)
	}
	srv := &http.Server{Handler: engine, ReadHeaderTimeout: patience}
	if s.setup == attached {
		ginws.Attach(guard, srv, engine)
	}
	return until(ctx, guard, func() error { return srv.Serve(ln) }, srv.Shutdown)
}

func (s server) serveFiber(ctx context.Context, guard *core.Guard, ln net.Listener) error {
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	through := []fiber.Handler{s.library.fiber(s.deflate)}
	if guard != nil {
		through = []fiber.Handler{fiberws.Endpoint(guard), through[0]}
	}
	app.Get(s.library.route(), through...)
	switch s.setup {
	case served:
		return fiberws.ServeListener(ctx, guard, app, ln)
	case attached:
		fiberws.Attach(guard, app)
	}
	return until(ctx, guard, func() error { return app.Listener(ln) }, app.ShutdownWithContext)
}
