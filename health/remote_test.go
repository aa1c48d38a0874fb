package health

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestTCP(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	check := TCP(ln.Addr().String())
	if err := check(t.Context()); err != nil {
		t.Errorf("a port that listens: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := check(ended); err == nil {
		t.Error("the end of the context is ignored")
	}
	ln.Close()
	if err := check(t.Context()); err == nil {
		t.Error("a port that does not listen passes")
	}
}

func TestHTTP(t *testing.T) {
	hang := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/ok":
			if r.Method != "GET" || r.UserAgent() != "quietws-health" {
				w.WriteHeader(400)
			}
		case "/moved":
			http.Redirect(w, r, "/missing", http.StatusFound)
		case "/broken":
			w.WriteHeader(500)
		case "/hangs":
			select {
			case <-hang:
			case <-r.Context().Done():
			}
		case "/drops":
			panic(http.ErrAbortHandler)
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	defer close(hang)

	for _, row := range []struct {
		rule, url, want string
	}{
		{"an error of the server", server.URL + "/broken", "answered 500"},
		{"not found", server.URL + "/missing", "answered 404"},
		{"no answer", server.URL + "/drops", "EOF"},
		{"an invalid URL", "://", "missing protocol scheme"},
		{"another scheme", "ftp://127.0.0.1/", "unsupported protocol scheme"},
		{"a redirect is an answer and is not followed", server.URL + "/moved", ""},
		{"a good answer", server.URL + "/ok", ""},
	} {
		err := HTTP(row.url, nil)(t.Context())
		if got := describe(err); row.want == "" && err != nil || !strings.Contains(got, row.want) {
			t.Errorf("%s: %v, want %q", row.rule, err, row.want)
		}
	}

	ctx, cancel := context.WithCancel(t.Context())
	go cancel()
	if err := HTTP(server.URL+"/hangs", nil)(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that ends: %v", err)
	}
	if err := HTTP(server.URL+"/moved", server.Client())(t.Context()); describe(err) != "answered 404" {
		t.Errorf("a client that follows redirects: %v", err)
	}
	server.CloseClientConnections()
}

func TestHTTPErrorHasNoURL(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().String()
	ln.Close()
	err = HTTP("http://user:hunter2@"+address+"/?token=hunter2", nil)(t.Context())
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error is %v", err)
	}
}

// pool is a driver for a real *sql.DB that is up or down.
type pool struct{ err error }

func (p pool) Connect(context.Context) (driver.Conn, error) { return connection{}, p.err }
func (p pool) Driver() driver.Driver                        { return nil }

type connection struct{}

func (connection) Prepare(string) (driver.Stmt, error) { return nil, errors.ErrUnsupported }
func (connection) Begin() (driver.Tx, error)           { return nil, errors.ErrUnsupported }
func (connection) Close() error                        { return nil }

func TestPing(t *testing.T) {
	for _, want := range []error{errDown, nil} {
		db := sql.OpenDB(pool{want})
		if err := Ping(db)(t.Context()); !errors.Is(err, want) {
			t.Errorf("Ping: %v, want %v", err, want)
		}
		k, err := Check{Name: "db", Func: db.PingContext}.withDefaults()
		if err != nil {
			t.Fatal(err)
		}
		if err := k.Func(t.Context()); !errors.Is(err, want) {
			t.Errorf("PingContext: %v, want %v", err, want)
		}
		db.Close()
	}
}

// reply is a result like that of go-redis.
type reply struct{ err error }

func (r *reply) Err() error { return r.err }

func TestReply(t *testing.T) {
	for _, want := range []error{errDown, nil} {
		check := Reply(func(context.Context) *reply { return &reply{want} })
		if err := check(t.Context()); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
}
