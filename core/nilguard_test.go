package core

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
)

// errListener accepts nothing.
type errListener struct{ net.Listener }

var errNothing = errors.New("nothing to accept")

func (errListener) Accept() (net.Conn, error) { return nil, errNothing }
func (errListener) Close() error              { return nil }
func (errListener) Addr() net.Addr            { return &net.TCPAddr{} }

// arguments has one value for each type of argument.
func arguments(t *testing.T) map[reflect.Type]reflect.Value {
	all := make(map[reflect.Type]reflect.Value)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	client, server := net.Pipe()
	t.Cleanup(func() { _, _ = client.Close(), server.Close() })
	arg := func(of, v any) { all[reflect.TypeOf(of).Elem()] = reflect.ValueOf(v) }
	arg(new(context.Context), ctx)
	arg(new(*http.Server), &http.Server{})
	arg(new(servable), &http.Server{})
	arg(new(http.Handler), http.NotFoundHandler())
	arg(new(net.Listener), errListener{})
	arg(new([]net.Listener), []net.Listener{errListener{}})
	arg(new(*log.Logger), log.New(io.Discard, "", 0))
	arg(new(*http.Request), httptest.NewRequest(http.MethodGet, "/", nil))
	arg(new(*tls.Config), &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, errNothing }})
	arg(new(net.Conn), server)
	arg(new(http.ConnState), http.StateNew)
	arg(new(Head), pathHead("/"))
	arg(new(Message), newLetter(httptest.NewRequest(http.MethodGet, "/", nil), nil))
	arg(new(func(Head) (bool, bool)), func(Head) (bool, bool) { return true, true })
	arg(new(func(...net.Listener) error), func(...net.Listener) error { return errNothing })
	arg(new(func(context.Context) error), func(context.Context) error { return errNothing })
	arg(new(func(context.Context, *tls.Config) error), func(context.Context, *tls.Config) error { return errNothing })
	arg(new(func()), func() {})
	arg(new(any), "a server")
	arg(new(error), errNothing)
	return all
}

// A nil guard does nothing: each method can be called. Methods that are added later are
// called here too.
func TestNilGuard(t *testing.T) {
	for _, receiver := range []any{(*Guard)(nil), Adapter{}} {
		v := reflect.ValueOf(receiver)
		for i := range v.NumMethod() {
			name := v.Type().Method(i).Name
			t.Run(v.Type().String()+"."+name, func(t *testing.T) {
				method, have := v.Method(i), arguments(t)
				if name == "ShuttingDownAfter" || name == "Listen" || name == "ListenTLS" {
					have[reflect.TypeFor[<-chan struct{}]()] = reflect.ValueOf((<-chan struct{})(make(chan struct{})))
					have[reflect.TypeFor[string]()] = reflect.ValueOf("127.0.0.1:0")
				}
				var args []reflect.Value
				for p := range method.Type().NumIn() {
					of := method.Type().In(p)
					arg, ok := have[of]
					if name == "Listen" && p == 0 || name == "ListenTLS" && p == 0 {
						arg = reflect.ValueOf("tcp")
					}
					if !ok { // a pointer, a string or a number, where the zero value is enough
						arg = reflect.Zero(of)
					}
					args = append(args, arg)
				}
				call := method.Call
				if method.Type().IsVariadic() {
					call = method.CallSlice
				}
				for _, out := range call(args) {
					switch got := out.Interface().(type) {
					case Request:
						if got.Candidate() {
							t.Error("a request is judged")
						}
					case HTTPRequest:
						if got.Candidate() {
							t.Error("a request is judged")
						}
					case bool:
						if got {
							t.Error("true")
						}
					case error:
						if !errors.Is(got, errNothing) && !(name == "RunTLS" && errors.Is(got, fs.ErrNotExist)) {
							t.Error(got)
						}
					}
				}
			})
		}
	}
}

// A nil guard returns its arguments.
func TestNilGuardReturnsWhatItIsGiven(t *testing.T) {
	var g *Guard
	ln, logger, h := net.Listener(errListener{}), log.New(io.Discard, "", 0), http.NotFoundHandler()
	if g.Listener(ln) != ln || g.ErrorLog(logger) != logger || g.ErrorLog(nil) != nil || g.Wrap(nil) != nil {
		t.Error("a listener, a logger or a handler is another")
	}
	same := func(a, b http.Handler) bool { return reflect.ValueOf(a).Pointer() == reflect.ValueOf(b).Pointer() }
	if !same(g.Wrap(h), h) || !same(g.Endpoint(h), h) {
		t.Error("a handler is another")
	}
	srv := &http.Server{}
	if g.Attach(srv); srv.BaseContext != nil || srv.ConnState != nil || srv.ErrorLog != nil {
		t.Error("Attach has changed the server")
	}
	if s := g.Snapshot(); !s.Ready || s.Draining || s.Accepted != 0 {
		t.Errorf("%+v", s)
	}
	if a, err := New(Config{Collapse: -1}); a != nil || err == nil {
		t.Error("New returns a guard with an error, or neither")
	}
}

// Serve serves, and shuts down without a drain.
func TestNilGuardServes(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	var g *Guard
	go func() {
		served <- g.Serve(ctx, &http.Server{Handler: g.Wrap(hijackWith(t, func() {}, answer101))}, ln)
	}()
	if got := heard(t, ln.Addr().String(), upgradeGET); got != answer101 {
		t.Errorf("answered %q", got)
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// An adapter's Handler still refuses a foreign origin, because nothing else checks it
// there.
func TestNilGuardKeepsTheOrigin(t *testing.T) {
	for _, row := range []struct {
		origin  string
		origins *Origins
		refused bool
	}{
		{"", new(Origins), false}, {"http://example.com", new(Origins), false}, {"http://evil.test", new(Origins), true},
		{"http://evil.test", nil, false}, {"http://evil.test", &Origins{Any: true}, false}, {"http://evil.test", &Origins{Patterns: []string{"evil.*"}}, false},
	} {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(strings.Replace(upgradeGET, "\r\n\r\n", "\r\nOrigin: "+row.origin+"\r\n\r\n", 1))))
		if err != nil {
			t.Fatal(err)
		}
		r.Host = "example.com"
		q := (*Guard)(nil).Adapter().AtEndpoint(r, "/ws", row.origins)
		w := httptest.NewRecorder()
		if refused := q.Answer(w, r); refused != row.refused || refused && w.Code != 403 {
			t.Errorf("%q, %v: refused %t with %d", row.origin, row.origins, refused, w.Code)
		}
	}
}

// A nil function is an error when it is registered, not at the first request.
func TestNilFunctions(t *testing.T) {
	g := quietGuard(t, Config{})
	for want, register := range map[string]func(){
		"quietws: Guard.Endpoint: nil handler":   func() { g.Endpoint(nil) },
		"quietws: Session.OnDrain: nil function": func() { (*Session)(new(exchange)).OnDrain(nil) },
	} {
		func() {
			defer func() {
				if got := recover(); got != want {
					t.Errorf("panic %v, want %q", got, want)
				}
			}()
			register()
		}()
	}
}
