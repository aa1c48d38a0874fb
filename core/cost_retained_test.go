package core

import (
	"io"
	"math"
	"net"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/quietws/quietws/core/internal/conn"
	"github.com/quietws/quietws/internal/plainws"
)

// What the guard keeps for each open connection and session, and what a handshake
// allocates, over real sockets and compared with the bare server in the same run. Each
// difference is measured several times, and the smallest counts, because disturbances
// only add to a measurement.

// crowd is the number of connections that are open at once: enough to make the runtime's
// own memory small for each, and few enough for any limit of open files, since both ends
// are in this process.
const crowd = 300

// stage is a server for the crowd.
type stage struct {
	address string
	g       *Guard // nil: the bare server
	done    func()
}

// stageFor serves handler with or without the guard.
func stageFor(t *testing.T, g *Guard, handler http.Handler) stage {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().String()
	var open sync.WaitGroup // connections and handlers, so that none of one crowd is counted in the next
	counted := func(w http.ResponseWriter, r *http.Request) {
		open.Add(1)
		defer open.Done()
		handler.ServeHTTP(w, r)
	}
	srv := &http.Server{Handler: http.HandlerFunc(counted), ConnState: func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			open.Add(1)
		case http.StateClosed, http.StateHijacked:
			open.Done()
		}
	}}
	if g != nil {
		g.Attach(srv)
		ln = g.Listener(ln)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = srv.Serve(ln)
	}()
	return stage{address, g, func() {
		_ = srv.Close()
		<-served
		open.Wait()
		if g != nil {
			waitClosed(t, g)
			// The contexts of sessions outlive the transport for a moment, by
			// timers that fire before this one.
			<-time.After(2 * conn.ErrorGrace)
		}
	}}
}

// enter opens n connections, sends request on each and reads the head of the
// answer.
func (s stage) enter(t *testing.T, n int, request string, conns []net.Conn) []net.Conn {
	t.Helper()
	p := make([]byte, 4096)
	for range n {
		c, err := net.Dial("tcp", s.address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, request); err != nil {
			t.Fatal(err)
		}
		if k, err := c.Read(p); err != nil || k < 12 || p[9] != '1' && p[9] != '2' {
			t.Fatalf("answered %q, %v", p[:k], err)
		}
		if request == upgradeGET { // once a message has come back the session waits for the next
			if _, err := c.Write(message); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(c, p[:2]); err != nil || p[0] != message[0] {
				t.Fatalf("a message was answered %x, %v", p[:2], err)
			}
		}
		conns = append(conns, c)
	}
	return conns
}

// message is an empty binary message of a client, RFC 6455 §5.2.
var message = []byte{0x82, 0x80, 1, 2, 3, 4}

func leave(conns []net.Conn) {
	for _, c := range conns {
		_ = c.Close()
	}
}

func heap() float64 {
	var m runtime.MemStats
	for range 4 { // the second empties pools; objects with a finalizer go one round after it has run
		finalized := make(chan struct{})
		last := new([64]byte)
		runtime.SetFinalizer(last, func(*[64]byte) { close(finalized) })
		runtime.GC()
		<-finalized
	}
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

func mallocs() float64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.Mallocs)
}

// retained is the number of bytes that one connection of the crowd keeps.
func (s stage) retained(t *testing.T, request string) float64 {
	conns := make([]net.Conn, 0, crowd+8)
	conns = s.enter(t, 8, request, conns) // for what is allocated once
	before := heap()
	conns = s.enter(t, crowd, request, conns)
	after := heap()
	leave(conns)
	return (after - before) / crowd
}

// allocated is the number of allocations of one connection of the crowd, from dialling to
// the answer.
func (s stage) allocated(t *testing.T, request string) float64 {
	conns := make([]net.Conn, 0, crowd+8)
	conns = s.enter(t, 8, request, conns)
	before := mallocs()
	conns = s.enter(t, crowd, request, conns)
	after := mallocs()
	leave(conns)
	return (after - before) / crowd
}

// dearer returns how much more the guarded stage costs than the bare one.
func dearer(t *testing.T, measure func(stage, *testing.T, string) float64, request string, bare, guarded func() stage) (least float64) {
	least = math.Inf(1)
	const rounds = 4
	var costs [2]float64
	for round := range rounds {
		for i, open := range []func() stage{bare, guarded} {
			s := open()
			costs[i] = measure(s, t, request)
			s.done()
		}
		if round > 0 { // the first round includes what is allocated once
			least = min(least, costs[1]-costs[0])
		}
	}
	t.Logf("bare %.0f, guarded %.0f; at least %.1f more", costs[0], costs[1], least)
	return least
}

const (
	ordinaryGET = "GET /app HTTP/1.1\r\nHost: example.com\r\nUser-Agent: a browser\r\n\r\n"
	upgradeGET  = "GET /ws HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + goodKey + "\r\n\r\n"
)

func TestRetainedByAnIdleConnection(t *testing.T) {
	more := dearer(t, stage.retained, ordinaryGET,
		func() stage { return stageFor(t, nil, nothing) },
		func() stage { return stageFor(t, quietGuard(t, Config{}), nothing) })
	if more > 256 {
		t.Errorf("an idle connection keeps %.0f bytes more than on the bare server, want at most 256", more)
	}
}

// serveSession echoes messages until the session ends, as with coder/websocket.
func serveSession(w http.ResponseWriter, r *http.Request, ready func(*plainws.Conn)) error {
	ws, err := plainws.Upgrade(w, r, &plainws.Options{ByWriter: true})
	if err != nil {
		return err
	}
	defer func() { _ = ws.Close() }()
	ready(ws)
	for {
		kind, p, err := ws.Read()
		if err == nil {
			err = ws.Write(kind, p)
		}
		if err != nil {
			return err
		}
	}
}

// bareSession is a route without quietws.
func bareSession(w http.ResponseWriter, r *http.Request) {
	_ = serveSession(w, r, func(*plainws.Conn) {})
}

// handlerSession is a route as an adapter's Handler makes it.
func handlerSession(g *Guard) http.HandlerFunc {
	a := g.Adapter()
	return func(w http.ResponseWriter, r *http.Request) {
		q := a.AtEndpoint(r, "/ws", new(Origins))
		if q.Answer(w, r) {
			return
		}
		w, r = q.Wrap(w, r)
		defer func() { q.Contain(recover()) }()
		_ = q.Finish(serveSession(w, r, func(ws *plainws.Conn) {
			_, session := q.Session(r.Context())
			session.OnDrain(func() { _ = ws.Goodbye(plainws.GoingAway) })
		}))
	}
}

func TestRetainedByASession(t *testing.T) {
	more := dearer(t, stage.retained, upgradeGET,
		func() stage { return stageFor(t, nil, http.HandlerFunc(bareSession)) },
		func() stage {
			g := quietGuard(t, Config{})
			return stageFor(t, g, handlerSession(g))
		})
	if more > 512 {
		t.Errorf("a session of Handler keeps %.0f bytes more than the bare one, want at most 512", more)
	}
}

func TestAllocatedByAHandshake(t *testing.T) {
	bare := func() stage { return stageFor(t, nil, http.HandlerFunc(bareSession)) }
	for _, row := range []struct {
		name    string
		limit   float64
		guarded func(*Guard) http.Handler
	}{
		{"Attach", 3, func(*Guard) http.Handler { return http.HandlerFunc(bareSession) }},
		{"Endpoint", 3, func(g *Guard) http.Handler { return g.Endpoint(http.HandlerFunc(bareSession)) }},
		{"Handler", 7, func(g *Guard) http.Handler { return handlerSession(g) }},
	} {
		t.Run(row.name, func(t *testing.T) {
			more := dearer(t, stage.allocated, upgradeGET, bare, func() stage {
				g := quietGuard(t, Config{})
				return stageFor(t, g, row.guarded(g))
			})
			// A tenth is for occasional allocations, such as those of a growing map.
			if more > row.limit+0.1 {
				t.Errorf("a handshake makes %.1f allocations more than on the bare server, want at most %.0f", more, row.limit)
			}
		})
	}
}
