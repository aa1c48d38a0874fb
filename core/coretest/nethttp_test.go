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
	"time"

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
	coretest.Run(t, coretest.Adapter{Start: start, Framework: coretest.NetHTTP(), Hooks: []string{"ConnState", "ConnContext", "BaseContext", "OnShutdown"}})
}

func start(t testing.TB, s coretest.Setup) func(context.Context) error {
	srv := &http.Server{
		Handler: app(s), ErrorLog: log.New(s.ServerLog, "", 0), ReadHeaderTimeout: s.HeadTimeout,
		ConnState:   func(net.Conn, http.ConnState) { s.Hook("ConnState") },
		ConnContext: func(ctx context.Context, _ net.Conn) context.Context { s.Hook("ConnContext"); return ctx },
		BaseContext: func(net.Listener) context.Context { s.Hook("BaseContext"); return context.Background() },
	}
	srv.RegisterOnShutdown(func() { s.Hook("OnShutdown") })
	ln, served := s.Listener, make(chan error, 1)
	switch s.Layer {
	case coretest.Serve:
		if s.TLS != nil {
			ln = s.Guard.TLSListener(ln, s.TLS)
		}
		ctx, cancel := context.WithCancel(context.Background())
		go func() { served <- s.Guard.Serve(ctx, srv, ln) }()
		return func(context.Context) error { cancel(); return <-served }
	case coretest.Middleware:
		srv.Handler = s.Guard.Wrap(srv.Handler)
	case coretest.Inner:
		srv.Handler = accessLog(s, s.Guard.Wrap(srv.Handler))
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
	go func() { served <- srv.Serve(ln) }()
	return func(ctx context.Context) error {
		err := srv.Shutdown(ctx)
		<-served
		return err
	}
}

// app is the application. The access log is around each route, so that the
// server's handler is the mux, which the guard can ask for its routes; with
// coretest.Inner it is around everything.
func app(s coretest.Setup) http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, h http.HandlerFunc) {
		if s.Layer == coretest.Inner {
			mux.Handle(pattern, h)
		} else {
			mux.Handle(pattern, accessLog(s, h))
		}
	}
	text := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status); _, _ = io.WriteString(w, body) }
	}
	for _, a := range s.App.Answers() {
		handle("GET "+a.Path, text(a.Status, a.Body))
	}
	if s.App.CatchAll {
		handle("/", text(200, "catch-all"))
	}
	handle("GET /key/{x}", func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "key "+r.PathValue("x")) })
	handle("GET /error", text(500, "error"))
	handle("GET /panic", func(http.ResponseWriter, *http.Request) { panic(coretest.PanicText) })
	handle("GET /log", func(w http.ResponseWriter, r *http.Request) {
		r.Context().Value(http.ServerContextKey).(*http.Server).ErrorLog.Print(coretest.LogLine)
		_, _ = io.WriteString(w, "logged")
	})
	handle("GET /hijack", func(w http.ResponseWriter, _ *http.Request) {
		if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_, _ = io.WriteString(c, coretest.HijackText)
			_ = c.Close()
		}
	})
	for _, k := range coretest.Sockets() {
		switch h := gorillaRoute(k); {
		case k.Family == coretest.Handler:
			handle("GET "+k.Path, coderRoute(s.Guard, k))
		case k.Family == coretest.Endpoint && s.Guard != nil:
			handle("GET "+k.Path, s.Guard.Endpoint(h).ServeHTTP)
		default:
			handle("GET "+k.Path, h)
		}
	}
	return mux
}

// accessLog is an access log as users of net/http write it.
func accessLog(s coretest.Setup, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		probe := s.Guard != nil && s.Guard.IsProbe(r)
		sw := &statusWriter{w, 200}
		defer func() {
			if s.Guard != nil {
				s.Asked(r.URL.Path, probe, s.Guard.IsProbe(r))
			}
			if !probe {
				fmt.Fprintln(s.AccessLog, sw.status, r.Method, r.URL.Path)
			}
		}()
		next.ServeHTTP(sw, r)
	})
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *statusWriter) WriteHeader(status int) {
	if w.status != http.StatusSwitchingProtocols {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Hijack is for gorilla/websocket, which knows no Unwrap.
func (w *statusWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.status = http.StatusSwitchingProtocols
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

// coderRoute serves coder/websocket as an adapter's Handler does.
func coderRoute(g *core.Guard, k coretest.Socket) http.HandlerFunc {
	options := &coder.AcceptOptions{Subprotocols: []string{coretest.Subprotocol}, CompressionMode: coder.CompressionContextTakeover}
	serve := func(ctx context.Context, ws *coder.Conn) error {
		return k.Session(func() error {
			typ, b, err := ws.Read(ctx)
			if err == nil {
				err = ws.Write(ctx, typ, b)
			}
			return err
		})
	}
	if g == nil {
		return func(w http.ResponseWriter, r *http.Request) {
			if ws, err := coder.Accept(w, r, options); err == nil {
				defer ws.CloseNow()
				_ = serve(r.Context(), ws)
			}
		}
	}
	a := g.Adapter()
	return func(w http.ResponseWriter, r *http.Request) {
		q := a.AtHandler(r, k.Path, new(core.Origins))
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
			session.OnDrain(func() {
				if ws.Close(coder.StatusCode(a.DrainCode()), "") == nil {
					session.Ended(a.DrainCode())
				}
			})
			err = serve(ctx, ws)
			session.Settle()
			return err
		})
	}
}

// gorillaRoute is WebSocket as an application has it. Handlers of net/http
// return no error, so it tells the code of the end itself.
func gorillaRoute(k coretest.Socket) http.HandlerFunc {
	up := gorilla.Upgrader{Subprotocols: []string{coretest.Subprotocol}, EnableCompression: true}
	return func(w http.ResponseWriter, r *http.Request) {
		ws, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		session := core.SessionOf(r.Context())
		if k.Family == coretest.Endpoint {
			session.OnDrain(func() {
				_ = ws.WriteControl(gorilla.CloseMessage, gorilla.FormatCloseMessage(gorilla.CloseGoingAway, ""), time.Now().Add(time.Second))
			})
		}
		echo := func() error {
			typ, b, err := ws.ReadMessage()
			if err == nil {
				err = ws.WriteMessage(typ, b)
			}
			if closed := (*gorilla.CloseError)(nil); errors.As(err, &closed) {
				session.Ended(closed.Code)
			}
			return err
		}
		if k.Early() {
			go func() { _ = k.Session(echo); _ = ws.Close() }()
			return
		}
		if !k.LeavesOpen() {
			defer ws.Close()
		}
		if err := k.Session(echo); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError) // as one writes it without thinking of the hijack
		}
	}
}
