package core

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/conn"
	"github.com/quietws/quietws/core/internal/conn/conntest"
)

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
