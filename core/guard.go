package core

import (
	"net/netip"
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/conn"
	"github.com/quietws/quietws/core/internal/journal"
	"github.com/quietws/quietws/core/internal/prober"
)

// Guard watches a server's connections, answers its probes, explains its
// refused handshakes and drains its sessions. It serves one application, on as
// many listeners and servers as that has; two applications in a process have a
// Guard each. Make it with [New]; the zero Guard is of no use. All methods are
// safe for concurrent use.
//
// A nil *Guard is one that does nothing, for an application in which it is
// optional: its methods, and the functions of the adapters that take one, pass
// everything through. Serve then shuts down without a drain, Draining returns a
// nil channel, and Handler serves with its library alone and still refuses a
// foreign Origin.
type Guard struct {
	// Set by New and never changed.

	config  Config
	journal *journal.Journal // what is logged
	watch   *conn.Watch      // what the connections share, and which are open

	// Parts with a state of their own. Each says who may write it.

	stats      stats        // what was counted
	paths      paths        // who answers which path
	health     saidLast     // what user code said of health
	peers      peerCache    // what the latest addresses are
	turns      turns        // which health routes of the application fail
	slots      slots        // of Config.MaxSessions
	servers    servers      // those that the guard is attached to
	ending     ending       // the drain, and the probers that it waits for
	unanswered unanswered   // handshakes taken over and not yet answered
	panics     loggedPanics // those whose line in the server's log is to come
	once       logged       // what is logged no more than once

	closed atomic.Bool // by Close
}

// saidLast is what a Health said last.
type saidLast struct {
	ready  lastSaid[bool]
	checks lastSaid[[]CheckStatus]
}

// logged are the lines that stand in the log once, or once in a window. Whoever sets one
// writes its line.
type logged struct {
	around    atomic.Bool  // Endpoint is around the application
	alone     atomic.Bool  // connections are watched, and no server is attached
	strange   atomic.Bool  // some connections cannot be told apart
	unstarted atomic.Bool  // a server counts that never started
	overAgain atomic.Bool  // the guard is used after its end
	starved   atomic.Int64 // when Accept last had too few files
}

// New returns a Guard. Its error joins everything that is wrong with config; the
// zero Config has none; only with an error is the Guard nil. It starts nothing: a
// goroutine is there only while there is something to log.
func New(config Config) (*Guard, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	g := &Guard{config: config}
	g.watch = conn.NewWatch((*host)(g), config.ExpectProxy)
	g.unanswered.patience = unansweredAfter
	g.servers.attached = make(map[any]*server)
	g.servers.adopted = &conn.Source{Watch: g.watch}
	g.ending.begun = make(chan struct{})
	g.ending.kubernetes = os.Getenv(inKubernetes) != ""
	g.ending.all = newDrain(g, nil)
	g.ending.pollers.rare = config.Drain.room() / time.Duration(max(config.Drain.Fall, 1))
	g.journal = journal.New(journal.Config{
		Logger: config.Logger, Observe: config.Observe,
		Collapse: config.Collapse, Summary: config.Summary,
		Suppressed: func(c event.Class, n uint64) { g.stats.suppressed[c].Add(n) },
	})
	g.paths.rules = pathRules(config)
	return g, nil
}

// Must returns the guard that [New] has made, and panics with its error if there is
// one: for a configuration that the program itself has, as
//
//	guard := core.Must(core.New(core.Config{}))
func Must(g *Guard, err error) *Guard {
	if err != nil {
		panic(err)
	}
	return g
}

// now is the time since the guard was made, by the monotonic clock.
func (g *Guard) now() time.Duration { return g.watch.Now() }

// Close prints what is pending, the repeats that are being counted too, and ends
// the log. Call it last, when the servers have shut down. It does not touch
// connections and does not drain; what happens on them later is counted but not
// logged. [Config.Health] is yours to close. It waits at most two seconds for a log
// handler or an observer that blocks, as one that calls Close itself does, and then
// returns an error. A second Close does nothing and returns nil.
func (g *Guard) Close() error {
	if g == nil || !g.closed.CompareAndSwap(false, true) {
		return nil
	}
	for _, d := range g.drains() {
		d.logNow()
	}
	return g.journal.Close(closeTimeout)
}

const closeTimeout = 2 * time.Second

// contained runs user code and reports whether it returned: its panic is logged,
// not passed on.
func (g *Guard) contained(what string, f func()) (returned bool) {
	defer func() {
		if v := recover(); isAPanic(v, returned) {
			g.journal.CallbackPanicked(what, v, debug.Stack())
		}
	}()
	f()
	return true
}

// isAPanic reports whether v, which recover has returned, is a panic's. returned is
// whether what may panic has returned.
func isAPanic(v any, returned bool) bool { return v != nil || !returned && nilPanics() }

// nilPanics reports whether recover returns nil for panic(nil), as it does with
// GODEBUG=panicnil=1. Otherwise nil says that there is no panic, but runtime.Goexit.
func nilPanics() (nils bool) {
	defer func() { nils = recover() == nil }()
	panic(nil) //nolint:govet // whether that is nil to recover is the question
}

// platform reports whether a prober may have this address. The zero Addr is
// nobody's: a unix socket is asked for with isUnix.
func (g *Guard) platform(a netip.Addr) bool {
	return prober.IsPlatform(a) || prober.Contains(g.config.ProbeSources, a)
}
