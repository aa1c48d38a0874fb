package librarytest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	gorilla "github.com/gorilla/websocket"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/coretest"
)

// ordinary is the application of [coretest.Ordinary].
func ordinary() *http.ServeMux {
	mux := http.NewServeMux()
	text := func(s string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, s) }
	}
	mux.HandleFunc("GET /{$}", text("hello"))
	mux.HandleFunc("GET /page", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"1"`)
		http.ServeContent(w, r, "page.txt", time.Unix(1, 0), strings.NewReader(strings.Repeat("a page ", 50)))
	})
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_, _ = w.Write(body)
		_, _ = fmt.Fprint(w, r.Trailer)
	})
	mux.HandleFunc("POST /form", func(w http.ResponseWriter, r *http.Request) {
		if _, file, err := r.FormFile("file"); err == nil {
			_, _ = fmt.Fprint(w, file.Filename, file.Size)
		}
		_, _ = fmt.Fprint(w, r.FormValue("note"))
	})
	mux.HandleFunc("GET /redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/page", http.StatusFound) })
	mux.HandleFunc("GET /stream", func(w http.ResponseWriter, _ *http.Request) {
		for range 3 {
			_, _ = io.WriteString(w, "a line\n")
			_ = http.NewResponseController(w).Flush()
		}
	})
	mux.HandleFunc("GET /error", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "an error", http.StatusInternalServerError)
	})
	mux.HandleFunc("GET /panic", func(http.ResponseWriter, *http.Request) { panic("a panic") })
	mux.HandleFunc("GET /ws", func(w http.ResponseWriter, r *http.Request) {
		up := gorilla.Upgrader{Subprotocols: []string{"chat"}, EnableCompression: true}
		ws, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = ws.Close() }()
		for {
			kind, p, err := ws.ReadMessage()
			if err != nil || ws.WriteMessage(kind, p) != nil {
				return
			}
		}
	})
	return mux
}

// An application answers exactly the same bytes with and without quietws.
func TestOrdinaryRequests(t *testing.T) {
	serve := func(change func(*core.Guard, *http.Server, net.Listener) func() error) string {
		g, err := core.New(core.Config{Logger: discard})
		if err != nil {
			t.Fatal(err)
		}
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		srv := &http.Server{Handler: ordinary(), ErrorLog: log.New(io.Discard, "", 0)}
		run := change(g, srv, ln)
		served := make(chan error, 1)
		go func() { served <- run() }()
		t.Cleanup(func() {
			_ = srv.Close()
			if err := <-served; err != nil && !errors.Is(err, http.ErrServerClosed) {
				t.Error(err)
			}
			_ = g.Close()
		})
		return ln.Addr().String()
	}
	bare := func(_ *core.Guard, srv *http.Server, ln net.Listener) func() error {
		return func() error { return srv.Serve(ln) }
	}
	coretest.SameAnswers(t, serve(bare), map[string]string{
		"Wrap": serve(func(g *core.Guard, srv *http.Server, ln net.Listener) func() error {
			srv.Handler = g.Wrap(srv.Handler)
			return bare(g, srv, ln)
		}),
		"Attach": serve(func(g *core.Guard, srv *http.Server, ln net.Listener) func() error {
			g.Attach(srv)
			return bare(g, srv, ln)
		}),
		"Attach and Listener": serve(func(g *core.Guard, srv *http.Server, ln net.Listener) func() error {
			g.Attach(srv)
			return bare(g, srv, g.Listener(ln))
		}),
		"Serve": serve(func(g *core.Guard, srv *http.Server, ln net.Listener) func() error {
			return func() error { return g.Serve(context.Background(), srv, ln) }
		}),
	})
}
