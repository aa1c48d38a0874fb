package core

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
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

// A caller whose context ends has all sessions closed at once; those that have not had
// their goodbye get none. A second caller joins.
func TestDrainCutShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := quietGuard(t, Config{})
		var ended sync.WaitGroup
		var said atomic.Int32
		for range 3 {
			s := began(t, g).open()
			s.OnDrain(func() { said.Add(1) })
			ctx, cancel := context.WithCancelCause(t.Context())
			(*exchange)(s.Session).setCancel(cancel)
			ended.Go(func() {
				<-ctx.Done() // ends with the connection
				s.q.Done(0, context.Cause(ctx))
			})
		}
		type result struct {
			DrainReport
			err error
			at  time.Duration
		}
		start := time.Now()
		results := make(chan result, 3)
		for _, patience := range []time.Duration{time.Hour, 15 * time.Millisecond, time.Minute} {
			go func() {
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				defer cancel()
				r, err := g.Drain(ctx)
				results <- result{r, err, time.Since(start)}
			}()
		}
		hurried := 0
		for range 3 {
			r := <-results
			if want := (DrainReport{Sessions: 3, Dropped: 3, Goodbyes: 15 * time.Millisecond, Duration: 15 * time.Millisecond}); !reflect.DeepEqual(r.DrainReport, want) || r.at != want.Duration {
				t.Errorf("at %v: %+v, want %+v for all callers", r.at, r.DrainReport, want)
			}
			if r.err != nil {
				hurried++
				if !errors.Is(r.err, context.DeadlineExceeded) {
					t.Errorf("%v", r.err)
				}
			}
		}
		if hurried != 1 {
			t.Errorf("%d callers got their context's error, want the one whose context ended", hurried)
		}
		ended.Wait()
		if n := said.Load(); n != 2 {
			t.Errorf("%d goodbyes in 15ms, one every 10ms; want 2", n)
		}
		if r, err := g.Drain(t.Context()); err != nil || r.Sessions != 3 {
			t.Errorf("long after: %+v, %v", r, err)
		}
		over, cancel := context.WithCancel(t.Context())
		cancel()
		for range 20 {
			if r, err := g.Drain(over); err != nil || r.Sessions != 3 {
				t.Fatalf("long after, by a caller without time: %+v, %v", r, err)
			}
		}
		emptyRegistry(t, g.watch.Conns)
	})
}

// A context that has already ended leaves no time for anything.
func TestDrainAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := quietGuard(t, Config{})
		s := began(t, g).open()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		r, err := g.Drain(ctx)
		if !errors.Is(err, context.Canceled) || r.Duration != 0 || r.Sessions != 1 {
			t.Errorf("%+v, %v", r, err)
		}
		if !s.c.Saw(conn.Closed) {
			t.Error("the session's connection is open")
		}
		s.q.Done(0, nil)
	})
}

// A session that ended before its moment gets no goodbye. A session whose handshake was
// in progress when the drain began gets one as soon as it is open.
func TestDrainEarlyAndLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := quietGuard(t, Config{Drain: DrainConfig{Timeout: 9 * time.Second, Spread: 3 * time.Second}})
		start := time.Now()
		var mu sync.Mutex
		said := make(map[string]time.Duration)
		goodbye := func(name string, s *fakeSession) {
			s.OnDrain(func() {
				mu.Lock()
				said[name] = time.Since(start)
				mu.Unlock()
				s.end()
			})
		}
		first, second := began(t, g).open(), began(t, g).open()
		goodbye("first", first)
		goodbye("second", second)
		under := began(t, g)
		go func() {
			<-time.After(goodbyePause / 2) // one of the two had its goodbye at once
			mu.Lock()
			left := first
			if _, gone := said["first"]; gone {
				left = second
			}
			mu.Unlock()
			left.end()
			under.open()
			goodbye("late", under)
		}()
		r := drained(t, g)
		mu.Lock()
		defer mu.Unlock()
		if _, a := said["first"]; a == func() bool { _, b := said["second"]; return b }() {
			t.Errorf("goodbyes %v: want one of first and second, the other was gone", said)
		}
		if at, ok := said["late"]; !ok || at > goodbyePause {
			t.Errorf("goodbyes %v: the session that opened during the drain got none within the spread", said)
		}
		if r.Sessions != 3 || r.Dropped != 0 || r.Duration > 4*time.Second {
			t.Errorf("%+v: three sessions, and all ended", r)
		}
		if !under.c.Saw(conn.Closed) {
			under.end()
		}
	})
}

// A connection without a request in progress is closed, because it would delay the
// server's Shutdown. One with a request is not.
func TestDrainClosesIdleConnections(t *testing.T) {
	events := new(book)
	g := quietGuard(t, Config{Observe: events.observe})
	pipe := func(bytes string) (*conn.Conn, net.Conn) {
		a, b := net.Pipe()
		c := watched(g, a)
		if bytes != "" {
			go func() { _, _ = io.WriteString(b, bytes) }()
			if _, err := io.ReadFull(c, make([]byte, len(bytes))); err != nil {
				t.Fatal(err)
			}
		}
		t.Cleanup(func() { _, _ = b.Close(), c.Close() })
		return c, b
	}
	silent, _ := pipe("")
	half, _ := pipe("GET /ws HTTP/1.1\r\nHost: a\r\n")
	preamble, _ := pipe(string(conntest.LineProxyV1))
	serving, _ := pipe("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if !serving.Begin() {
		t.Fatal("a request cannot begin")
	}

	cert := httptest.NewUnstartedServer(nil)
	cert.StartTLS()
	defer cert.Close()
	handshaken, peer := pipe("")
	above := tls.Server(handshaken, cert.TLS)
	handshaken.LookAbove(above)
	go func() { _ = tls.Client(peer, &tls.Config{InsecureSkipVerify: true}).Handshake() }()
	if err := above.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}

	drained(t, g)
	for name, c := range map[string]*conn.Conn{"silent": silent, "half a head": half, "a preamble": preamble, "handshaken": handshaken} {
		if !c.Saw(conn.Closed) {
			t.Errorf("%s: still open", name)
		}
	}
	if serving.Saw(conn.Closed) {
		t.Error("a connection with a request in progress was closed")
	}
	serving.Mark(conn.Ordinary)
	_ = serving.Close()
	serving.Release()
	waitClosed(t, g)
	closed := events.of(t, g, event.ServerClosed)
	for _, e := range closed {
		if e.Reason != event.ReasonDrain {
			t.Errorf("server_closed/%v, want drain", e.Reason)
		}
	}
	if s := g.Snapshot(); len(closed) != 4 || s.Closed[event.ServerClosed] != 4 || s.Closed[event.HTTP] != 1 || s.Open != 0 {
		t.Errorf("%d events, %v", len(closed), s.Closed)
	}
}

// A drain waits for a handshake in progress, even if no session is open. It ends with a
// goodbye, without a session, or at the deadline.
func TestDrainWaitsForAHandshake(t *testing.T) {
	for _, row := range []struct {
		rule string
		then func(s *fakeSession) // a second into the drain
		want DrainReport
	}{
		{"it opens", func(s *fakeSession) {
			s.open()
			s.OnDrain(func() { s.Ended(1001); s.end() })
		}, DrainReport{Sessions: 1, Closed: 1, Answered: 1, Duration: time.Second}},
		{"it is refused", func(s *fakeSession) { s.q.Done(401, nil) }, DrainReport{Duration: time.Second}},
		{"it fails", func(s *fakeSession) { s.q.Done(503, errors.New("database")) }, DrainReport{Duration: time.Second}},
		{"it never ends", func(*fakeSession) {}, DrainReport{Duration: 9 * time.Second}},
	} {
		synctest.Test(t, func(t *testing.T) {
			g := quietGuard(t, Config{})
			s := began(t, g)
			go func() {
				<-time.After(time.Second)
				row.then(s)
			}()
			if r := drained(t, g); r.Duration.Round(time.Second) != row.want.Duration {
				t.Errorf("%s: the drain took %v, want %v", row.rule, r.Duration, row.want.Duration)
			} else if r.Duration, r.Closing = row.want.Duration, 0; !reflect.DeepEqual(r, row.want) {
				t.Errorf("%s: %+v, want %+v", row.rule, r, row.want)
			}
			if !s.c.Saw(conn.Closed) {
				s.end()
			}
		})
	}
}
