package core

import (
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/quietws/quietws/core/event"
)

func TestHTTPHead(t *testing.T) {
	r := handshake(with("Connection", "keep-alive", "Upgrade"), with("X-One", "1"), peerAt("[::ffff:192.0.2.1]:4711"))
	r.URL.Path, r.URL.RawQuery, r.Host = "/a b", "x=1&y", "example.com:80"
	h := httpHead{r}
	for name, want := range map[string]string{"Connection": "keep-alive, Upgrade", "X-One": "1", "X-None": "", "Host": "example.com:80"} {
		if got := h.Field(name); got != want {
			t.Errorf("Field(%s) is %q, want %q", name, got, want)
		}
	}
	if h.Path() != "/a b" || h.Query() != "x=1&y" || h.Host() != "example.com:80" || h.Method() != "GET" || h.Proto() != "HTTP/1.1" || h.TLS() {
		t.Errorf("%q %q %q %q %q %v", h.Path(), h.Query(), h.Host(), h.Method(), h.Proto(), h.TLS())
	}
	if h.Remote() != netip.MustParseAddrPort("192.0.2.1:4711") {
		t.Errorf("Remote is %v", h.Remote())
	}
	for _, alone := range []string{"192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1"} { // as set by chi's RealIP
		r.RemoteAddr = alone
		if got := h.Remote(); got.Addr() != netip.MustParseAddr(alone).Unmap() || got.Port() != 0 || quietGuard(t, Config{}).platform(got.Addr()) {
			t.Errorf("RemoteAddr %q is %v", alone, got)
		}
	}
	for _, none := range []string{"", "@", "example.com:80"} {
		r.RemoteAddr = none
		if h.Remote().IsValid() {
			t.Errorf("RemoteAddr %q is %v", none, h.Remote())
		}
	}
	preface, err := http.NewRequest("PRI", "*", nil)
	if err != nil {
		t.Fatal(err)
	}
	preface.RequestURI = "*"
	if h := (httpHead{preface}); h.Path() != "*" {
		t.Errorf("the path of an HTTP/2 preface is %q", h.Path())
	}
}

// OPTIONS * is answered in place of net/http, or by the application if it has a route for
// it.
func TestGeneralOptions(t *testing.T) {
	for _, own := range []bool{false, true} {
		var reached atomic.Bool
		g := quietGuard(t, Config{})
		srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			reached.Store(true)
			w.WriteHeader(http.StatusTeapot)
		}))
		srv.Config.DisableGeneralOptionsHandler = own
		srv.Config.ErrorLog = log.New(io.Discard, "", 0)
		g.Attach(srv.Config)
		srv.Listener = g.Listener(srv.Listener)
		srv.Start()
		c, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, "OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		answer, _ := io.ReadAll(c)
		_ = c.Close()
		want := "HTTP/1.1 200 OK\r\n"
		if own {
			want = "HTTP/1.1 418 "
		}
		if !strings.HasPrefix(string(answer), want) || reached.Load() != own {
			t.Errorf("the application wants it %v: it was reached %v, answered %q", own, reached.Load(), answer)
		}
		srv.Close()
		waitClosed(t, g)
		class := event.HTTPProbe
		if own { // the application answers
			class = event.HTTP
		}
		if s := g.Snapshot(); s.Closed[class] != 1 {
			t.Errorf("%v, want %v", s.Closed, class)
		}
	}
}

// A nil handler is the default mux, as in net/http.
func TestWrapNil(t *testing.T) {
	g := quietGuard(t, Config{})
	w := httptest.NewRecorder()
	g.Wrap(nil).ServeHTTP(w, asked("GET", "/nothing/here"))
	if w.Code != http.StatusNotFound {
		t.Errorf("status %d", w.Code)
	}
}
