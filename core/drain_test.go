package core

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/conn"
	"github.com/quietws/quietws/core/internal/conn/conntest"
	"github.com/quietws/quietws/core/internal/journal/logtest"
)

// fakeSession is a session that a library has upgraded, on a connection whose peer is
// silent.
type fakeSession struct {
	*Session
	g    *Guard
	c    *conn.Conn
	q    Request
	gone chan struct{} // closed when the connection is
}

// began is a handshake that was judged and is not upgraded yet.
func began(t *testing.T, g *Guard) *fakeSession {
	t.Helper()
	gone := make(chan struct{})
	c := watched(g, &conntest.Script{Addr: conntest.TCPAddr("192.0.2.1:1000"), Closed: gone})
	q := g.Adapter().beginOnConn(httpHead{handshake()}, c)
	if q.decision().verdict != verdictUpgrade {
		t.Fatalf("a handshake was judged %+v", q.decision())
	}
	return &fakeSession{g: g, c: c, q: q, gone: gone}
}

// open upgrades it like a library that writes after the hijack.
func (s *fakeSession) open() *fakeSession {
	s.q.open(s.c)
	_, _ = s.c.Write([]byte("HTTP/1.1 101 Switching Protocols\r\n\r\n"))
	s.Session = (*Session)(s.q.x)
	return s
}

// end ends it like a handler that returns.
func (s *fakeSession) end() {
	_ = s.c.Close()
	s.q.Done(0, nil)
}

// book records the observed events.
type book struct {
	mu     sync.Mutex
	events []event.Event
}

func (b *book) observe(e event.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = append(b.events, e)
}

// of returns the events of one class.
func (b *book) of(t *testing.T, g *Guard, c event.Class) (found []event.Event) {
	t.Helper()
	if err := g.journal.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.events {
		if e.Class == c {
			found = append(found, e)
		}
	}
	return found
}

func drained(t *testing.T, g *Guard) DrainReport {
	t.Helper()
	report, err := g.Drain(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestDrainOfNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, log := newGuardAndLog(t, Config{}, slog.LevelInfo)
		select {
		case <-g.Draining():
			t.Error("draining before Drain")
		default:
		}
		if r := drained(t, g); !reflect.DeepEqual(r, DrainReport{}) {
			t.Errorf("%+v", r)
		}
		select {
		case <-g.Draining():
		default:
			t.Error("Draining is not closed")
		}
		if s := g.Snapshot(); !s.Draining || s.Ready {
			t.Errorf("draining %v, ready %v", s.Draining, s.Ready)
		}
		logtest.WantMessages(t, "one line when the state changes and one with the report", linesLoggedBy(t, g, log), "draining", "drained")
	})
}

// While draining, a handshake is refused, readiness fails, and liveness does not.
func TestDrainAnswers(t *testing.T) {
	g := quietGuard(t, Config{})
	h := g.Wrap(http.NewServeMux())
	answers := func(want map[string]int) {
		t.Helper()
		for path, status := range want {
			w := httptest.NewRecorder()
			r := httptest.NewRequest("GET", path, nil)
			if path == "/ws" {
				r = handshake()
			}
			h.ServeHTTP(w, r)
			if w.Code != status {
				t.Errorf("%s: %d, want %d", path, w.Code, status)
			}
			if path == "/ws" && status == 503 && w.Header().Get("Retry-After") == "" {
				t.Error("a refused client is not asked to come back later")
			}
		}
	}
	answers(map[string]int{"/livez": 200, "/readyz": 200, "/startupz": 200, "/healthz": 200, "/ws": 404})
	drained(t, g)
	answers(map[string]int{"/livez": 200, "/readyz": 503, "/startupz": 200, "/healthz": 503, "/ws": 503})
	if s := g.Snapshot(); !slices.Contains(s.Handshakes, HandshakeCount{"refused", event.ReasonDraining, 1}) {
		t.Errorf("%+v", s.Handshakes)
	}
}

// Goodbyes are spread evenly, over Spread at most and at least 100 a second. Each session
// gets one, and the drain ends with the last of them.
func TestDrainSpread(t *testing.T) {
	for _, row := range []struct {
		sessions      int
		spread, pause time.Duration
	}{
		{5, 0, 10 * time.Millisecond}, // so it takes less than 50ms
		{10, 5 * time.Second, 10 * time.Millisecond},
		{10, 50 * time.Millisecond, 5 * time.Millisecond},
		{300, 0, 2250 * time.Millisecond / 300}, // a quarter of 9s
		{10, -1, 0},
	} {
		last := time.Duration(row.sessions-1) * row.pause
		synctest.Test(t, func(t *testing.T) {
			events := new(book)
			g := quietGuard(t, Config{Drain: DrainConfig{Spread: row.spread}, Observe: events.observe})
			var mu sync.Mutex
			var said []time.Duration
			start := time.Now()
			var sessions []*fakeSession
			for range row.sessions {
				s := began(t, g).open()
				s.OnDrain(func() {
					mu.Lock()
					said = append(said, time.Since(start))
					mu.Unlock()
					s.Ended(1001)
					s.end()
				})
				sessions = append(sessions, s)
			}
			r := drained(t, g)
			if n := row.sessions; r.Sessions != n || r.Closed != n || r.Answered != n || r.Dropped != 0 {
				t.Errorf("spread %v: %+v", row.spread, r)
			}
			if r.Duration < last || r.Duration > last+2*drainCheck {
				t.Errorf("spread %v: the drain took %v, the last goodbye was at %v", row.spread, r.Duration, last)
			}
			mu.Lock()
			defer mu.Unlock()
			slices.Sort(said)
			for i, at := range said {
				if at != time.Duration(i)*row.pause {
					t.Errorf("spread %v: goodbye %d was said at %v, want %v", row.spread, i, at, time.Duration(i)*row.pause)
				}
			}
			if len(said) != len(sessions) {
				t.Errorf("%d goodbyes for %d sessions", len(said), len(sessions))
			}
			for _, e := range events.of(t, g, event.SessionEnded) {
				if e.Session.End != "closed" || e.Session.Code != 1001 {
					t.Errorf("%+v", e.Session)
				}
			}
			emptyRegistry(t, g.watch.Conns)
		})
	}
}

// The order of the goodbyes is random: otherwise the same clients would always come back
// first.
func TestDrainOrderIsRandom(t *testing.T) {
	firsts := make(map[int]bool)
	for range 40 {
		synctest.Test(t, func(t *testing.T) {
			g := quietGuard(t, Config{})
			var mu sync.Mutex
			first := -1
			for i := range 4 {
				s := began(t, g).open()
				s.OnDrain(func() {
					mu.Lock()
					if first < 0 {
						first = i
					}
					mu.Unlock()
					s.end()
				})
			}
			drained(t, g)
			firsts[first] = true
		})
	}
	if len(firsts) < 2 {
		t.Errorf("of four sessions number %v was the first in 40 drains", firsts)
	}
}

// The figures of the report, with each kind of end once.
func TestDrainReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events := new(book)
		g, log := newGuardAndLog(t, Config{Observe: events.observe, Drain: DrainConfig{Timeout: 8 * time.Second}}, slog.LevelInfo)
		answered, closed, vanished, deaf, panics := began(t, g).open(), began(t, g).open(), began(t, g).open(), began(t, g).open(), began(t, g).open()
		answered.OnDrain(func() { answered.Ended(1001); answered.end() })
		closed.OnDrain(func() { closed.end() })
		vanished.OnDrain(func() { vanished.Ended(1006); vanished.end() })
		blocked := make(chan struct{})
		deaf.OnDrain(func() { <-blocked })
		panics.OnDrain(func() { panic("goodbye") })
		go func() { // handlers return when their connections are closed
			for _, s := range []*fakeSession{deaf, panics} {
				<-s.gone
				s.q.Done(0, errors.New("read: closed"))
			}
		}()
		r := drained(t, g)
		if want := (DrainReport{
			Sessions: 5, Closed: 3, Answered: 1, Dropped: 2,
			Goodbyes: 40 * time.Millisecond, Closing: 7960 * time.Millisecond, Duration: 8 * time.Second,
		}); !reflect.DeepEqual(r, want) {
			t.Errorf("%+v, want %+v", r, want)
		}
		close(blocked)
		synctest.Wait()
		s := g.Snapshot()
		if s.Drained["answered"] != 1 || s.Drained["closed"] != 2 || s.Drained["dropped"] != 2 || s.SessionsOpen != 0 {
			t.Errorf("%v, %d sessions open", s.Drained, s.SessionsOpen)
		}
		ends := make(map[string]int)
		for _, e := range events.of(t, g, event.SessionEnded) {
			ends[e.Session.End]++
		}
		if ends["closed"] != 1 || ends["vanished"] != 1 || ends["ended"] != 1 || ends["server"] != 2 {
			t.Errorf("ends %v", ends)
		}
		lines := linesLoggedBy(t, g, log)
		last := lines[len(lines)-1]
		logtest.WantAttrs(t, last, map[string]string{
			"sessions": "5", "closed": "3", "answered": "1", "dropped": "2",
			"notice": "0s", "goodbyes": "40ms", "closing": "7.96s", "duration": "8s",
		})
		emptyRegistry(t, g.watch.Conns)
	})
}
