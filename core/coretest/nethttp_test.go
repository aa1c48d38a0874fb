package coretest_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"testing"

	coder "github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/coretest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestNetHTTP runs the suite on plain net/http: coder/websocket on the routes
// that are wholly ours, gorilla/websocket on those of the application.
func TestNetHTTP(t *testing.T) {
	coretest.Run(t, coretest.Adapter{Start: start, HTTP2: true, Hooks: []string{"ConnState", "ConnContext", "BaseContext", "RegisterOnShutdown"}})
}

func start(t testing.TB, s coretest.Setup) func(context.Context) error {
	srv := &http.Server{
		Handler: app(s), ErrorLog: log.New(s.ServerLog, "", 0), ReadHeaderTimeout: s.HeadTimeout,
		ConnState:   func(net.Conn, http.ConnState) { s.Hook("ConnState") },
		ConnContext: func(ctx context.Context, _ net.Conn) context.Context { s.Hook("ConnContext"); return ctx },
		BaseContext: func(net.Listener) context.Context { s.Hook("BaseContext"); return context.Background() },
	}
	srv.RegisterOnShutdown(func() { s.Hook("RegisterOnShutdown") })
	ln := s.Listener
	switch s.Layer {
	case coretest.Serve:
		if s.TLS != nil {
			ln = s.Guard.TLSListener(ln, s.TLS)
		}
		ctx, cancel := context.WithCancel(context.Background())
		served := make(chan error, 1)
		go func() { served <- s.Guard.Serve(ctx, srv, ln) }()
		return func(context.Context) error { cancel(); return <-served }
	case coretest.Middleware:
		srv.Handler = s.Guard.Wrap(srv.Handler)
	case coretest.AttachListener:
		ln = s.Guard.Listener(ln)
		fallthrough
	case coretest.Attach:
		if err := s.Guard.Attach(srv); err != nil {
			t.Fatal(err)
		}
	}
	if s.TLS != nil {
		ln = tls.NewListener(ln, s.TLS)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	return func(ctx context.Context) error {
		err := srv.Shutdown(ctx)
		if e := <-served; !errors.Is(e, http.ErrServerClosed) {
			return e
		}
		return err
	}
}

// app is the application. Its access log is around each route, so that the
// server's handler is the mux, which the guard can ask for its routes.
func app(s coretest.Setup) http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, h http.HandlerFunc) { mux.Handle(pattern, accessLog(s, h)) }
	text := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status); _, _ = io.WriteString(w, body) }
	}
	handle("GET /app", text(200, "app"))
	handle("GET /key/{x}", func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "key "+r.PathValue("x")) })
	handle("GET /error", text(500, "error"))
	handle("GET /fail", text(500, "fail"))
	handle("GET /forbidden", text(401, "forbidden"))
	handle("GET /panic", func(http.ResponseWriter, *http.Request) { panic(coretest.PanicText) })
	handle("GET /log", func(w http.ResponseWriter, r *http.Request) {
		r.Context().Value(http.ServerContextKey).(*http.Server).ErrorLog.Print(coretest.LogLine)
		_, _ = io.WriteString(w, "logged")
	})
	if s.App.OwnReady {
		handle("GET /readyz", text(200, "own"))
	}
	if s.App.CatchAll {
		handle("/", text(200, "catch-all"))
	}
	endpoint := func(h http.Handler) http.Handler { return h }
	if s.Guard != nil {
		endpoint = s.Guard.Endpoint
	}
	for _, how := range []string{"", "/panic", "/error"} {
		handle("GET /ws"+how, coderRoute(s, how))
	}
	for _, how := range []string{"", "/panic", "/panic-open", "/error", "/early"} {
		handle("GET /own"+how, endpoint(gorillaRoute(how)).ServeHTTP)
		handle("GET /bare"+how, gorillaRoute(how))
	}
	if s.Layer == coretest.Inner {
		return accessLogOnce(s, s.Guard.Wrap(mux))
	}
	return mux
}

type onceKey struct{}

// accessLogOnce is accessLog around everything; the ones inside keep quiet.
func accessLogOnce(s coretest.Setup, next http.Handler) http.Handler {
	return accessLog(s, func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), onceKey{}, true)))
	})
}

// accessLog is an access log as net/http users write it.
func accessLog(s coretest.Setup, next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Context().Value(onceKey{}) != nil {
			next(w, r)
			return
		}
		before := s.Guard != nil && s.Guard.IsProbe(r)
		sw := &statusWriter{ResponseWriter: w, status: 200}
		defer func() {
			if s.Guard != nil {
				s.Asked(r.URL.Path, before, s.Guard.IsProbe(r))
			}
			if !before {
				fmt.Fprintln(s.AccessLog, sw.status, r.Method, r.URL.Path)
			}
		}()
		next(sw, r)
	})
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Hijack is what gorilla/websocket asks for; it knows no Unwrap.
func (w *statusWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.status = http.StatusSwitchingProtocols
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

// coderRoute serves coder/websocket as an adapter's Handler does.
func coderRoute(s coretest.Setup, how string) http.HandlerFunc {
	options := &coder.AcceptOptions{Subprotocols: []string{coretest.Subprotocol}, CompressionMode: coder.CompressionContextTakeover}
	serve := func(ctx context.Context, ws *coder.Conn) error {
		switch how {
		case "/panic":
			panic(coretest.PanicText)
		case "/error":
			return errors.New("the handler fails on purpose")
		}
		for {
			typ, b, err := ws.Read(ctx)
			if err == nil {
				err = ws.Write(ctx, typ, b)
			}
			if err != nil {
				return err
			}
		}
	}
	if s.Guard == nil {
		return func(w http.ResponseWriter, r *http.Request) {
			if ws, err := coder.Accept(w, r, options); err == nil {
				defer ws.CloseNow()
				_ = serve(r.Context(), ws)
			}
		}
	}
	a := s.Guard.Adapter()
	return func(w http.ResponseWriter, r *http.Request) {
		q := a.AtHandler(r, nil, false)
		if q.Answer(w, r) {
			return
		}
		w, r = q.Wrap(w, r)
		_ = q.Run(func() error {
			ws, err := coder.Accept(w, r, options)
			if err != nil {
				return err
			}
			defer ws.CloseNow()
			ctx, session := q.Session(r.Context())
			session.OnDrain(func() { goodbye(session, ws, coder.StatusCode(a.DrainCode())) })
			return serve(ctx, ws)
		})
	}
}

func goodbye(session *core.Session, ws *coder.Conn, code coder.StatusCode) {
	if ws.Close(code, "") == nil {
		session.Ended(int(code))
	}
}

// gorillaRoute is WebSocket as an application has it that knows nothing of
// quietws, but for SessionOf, which is nil-safe.
func gorillaRoute(how string) http.HandlerFunc {
	up := gorilla.Upgrader{Subprotocols: []string{coretest.Subprotocol}, EnableCompression: true}
	return func(w http.ResponseWriter, r *http.Request) {
		ws, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		session := core.SessionOf(r.Context())
		switch how {
		case "/early":
			go echo(ws, session)
			return
		case "/panic-open":
			panic(coretest.PanicText)
		}
		defer ws.Close()
		switch how {
		case "/panic":
			panic(coretest.PanicText)
		case "/error":
			return
		}
		echo(ws, session)
	}
}

func echo(ws *gorilla.Conn, session *core.Session) {
	defer ws.Close()
	for {
		typ, b, err := ws.ReadMessage()
		if err == nil {
			err = ws.WriteMessage(typ, b)
		}
		if err != nil {
			var closed *gorilla.CloseError
			if errors.As(err, &closed) {
				session.Ended(closed.Code)
			}
			return
		}
	}
}
