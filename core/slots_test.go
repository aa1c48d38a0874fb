package core

import (
	"bufio"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/conn/conntest"
)

// Which requests take a place of Config.MaxSessions: at a WebSocket route, and at the
// outermost layer, where none does.
func TestWhoTakesASlot(t *testing.T) {
	connect := func(r *http.Request) {
		http2(r)
		r.Method = "CONNECT"
		r.Header.Set(":protocol", "websocket")
	}
	for _, row := range []struct {
		rule              string
		r                 *http.Request
		endpoint, handler int64
	}{
		{"a good handshake", handshake(), 1, 1},
		{"of a page of another origin: Endpoint's library may let it in", handshake(with("Origin", "https://elsewhere.example")), 1, 0},
		{"an extended CONNECT: a library may serve it", handshake(connect, with("Upgrade"), with("Connection")), 1, 0},
		{"a key over HTTP/2", handshake(http2, with("Upgrade"), with("Connection")), 0, 0},
		{"HTTP/1.0", handshake(http10), 0, 0},
		{"a POST", handshake(method("POST")), 0, 0},
		{"what a proxy left of a handshake", handshake(with("Upgrade")), 0, 0},
		{"a plain GET", asked("GET", "/ws"), 0, 0},
		{"a prober's", asked("GET", "/ws", agent(kubelet)), 0, 0},
	} {
		for _, own := range []bool{false, true} {
			g := quietGuard(t, Config{MaxSessions: 1})
			a := g.Adapter()
			q := a.BeginHTTP(row.r)
			if n := g.slots.taken.Load(); n != 0 {
				t.Errorf("%s, before its route is known: %d places are taken", row.rule, n)
			}
			want := row.endpoint
			if own {
				want = row.handler
				q.Request = a.Endpoint(q.Request, httpHead{row.r}, "/ws", new(Origins))
			} else {
				q.Request = a.Endpoint(q.Request, httpHead{row.r}, "/ws", nil)
			}
			if n := g.slots.taken.Load(); n != want {
				t.Errorf("%s, a route of Handler %t: %d places are taken, want %d", row.rule, own, n, want)
			}
			q.Done(400, nil)
			if n := g.slots.taken.Load(); n != 0 {
				t.Errorf("%s: %d places are taken when it is over", row.rule, n)
			}
		}
	}
}

// A place is given back as soon as the answer is not 101, at the latest when the handler
// has returned, and only once. A session gives it back when it ends.
func TestSlotIsGivenBack(t *testing.T) {
	at := func(g *Guard, r *http.Request) HTTPRequest { return g.Adapter().AtEndpoint(r, "/ws", nil) }
	for rule, end := range map[string]func(*HTTPRequest){
		"answered 403, and the handler goes on": func(q *HTTPRequest) {
			w, _ := q.Wrap(httptest.NewRecorder(), handshake())
			w.WriteHeader(http.StatusForbidden)
		},
		"the handler has returned":           func(q *HTTPRequest) { q.Done(0, nil) },
		"it panicked":                        func(q *HTTPRequest) { q.notePanic("boom") },
		"it returned an error, not answered": func(q *HTTPRequest) { q.doneAfterChain(t.Context(), errors.New("later")) },
	} {
		g := quietGuard(t, Config{MaxSessions: 2})
		r := handshake()
		q := at(g, r)
		other := at(g, handshake())
		if third := at(g, handshake()); third.decision().verdict != verdictRefuse || third.decision().err.Reason != event.ReasonSaturated {
			t.Errorf("%s: the third is not refused", rule)
		}
		end(&q)
		if n := g.slots.taken.Load(); n != 1 {
			t.Errorf("%s: %d places are taken, want that of the other", rule, n)
		}
		q.Done(0, nil)
		other.Done(403, nil)
		if n := g.slots.taken.Load(); n != 0 {
			t.Errorf("%s: %d places are taken at the end", rule, n)
		}
	}
	g := quietGuard(t, Config{MaxSessions: 1})
	nc := watched(g, &conntest.Script{})
	h := httpHead{handshake()}
	q := g.Adapter().Endpoint(g.Adapter().beginOnConn(h, nc), h, "/ws", nil)
	q.open(nc)
	q.Done(0, nil)
	if n := g.slots.taken.Load(); n != 1 {
		t.Errorf("a session: %d places are taken", n)
	}
	_ = nc.Close()
	if n := g.slots.taken.Load(); n != 0 {
		t.Errorf("a session that is over: %d places are taken", n)
	}
}

// If no route is known, the place is taken at 101 or at the hijack, whichever comes
// first. If there is none, the answer is 503 instead.
func TestSlotAtTheAnswer(t *testing.T) {
	for _, answers := range []bool{true, false} {
		g := quietGuard(t, Config{MaxSessions: 1})
		held := g.Adapter().AtEndpoint(handshake(), "/other", nil)
		r := handshake()
		q := g.Adapter().BeginHTTP(r)
		final := 0
		below := &handsOver{ResponseRecorder: httptest.NewRecorder()}
		w, _ := q.Wrap(below, r)
		q.OnOpened(func(status int) { final = status })
		if answers { // like coder/websocket
			w.WriteHeader(http.StatusSwitchingProtocols)
		}
		if _, _, err := w.(http.Hijacker).Hijack(); !errors.Is(err, event.ErrSaturated) || below.hijacked {
			t.Errorf("101 first %t: hijacked %t, %v", answers, below.hijacked, err)
		}
		http.Error(w, "the library's", http.StatusInternalServerError)
		q.Done(q.currentStatus(), nil)
		if res := below.Result(); res.StatusCode != 503 || res.Header.Get("Retry-After") == "" || res.Header.Get("Upgrade") != "" || final != 503 {
			t.Errorf("101 first %t: answered %d, the framework was given %d", answers, res.StatusCode, final)
		}
		if body := below.Body.String(); body != "too many sessions, try again later\n" {
			t.Errorf("101 first %t: %q", answers, body)
		}
		held.Done(403, nil)
		if n := g.slots.taken.Load(); n != 0 {
			t.Errorf("101 first %t: %d places are taken at the end", answers, n)
		}
	}
}

// handsOver is a ResponseWriter that can be hijacked.
type handsOver struct {
	*httptest.ResponseRecorder
	hijacked bool
}

func (h *handsOver) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	h.hijacked = true
	return nil, nil, errors.New("none is there")
}

// The places of sessions whose end is not reported are free when their connections are
// closed. That is checked only if there is no other place.
func TestSlotOfAnUnreportedSession(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	g := quietGuard(t, Config{MaxSessions: 2})
	a := g.Adapter()
	session := func(nc net.Conn, want int) {
		t.Helper()
		m := newLetter(handshake(), nc)
		q := a.BeginMessage(m)
		_ = q.Around(m, func() error { m.status, m.hijacked = 101, true; return nil }, nil)
		if m.status != want || m.hijacked != (want == 101) {
			t.Errorf("answered %d, hijacked %t, want %d", m.status, m.hijacked, want)
		}
	}
	plain, inside := dial(), dial()
	session(plain, 101)
	session(tls.Client(inside, &tls.Config{}), 101)
	session(dial(), 503)
	_ = plain.Close()
	again := dial()
	session(again, 101)
	session(dial(), 503)
	_ = inside.Close()
	_ = again.Close()
	session(dial(), 101)
	session(dial(), 101)
	session(dial(), 503)
	if n := len(g.slots.lent); n != 2 {
		t.Errorf("%d are remembered, want 2", n)
	}
	// A connection that cannot be asked is not kept.
	other := quietGuard(t, Config{MaxSessions: 1})
	a = other.Adapter()
	for range 3 {
		session(&conntest.Script{}, 101)
	}
	if n := other.slots.taken.Load(); n != 0 {
		t.Errorf("%d places are taken for ever", n)
	}
}
