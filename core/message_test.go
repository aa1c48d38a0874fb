package core

import (
	"errors"
	"net"
	"net/http"
	"slices"
	"testing"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/conn/conntest"
)

// letter is a Message in memory: what a server like fasthttp knows of one request.
type letter struct {
	httpHead
	conn       net.Conn
	values     map[any]any
	connection string // the rewritten field
	status     int
	fields     map[string]string
	body       string
	hijacked   bool
}

// Head implements Message.
func (m *letter) Head() Head { return m }

func newLetter(r *http.Request, conn net.Conn) *letter {
	m := &letter{httpHead: httpHead{r}, conn: conn, values: make(map[any]any)}
	m.Reset()
	return m
}

func (m *letter) Conn() net.Conn              { return m.conn }
func (m *letter) UserValue(key any) any       { return m.values[key] }
func (m *letter) SetUserValue(key, value any) { m.values[key] = value }
func (m *letter) SetConnection(value string)  { m.connection = value }
func (m *letter) Status() int                 { return m.status }
func (m *letter) SetStatusCode(status int)    { m.status = status }
func (m *letter) SetField(name, value string) { m.fields[name] = value }
func (m *letter) AnswerField(n string) string { return m.fields[n] }
func (m *letter) SetBodyString(body string)   { m.body = body }
func (m *letter) Streams() bool               { return m.r.ContentLength > 0 }
func (m *letter) SetConnectionClose()         { m.fields["Connection"] = "close" }
func (m *letter) Hijacked() bool              { return m.hijacked }
func (m *letter) Reset() {
	m.status, m.fields, m.body, m.hijacked = 200, make(map[string]string), "", false
}

func onPath(path string) func(*http.Request) { return func(r *http.Request) { r.URL.Path = path } }

// A request is begun once, its answer comes from the guard or from the next handler, and
// an error goes where the framework answers it.
func TestAround(t *testing.T) {
	failed := errors.New("the handler's")
	undecided := func(Head) (bool, bool) { return false, false }
	plain := with("Upgrade")
	for _, row := range []struct {
		rule     string
		change   []func(*http.Request)
		own      bool  // a route of Handler
		status   int   // the application's
		returns  error // by its handler
		called   bool  // the next handler was
		answered bool  // the error was
		want     int
		err      error
	}{
		{rule: "an ordinary request is passed on, and so is its error", change: []func(*http.Request){plain, with("Sec-Websocket-Key"), onPath("/")}, status: 200, returns: failed, called: true, want: 200, err: failed},
		{rule: "a handshake is passed on, and its error answered inside", status: 500, returns: failed, called: true, answered: true, want: 500},
		{rule: "what Handler refuses is not passed on", change: []func(*http.Request){plain}, own: true, want: 426},
		{rule: "a health route that the application does not have is ours", change: []func(*http.Request){plain, with("Sec-Websocket-Key"), onPath("/readyz")}, status: 404, called: true, want: 200},
		{rule: "a health route of the application stays its own", change: []func(*http.Request){plain, with("Sec-Websocket-Key"), onPath("/readyz")}, status: 503, called: true, want: 503},
	} {
		g := quietGuard(t, Config{})
		a := g.Adapter().Owner(undecided)
		m := newLetter(handshake(row.change...), nil)
		q := a.BeginMessage(m)
		if row.own {
			q = a.Endpoint(q, m, "/ws", &Origins{Any: true})
		}
		called, answered := false, false
		err := q.Around(m, func() error {
			called = true
			inner := a.BeginMessage(m)
			if e := inner.Around(m, func() error {
				m.status = row.status
				m.SetField("X-App", "1")
				return row.returns
			}, func(error) { t.Errorf("%s: the inner layer answered the error", row.rule) }); e != row.returns {
				t.Errorf("%s: the inner layer returned %v", row.rule, e)
			}
			return row.returns
		}, func(e error) {
			answered = true
			if e != row.returns {
				t.Errorf("%s: answered got %v", row.rule, e)
			}
		})
		if called != row.called || answered != row.answered || m.status != row.want || err != row.err {
			t.Errorf("%s: called %t, answered %t, status %d, error %v", row.rule, called, answered, m.status, err)
		}
		if ours := m.body != ""; ours == (m.fields["X-App"] != "") {
			t.Errorf("%s: answered %q with fields %v", row.rule, m.body, m.fields)
		}
		if !q.done {
			t.Errorf("%s: the request has not ended", row.rule)
		}
	}
}

// A body that may be unread is not served as requests.
func TestAnswerBeforeABodyCloses(t *testing.T) {
	for length, want := range map[int64]string{0: "", 5: "close"} {
		g := quietGuard(t, Config{Routes: Routes{Ready: "/readyz"}})
		m := newLetter(asked("POST", "/readyz"), nil)
		m.r.ContentLength = length
		q := g.Adapter().BeginMessage(m)
		_ = q.Around(m, func() error { t.Error("the application is asked"); return nil }, nil)
		if m.status != 405 || m.fields["Connection"] != want {
			t.Errorf("a body of %d: answered %d, Connection %q", length, m.status, m.fields["Connection"])
		}
	}
}

// A good handshake is rewritten for libraries that read only one line of Connection.
func TestAroundRewritesConnection(t *testing.T) {
	g := quietGuard(t, Config{})
	m := newLetter(handshake(with("Connection", "keep-alive", "Upgrade, close")), nil)
	q := g.Adapter().BeginMessage(m)
	_ = q.Around(m, func() error { return nil }, nil)
	if m.connection != "Upgrade" {
		t.Errorf("Connection is %q", m.connection)
	}
}

// A panic is logged once, and answered by the outermost layer without any of its text. A
// hijack that was requested does not come.
func TestPanicAround(t *testing.T) {
	var events []event.Event
	g := quietGuard(t, Config{Observe: func(e event.Event) { events = append(events, e) }})
	a := g.Adapter()
	m := newLetter(handshake(onPath("/panic")), watched(g, &conntest.Script{}))
	func() {
		returned := false
		defer a.Recover(m, &returned)
		q := a.BeginMessage(m)
		_ = q.Around(m, func() error {
			inner := a.BeginMessage(m)
			return inner.Around(m, func() error { m.hijacked = true; panic("s3cr3t") }, nil)
		}, nil)
	}()
	if m.status != 500 || m.body != "internal server error\n" || m.fields["Connection"] != "close" || m.hijacked {
		t.Errorf("answered %d %q, Connection %q, hijacked %t", m.status, m.body, m.fields["Connection"], m.hijacked)
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(events, func(e event.Event) bool { return e.Class == event.HandlerPanic && e.Panic == "s3cr3t" }) || len(events) != 1 {
		t.Errorf("events: %+v", events)
	}
}
