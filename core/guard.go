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

// Guard watches a server's connections, answers its probes, explains its refused
// handshakes and drains its sessions. It serves one application, on as many listeners and
// servers as that has; two applications in a process need a Guard each. Make it with
// [New]; the zero Guard cannot be used. All methods are safe for concurrent use.
//
// A nil *Guard does nothing, for an application where quietws is optional: its methods,
// and the functions of the adapters that take a Guard, pass everything through. Serve
// then shuts down without a drain, Draining returns a nil channel, and Handler serves
// with its library alone and still refuses a foreign Origin.
type Guard struct {
	// Set by New, never changed.

	config  Config
	journal *journal.Journal // what is logged
	watch   *conn.Watch      // what the connections share, and which are open

	// Parts with their own state. Each says who may write it.

	stats      stats         // the counters
	paths      paths         // which side answers which path
	health     saidLast      // the latest answers of Config.Health
	peers      peerCache     // the addresses of the latest peers
	changes    healthChanges // which of the application's health routes fail
	slots      slots         // the places of Config.MaxSessions
	servers    servers       // the servers that the guard is attached to
	ending     ending        // the drain, and the probers that it waits for
	unanswered unanswered    // handshakes hijacked and not yet answered
	panics     loggedPanics  // panics whose line in the server's log is still to come
	once       logged        // what is logged at most once

	closed atomic.Bool // Close was called
}

// saidLast is what Config.Health answered last.
type saidLast struct {
	ready  lastSaid[bool]
	checks lastSaid[[]CheckStatus]
}

// logged are the lines that are logged once, or once in a window. The code that sets a
// field writes its line.
type logged struct {
	around    atomic.Bool  // Endpoint is around the whole application
	alone     atomic.Bool  // connections are watched, and no server is attached
	strange   atomic.Bool  // connections of some type cannot be compared
	unstarted atomic.Bool  // a server that never started counts
	overAgain atomic.Bool  // the guard was used after its end
	starved   atomic.Int64 // when Accept last ran out of files
}

// New returns a Guard. Its error joins everything that is wrong with config; with an
// error the Guard is nil. The zero Config has no errors. New starts no goroutine: one
// runs only while there is something to log.
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

// Must returns the guard that [New] made, and panics if New returned an error. It is for
// a configuration that is part of the program:
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

// Close logs what is pending, including the repeats counted so far, and ends the log.
// Call it last, after the servers have shut down. It does not touch connections and does
// not drain; later events are counted but not logged. You close [Config.Health] yourself.
// Close waits at most two seconds for a log handler or an observer that blocks (for
// example, because it calls Close itself), then returns an error. A second Close does
// nothing and returns nil.
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

// contained runs user code and reports whether it returned. A panic in it is logged, not
// passed on.
func (g *Guard) contained(what string, f func()) (returned bool) {
	defer func() {
		if v := recover(); isAPanic(v, returned) {
			g.journal.CallbackPanicked(what, v, debug.Stack())
		}
	}()
	f()
	return true
}

// isAPanic reports whether v, which recover returned, comes from a panic. returned says
// whether the function that may panic has returned.
func isAPanic(v any, returned bool) bool { return v != nil || !returned && nilPanics() }

// nilPanics reports whether recover returns nil for panic(nil), as it does with
// GODEBUG=panicnil=1. Otherwise nil means that there was no panic, but runtime.Goexit.
func nilPanics() (nils bool) {
	defer func() { nils = recover() == nil }()
	panic(nil) //nolint:govet // whether that is nil to recover is the question
}

// platform reports whether a prober may have this address. The zero Addr is never a
// platform's: use isUnix for a unix socket.
func (g *Guard) platform(a netip.Addr) bool {
	return prober.IsPlatform(a) || prober.Contains(g.config.ProbeSources, a)
}
