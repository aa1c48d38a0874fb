package core

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quietws/quietws/core/internal/conn"
)

// ending is how the guard ends: its drain, and the probers that it waits for. New sets
// begun and kubernetes. The drain sets draining and refusing; neither is ever cleared.
type ending struct {
	draining   atomic.Bool   // readiness is 503
	refusing   atomic.Bool   // and handshakes are refused
	begun      chan struct{} // closed with draining
	all        *drain        // of all sessions
	pollers    pollers       // the probers that it waits for
	kubernetes bool          // the process runs in a pod
}

// drain ends the sessions of a guard, or of only one of its servers. In order: begin,
// awaitNotice, sayGoodbye, await until no session is open, cut, closeIdle, end.
type drain struct {
	g         *Guard
	of        *server // nil: all servers
	once      sync.Once
	shortened chan struct{} // closed at the deadline, or when a caller cannot wait
	quick     sync.Once
	done      chan struct{}
	cuts      atomic.Bool // a caller waits for it: what is open at the deadline is closed

	mu       sync.Mutex
	begun    bool
	start    time.Duration // since the guard's epoch
	sessions []*exchange   // those that it ends, and those that opened meanwhile
	report   DrainReport   // as far as known
	open     int           // sessions that went on at its end
	logged   bool          // the report was logged
}

func newDrain(g *Guard, of *server) *drain {
	return &drain{g: g, of: of, shortened: make(chan struct{}), done: make(chan struct{})}
}

// begin starts the drain, once.
func (d *drain) begin() {
	d.once.Do(func() {
		g := d.g
		var n notice
		if d.of == nil {
			n = g.noticeOf()
			g.ending.draining.Store(true)
			g.ending.refusing.Store(n.none()) // from the start where no prober has to notice
			close(g.ending.begun)
		}
		d.mu.Lock()
		d.begun, d.start = true, g.now()
		d.mu.Unlock()
		go d.run(n)
	})
}

// wait starts the drain and waits for its end. What is open at the deadline, or when ctx
// ends, is closed.
func (d *drain) wait(ctx context.Context) (DrainReport, error) {
	d.cuts.Store(true)
	d.begin()
	var err error
	select {
	case <-d.done:
	case <-ctx.Done():
		select {
		case <-d.done: // it ended before ctx
		default:
			err = ctx.Err()
			d.cutShort()
			<-d.done
		}
	}
	d.mu.Lock()
	open := d.open
	d.open = 0
	d.mu.Unlock()
	if open > 0 { // it ended before a caller asked for it
		d.cut()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.report, err
}

func (d *drain) cutShort() { d.quick.Do(func() { close(d.shortened) }) }

// joins adds a session whose handshake was in progress when the drain began. It gets its
// goodbye now.
func (d *drain) joins(x *exchange) {
	d.mu.Lock()
	d.sessions = append(d.sessions, x)
	d.mu.Unlock()
	x.goodbye()
}

func (d *drain) run(n notice) {
	g, timeout := d.g, d.g.config.Drain.Timeout
	defer close(d.done)
	deadline := time.AfterFunc(timeout, d.cutShort)
	defer deadline.Stop()
	g.journal.Note(slog.LevelInfo, "draining", append(d.of.attrs(), slog.Int("sessions", len(g.openSessions(d.of))), slog.Duration("timeout", timeout))...)

	probers, short := d.awaitNotice(n)
	noticed := g.now()
	if d.of == nil {
		g.ending.refusing.Store(true)
	}
	sessions := g.openSessions(d.of)
	d.mu.Lock()
	d.report.Notice, d.report.Probers, d.report.TooShort = noticed-d.start, probers, short
	d.addSessions(sessions)
	d.mu.Unlock()
	d.sayGoodbye(sessions)
	gone := g.now()
	d.mu.Lock()
	d.report.Goodbyes = gone - noticed
	d.mu.Unlock()
	await(timeout, func() bool { return !g.anySession(d.of) }, d.shortened)
	cuts := d.cuts.Load()
	if cuts {
		d.cut()
	}
	closing := g.now() - gone
	g.closeIdle(d.of, d.shortened)
	d.mu.Lock()
	d.report.Closing = closing
	d.mu.Unlock()
	open := 0 // some of those that were cut may still be ending
	if !cuts {
		open = len(g.openSessions(d.of))
	}
	d.end(open)
}

// addSessions adds those of sessions that are not in d.sessions yet. d.mu is held.
func (d *drain) addSessions(sessions []*exchange) {
	joined := d.sessions[:len(d.sessions):len(d.sessions)] // few
	for _, x := range sessions {
		if !slices.Contains(joined, x) {
			d.sessions = append(d.sessions, x)
		}
	}
}

// cut closes the sessions that are open.
func (d *drain) cut() {
	open := d.g.openSessions(d.of)
	for _, x := range open {
		x.closedByServer()
		_ = x.c.Close()
	}
	d.g.stats.drained[drainDropped].Add(uint64(len(open)))
	d.mu.Lock()
	d.report.Dropped += len(open)
	d.report.Closed = max(d.report.Sessions-d.report.Dropped, 0)
	d.mu.Unlock()
}

// end completes the report, with the number of sessions that go on, and logs it.
func (d *drain) end(open int) {
	g := d.g
	d.mu.Lock()
	d.open = open
	r := d.count(open)
	d.report = r
	logged := d.logged
	d.logged = true
	d.mu.Unlock()
	g.stats.drained[drainClosed].Add(uint64(max(r.Closed-r.Answered, 0)))
	g.stats.drained[drainAnswered].Add(uint64(r.Answered))
	if !logged {
		d.logReport(r, open)
	}
}

// count returns the report as it is now. open is the number of sessions that go on. d.mu
// is held.
func (d *drain) count(open int) DrainReport {
	r := d.report
	r.Sessions = len(d.sessions)
	r.Closed = max(r.Sessions-r.Dropped-open, 0)
	r.Answered = 0
	for _, x := range d.sessions {
		if x.answered() {
			r.Answered++
		}
	}
	r.Duration = d.g.now() - d.start
	return r
}

func (d *drain) logReport(r DrainReport, open int) {
	d.g.journal.Note(slog.LevelInfo, "drained", append(d.of.attrs(), r.attrs(d.g.config.Drain.Fall, open)...)...)
}

// logNow logs the report of a drain that has begun and not ended, because the log is
// about to be closed.
func (d *drain) logNow() {
	open := d.g.openSessions(d.of)
	d.mu.Lock()
	if !d.begun || d.logged {
		d.mu.Unlock()
		return
	}
	d.logged = true
	d.addSessions(open)
	r := d.count(len(open))
	d.mu.Unlock()
	d.logReport(r, len(open))
}

// await waits until done returns true, at most for limit, and only until stop is closed.
// It reports whether done returned true.
func await(limit time.Duration, done func() bool, stop <-chan struct{}) bool {
	end := time.NewTimer(limit)
	defer end.Stop()
	check := time.NewTicker(drainCheck)
	defer check.Stop()
	for {
		if done() {
			return true
		}
		select {
		case <-check.C:
		case <-end.C:
			return false
		case <-stop:
			return false
		}
	}
}

// goodbyePause is the longest time between two goodbyes. At 100 a second, any server can
// take the returning clients.
const goodbyePause = 10 * time.Millisecond

// sayGoodbye says goodbye to the sessions in random order, evenly over the spread or
// less. After the deadline the rest get none.
func (d *drain) sayGoodbye(sessions []*exchange) {
	g := d.g
	rand.Shuffle(len(sessions), func(i, j int) { sessions[i], sessions[j] = sessions[j], sessions[i] })
	pause := time.Duration(0)
	if n := len(sessions); n > 1 && g.config.Drain.Spread > 0 {
		pause = min(g.config.Drain.Spread/time.Duration(n), goodbyePause)
	}
	next := g.now()
	for i, x := range sessions {
		if i > 0 {
			next += pause
		}
		if wait := next - g.now(); wait > 0 {
			t := time.NewTimer(wait)
			select {
			case <-t.C:
			case <-d.shortened:
				t.Stop()
				return
			}
		}
		x.goodbye()
	}
}

// openSessions returns the sessions that are open now, on one server, or on all where of
// is nil.
func (g *Guard) openSessions(of *server) (open []*exchange) {
	for _, c := range g.watch.Conns.All() {
		if x := sessionOn(c); x != nil && of.owns(c) {
			open = append(open, x)
		}
	}
	return open
}

// anySession reports whether a session is open or a handshake in progress, on one server,
// or on any where of is nil. A session that ends stays open until everything about its
// end is recorded.
func (g *Guard) anySession(of *server) bool {
	return g.watch.Conns.Any(func(c *conn.Conn) bool {
		x := occupantOf(c)
		return x != nil && x.asks && of.owns(c)
	})
}

// sessionOn returns the session on c, nil if there is none.
func sessionOn(c *conn.Conn) *exchange {
	if x := occupantOf(c); x != nil && x.opened() && !c.Saw(conn.Decided) {
		return x
	}
	return nil
}

// closeIdle closes every connection, of one server or of all, that never had a request:
// silent, after the TLS handshake, or with half a head. The server's own Shutdown would
// wait for these for seconds or until its deadline; it closes keep-alive connections
// itself. closeIdle gives new connections a moment for their request to come.
func (g *Guard) closeIdle(of *server, stop <-chan struct{}) {
	await(idleYouth+drainCheck, func() bool { return g.closeIdleConns(of, idleYouth) == 0 }, stop)
	g.closeIdleConns(of, 0)
}

// closeIdleConns closes those that are older than youth, and returns the number of
// younger ones.
func (g *Guard) closeIdleConns(of *server, youth time.Duration) (young int) {
	now := g.now()
	for _, c := range g.watch.Conns.All() {
		switch {
		case !c.Idle() || c.Saw(conn.Upgraded|conn.HandedOver|conn.Closed) || c.Had(conn.AnyRequest) || !of.owns(c):
		case now-c.Accepted < youth:
			young++
		default:
			c.Note(conn.Drained)
			if t := c.Above(); t != nil && c.Provenance() == conn.Reported {
				_ = t.NetConn().Close() // its own Close would wait for the peer to read an alert
			}
			_ = c.Close()
		}
	}
	return young
}
