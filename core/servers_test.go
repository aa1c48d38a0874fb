package core

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quietws/quietws/core/internal/journal/logtest"
)

// onMemory returns a server and a listener in memory; serving is closed at the start.
func onMemory() (srv *http.Server, ln *memoryListener, serving chan struct{}) {
	serving = make(chan struct{})
	srv = &http.Server{BaseContext: func(net.Listener) context.Context { close(serving); return context.Background() }}
	return srv, &memoryListener{conns: make(chan net.Conn), closed: make(chan struct{})}, serving
}

// warnings returns the lines at Warn and above.
func warnings(t *testing.T, g *Guard, log *logtest.Lines) (found []logtest.Line) {
	t.Helper()
	for _, l := range linesLoggedBy(t, g, log) {
		if l.Level >= slog.LevelWarn {
			found = append(found, l)
		}
	}
	return found
}

// A server that is already serving is not changed, and one line says what to do.
func TestAttachTooLate(t *testing.T) {
	g, log := newGuardAndLog(t, Config{}, slog.LevelInfo)
	srv, ln, serving := onMemory()
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	<-serving
	g.Attach(srv)
	lines := warnings(t, g, log)
	logtest.WantMessages(t, "one line", lines, "attached to a server that is already serving: the guard does not see it")
	logtest.WantAttrs(t, lines[0], map[string]string{"remedy": "call Attach before the server starts"})
	if err := srv.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	<-served
	if g.isDraining() {
		t.Error("a server that is not attached has begun a drain")
	}
}

// Attach before the start, and again while the server serves, logs nothing.
func TestAttachTwiceIsNotTooLate(t *testing.T) {
	g, log := newGuardAndLog(t, Config{}, slog.LevelInfo)
	srv, ln, serving := onMemory()
	g.Attach(srv)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	<-serving
	g.Attach(srv)
	logtest.WantMessages(t, "nothing", warnings(t, g, log))
	if err := srv.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	<-served
	drained(t, g)
}

// A guard that has drained or is closed cannot be used again: that is an error where one
// can be returned, else one line.
func TestGuardUsedAgain(t *testing.T) {
	for name, end := range map[string]func(*testing.T, *Guard){
		"drained": func(t *testing.T, g *Guard) { drained(t, g) },
		"closed": func(t *testing.T, g *Guard) {
			if err := g.Close(); err != nil {
				t.Error(err)
			}
		},
	} {
		for use, again := range map[string]func(*Guard){
			"Wrap": func(g *Guard) { g.Wrap(http.NotFoundHandler()) },
			"Attach": func(g *Guard) {
				srv, ln, serving := onMemory()
				g.Attach(srv)
				served := make(chan error, 1)
				go func() { served <- srv.Serve(ln) }()
				<-serving
				_ = ln.Close()
				<-served
			},
		} {
			t.Run(name+"/"+use, func(t *testing.T) {
				g, log := newGuardAndLog(t, Config{}, slog.LevelWarn)
				end(t, g)
				again(g)
				again(g)
				lines := warnings(t, g, log)
				logtest.WantMessages(t, "one line, once", lines, msgOverAgain)
				logtest.WantAttrs(t, lines[0], map[string]string{"by": use, "remedy": "make a new guard with core.New"})
			})
		}
		t.Run(name+"/Serve", func(t *testing.T) {
			g, log := newGuardAndLog(t, Config{}, slog.LevelWarn)
			end(t, g)
			srv, ln, _ := onMemory()
			if err := g.Serve(t.Context(), srv, ln); !errors.Is(err, errOver) {
				t.Errorf("Serve: %v", err)
			}
			select {
			case <-ln.closed:
			default:
				t.Error("the listener is open")
			}
			logtest.WantMessages(t, "the error says it", warnings(t, g, log))
		})
	}
}

// A context that has already ended is not an error: a signal may come while servers
// start.
func TestServeOfAnEndedContextAfterADrain(t *testing.T) {
	g := quietGuard(t, Config{})
	drained(t, g)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := g.Serve(ctx, &http.Server{}, &memoryListener{conns: make(chan net.Conn), closed: make(chan struct{})}); err != nil {
		t.Errorf("Serve: %v", err)
	}
}

// A server that is attached but never started counts, so that readiness stays, and one
// line says so. Servers of one application count as one.
func TestServerThatNeverStarted(t *testing.T) {
	for _, row := range []struct {
		rule   string
		attach func(*Guard, *http.Server)
		want   []string
		drains bool
	}{
		{"alone", func(g *Guard, srv *http.Server) { g.Attach(srv) }, nil, true},
		{"next to another", func(g *Guard, srv *http.Server) { g.Attach(srv); g.Attach(&http.Server{}) },
			[]string{"a server shuts down while one that never started still counts: only its own sessions are drained"}, false},
		{"two of one application", func(g *Guard, srv *http.Server) { g.Adapter().Attach(srv, &http.Server{}) }, nil, true},
	} {
		g, log := newGuardAndLog(t, Config{}, slog.LevelInfo)
		srv, ln, serving := onMemory()
		row.attach(g, srv)
		served := make(chan error, 1)
		go func() { served <- srv.Serve(ln) }()
		<-serving
		g.Adapter().serverNamed(srv).ShuttingDown()
		g.Adapter().serverNamed(srv).ShuttingDown()
		if g.isDraining() != row.drains {
			t.Errorf("%s: draining %v, want %v", row.rule, g.isDraining(), row.drains)
		}
		logtest.WantMessages(t, row.rule, warnings(t, g, log), row.want...)
		if err := srv.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		<-served
		for _, d := range g.drains() {
			if d.begun {
				<-d.done
			}
		}
	}
}

// The servers of one application are one, whichever of them is named.
func TestServersOfOneApplication(t *testing.T) {
	g := quietGuard(t, Config{})
	a, b := &http.Server{}, &http.Server{}
	g.Adapter().Attach(a, b)
	for _, srv := range []*http.Server{a, b} {
		if again, first := g.Adapter().Server(srv); first || again.server != g.servers.list[0] {
			t.Errorf("first %v, server %p of %p", first, again.server, g.servers.list[0])
		}
	}
}

// A session whose handshake was in progress when its server shut down gets its goodbye as
// soon as it is open; a session of the other server gets none. When all drain, the
// Shutdown of one server begins nothing more.
func TestSessionOpensWhenItsServerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, log := newGuardAndLog(t, Config{}, slog.LevelInfo)
		mine, _ := g.Adapter().Server(new(int))
		others, _ := g.Adapter().Server(new(int))
		mine.server.starts("a")
		others.server.starts("b")
		said := make(map[string]bool)
		sessions := make(map[string]*fakeSession)
		for name, a := range map[string]Adapter{"mine": mine, "others": others} {
			s := began(t, g)
			a.server.has(s.c)
			sessions[name] = s
		}
		mine.ShuttingDown()
		synctest.Wait() // the goodbyes are sent
		for name, s := range sessions {
			s.open()
			s.OnDrain(func() { said[name] = true; s.end() })
			synctest.Wait()
		}
		if !said["mine"] || said["others"] {
			t.Errorf("goodbyes %v, want that of the server that left", said)
		}
		<-mine.server.drain.done
		logtest.WantMessages(t, "the drain of one", linesLoggedBy(t, g, log), "health routes", "draining", "drained")
		drained(t, g)
		third, _ := g.Adapter().Server(new(int))
		others.ShuttingDown()
		third.ShuttingDown()
		synctest.Wait()
		logtest.WantMessages(t, "and of all", linesLoggedBy(t, g, log), "draining", "drained")
	})
}

// serverNamed is the Adapter for an attached server.
func (a Adapter) serverNamed(key any) Adapter { a, _ = a.Server(key); return a }

// Serve's server counts until it returns, even without a Shutdown.
func TestServerCountsUntilServeReturns(t *testing.T) {
	g := quietGuard(t, Config{})
	first, ln, serving := onMemory()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	served := make(chan error, 1)
	go func() { served <- g.Serve(ctx, first, ln) }()
	<-serving
	second, _, _ := onMemory()
	broken := errors.New("broken")
	if err := g.Serve(t.Context(), second, &scripted{script: []any{broken}, closed: make(chan struct{})}); !errors.Is(err, broken) {
		t.Errorf("Serve: %v", err)
	}
	g.Adapter().serverNamed(first).ShuttingDown()
	if !g.isDraining() {
		t.Error("the last server that served shuts down, and no drain begins")
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// A drain waits again if a server comes after the last one has gone.
func TestDrainNoticeOfALaterServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := quietGuard(t, Config{})
		broken := errors.New("broken")
		if err := g.Serve(t.Context(), &http.Server{}, &scripted{script: []any{broken}, closed: make(chan struct{})}); !errors.Is(err, broken) {
			t.Errorf("Serve: %v", err)
		}
		g.Attach(&http.Server{})
		question(g.Wrap(http.NotFoundHandler()), "/livez", inside, kubelet)
		if r := drained(t, g); r.Notice < noticeLeast {
			t.Errorf("accepted for %v, want %v", r.Notice, noticeLeast)
		}
	})
}

// The address of each listener is in the first line.
func TestServeSaysWhere(t *testing.T) {
	g, log := newGuardAndLog(t, Config{}, slog.LevelInfo)
	a, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := g.Serve(ctx, &http.Server{}, a, g.Listener(b)); err != nil {
		t.Error(err)
	}
	lines := linesLoggedBy(t, g, log)
	if len(lines) == 0 || lines[0].Msg != "serving" {
		t.Fatalf("%v", lines)
	}
	logtest.WantAttrs(t, lines[0], map[string]string{"address": a.Addr().String() + ", " + b.Addr().String()})
}

// A report is logged once, even if Close comes before the end of the drain.
func TestCloseReportsTheDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, log := newGuardAndLog(t, Config{}, slog.LevelInfo)
		left, gone := began(t, g).open(), began(t, g).open()
		g.Adapter().ShuttingDown()
		<-time.After(time.Second)
		gone.end()
		if err := g.Close(); err != nil {
			t.Error(err)
		}
		lines := log.Take()
		last := lines[len(lines)-1]
		if last.Msg != "drained" {
			t.Fatalf("the last line is %v", last)
		}
		logtest.WantAttrs(t, last, map[string]string{"sessions": "2", "closed": "1", "dropped": "0", "open": "1", "duration": "1s"})
		left.end()
		<-g.ending.all.done
		if more := log.Take(); len(more) > 0 {
			t.Errorf("and then %v", more)
		}
		if n := g.Snapshot().Dropped; n != 1 {
			t.Errorf("%d events and lines after Close, want the end of the session alone", n)
		}
	})
}

// A drain that a Shutdown began closes nothing. If Drain is called, at any time, what is
// open at the deadline is closed.
func TestDrainAfterShutdown(t *testing.T) {
	for _, row := range []struct {
		asks   time.Duration // Guard.Drain
		closed time.Duration
	}{
		{time.Second, 9 * time.Second},
		{20 * time.Second, 20 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			g := quietGuard(t, Config{})
			s := began(t, g).open()
			start := time.Now()
			go func() {
				<-s.gone
				if at := time.Since(start); at != row.closed {
					t.Errorf("asked at %v: closed at %v, want %v", row.asks, at, row.closed)
				}
				s.q.Done(0, io.EOF)
			}()
			g.Adapter().ShuttingDown()
			<-time.After(row.asks)
			if r := drained(t, g); r.Sessions != 1 || r.Dropped != 1 || r.Closed != 0 {
				t.Errorf("asked at %v: %+v, want one dropped", row.asks, r)
			}
			synctest.Wait()
			if d := g.Snapshot().Drained; d["dropped"] != 1 || d["closed"] != 0 {
				t.Errorf("asked at %v: %v", row.asks, d)
			}
		})
	}
}

// A session that opened just as the drain began counts once.
func TestDrainCountsALateSessionOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := quietGuard(t, Config{})
		late, other := began(t, g), began(t, g).open()
		g.ending.refusing.Store(true) // like a drain that has not looked yet
		late.open()
		time.AfterFunc(time.Second, func() { late.end(); other.end() })
		if r := drained(t, g); r.Sessions != 2 || r.Closed != 2 {
			t.Errorf("%+v, want two sessions", r)
		}
	})
}

// Serve returns after the handlers of the sessions that it closed have returned, so that
// their ends are known.
func TestServeWaitsForHandlers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := quietGuard(t, Config{Drain: DrainConfig{Timeout: time.Second}})
		ln := &memoryListener{conns: make(chan net.Conn), closed: make(chan struct{})}
		opened := make(chan struct{})
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.WriteString(c, answer101)
			close(opened)
			_, _ = c.Read(make([]byte, 1))
			<-time.After(50 * time.Millisecond)
		})}
		ctx, stop := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- g.Serve(ctx, srv, ln) }()
		server, peer := net.Pipe()
		ln.conns <- server
		go func() { _, _ = io.Copy(io.Discard, peer) }()
		_, _ = io.WriteString(peer, upgradeGET)
		<-opened
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
		if s := g.Snapshot(); s.SessionsOpen != 0 || len(s.SessionsEnded) != 1 || !strings.Contains(s.SessionsEnded[0].End, "server") {
			t.Errorf("%d sessions open, ended %v", s.SessionsOpen, s.SessionsEnded)
		}
		_ = peer.Close()
	})
}
