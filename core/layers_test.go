package core

import (
	"bufio"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/conn/conntest"
	"github.com/quietws/quietws/core/probetest"
	"github.com/quietws/quietws/internal/plainws"
)

// holding keeps the status back until a body comes, like middleware that compresses. At
// the end it writes what it still has.
type holding struct {
	http.ResponseWriter
	status int
}

func (h *holding) WriteHeader(status int) { h.status = status }
func (h *holding) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(h.ResponseWriter).Hijack()
}

// own is a holding that has its own header and shows what it wraps.
type own struct {
	holding
	header http.Header
}

func (o *own) Header() http.Header         { return o.header }
func (o *own) Unwrap() http.ResponseWriter { return o.ResponseWriter }

// passing is a harmless layer.
type passing struct{ http.ResponseWriter }

func (p passing) Unwrap() http.ResponseWriter { return p.ResponseWriter }

// behind serves next behind a layer that keeps the status back.
func behind(layer string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := &holding{ResponseWriter: passing{w}}
		switch layer {
		case "embedded":
			next.ServeHTTP(h, r)
		case "unwrapped":
			next.ServeHTTP(&own{*h, make(http.Header)}, r)
		case "passing":
			next.ServeHTTP(passing{w}, r)
			return
		}
		if h.status != 0 {
			w.WriteHeader(h.status)
		}
	})
}

// hijackSession is a session with a library that hijacks the connection before it
// answers, as gorilla/websocket does.
func hijackSession(w http.ResponseWriter, r *http.Request) {
	ws, err := plainws.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer func() { _ = ws.Close() }()
	for {
		kind, p, err := ws.Read()
		if err != nil || ws.Write(kind, p) != nil {
			return
		}
	}
}

// A handshake is accepted when 101 has been sent, not when a ResponseWriter gets it. The
// 101 of Handler is sent whatever is in between. If another's is kept back, that is
// logged while the client still waits, and the line names the layer.
func TestALayerThatHoldsTheStatus(t *testing.T) {
	certificate := conntest.ServerTLS(t, nil)
	coder := http.HandlerFunc(bareSession)
	for _, row := range []struct {
		name  string
		route func(*Guard) http.Handler
		held  bool
	}{
		{"Handler", func(g *Guard) http.Handler { return handlerSession(g) }, false},
		{"Endpoint, gorilla", func(g *Guard) http.Handler { return g.Endpoint(http.HandlerFunc(hijackSession)) }, false},
		{"Endpoint, coder", func(g *Guard) http.Handler { return g.Endpoint(coder) }, true},
		{"Wrap inside the layer, coder", func(g *Guard) http.Handler { return g.Wrap(coder) }, true},
		{"coder", func(*Guard) http.Handler { return coder }, true},
	} {
		for _, outside := range []string{"nothing", "Attach", "Attach and Listener"} {
			if row.name == "coder" && outside == "nothing" {
				continue // a guard that is not called
			}
			for _, layer := range []string{"embedded", "unwrapped", "passing"} {
				for _, port := range []string{"plain", "tls"} {
					t.Run(strings.Join([]string{row.name, outside, layer, port}, "/"), func(t *testing.T) {
						t.Parallel()
						events := make(chan event.Event, 10)
						g := quietGuard(t, Config{Observe: func(e event.Event) { events <- e }})
						g.unanswered.patience = 50 * time.Millisecond
						srv := &http.Server{Handler: behind(layer, row.route(g)), ErrorLog: log.New(io.Discard, "", 0)}
						if outside != "nothing" {
							g.Attach(srv)
						}
						address := served(t, srv, func(ln net.Listener) net.Listener {
							if outside == "Attach and Listener" {
								ln = g.Listener(ln)
							}
							if port == "tls" {
								ln = tls.NewListener(ln, certificate)
							}
							return ln
						})
						var nc net.Conn
						var err error
						if port == "tls" {
							nc, err = tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
						} else {
							nc, err = net.Dial("tcp", address)
						}
						if err != nil {
							t.Fatal(err)
						}
						_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
						_, _ = io.WriteString(nc, upgradeGET)
						// Without Endpoint, only a header set for the 101 shows the layer, or
						// the call stack.
						unnamed := layer == "unwrapped" && outside != "nothing" && row.name[0] != 'E'
						if row.held && layer != "passing" {
							e := next(t, events)
							if e.Class != event.UpgradeFailed || e.Reason != event.ReasonNothingWritten || e.Path != "/ws" || !strings.Contains(e.Remedy, "github.com/quietws/quietws/core.") && !unnamed {
								t.Errorf("%+v", e)
							}
							_ = nc.Close()
							atRest(t, g)
							wantHandshakes(t, g, HandshakeCount{Result: "failed", Reason: event.ReasonNothingWritten, N: 1})
							if len(events) > 0 {
								t.Errorf("logged again: %+v", <-events)
							}
							return
						}
						head, err := bufio.NewReader(nc).ReadString('\n')
						if err != nil || !strings.HasPrefix(head, "HTTP/1.1 101 ") {
							t.Fatalf("answered %q, %v", head, err)
						}
						_ = nc.Close()
						if e := next(t, events); e.Class != event.SessionEnded || e.Status != 101 {
							t.Errorf("%+v", e)
						}
						atRest(t, g)
						wantHandshakes(t, g, HandshakeCount{Result: "accepted", N: 1})
					})
				}
			}
		}
	}
}

func next(t *testing.T, events <-chan event.Event) event.Event {
	t.Helper()
	select {
	case e := <-events:
		return e
	case <-time.After(10 * time.Second):
		t.Fatal("no event in ten seconds")
		return event.Event{}
	}
}

func wantHandshakes(t *testing.T, g *Guard, want HandshakeCount) {
	t.Helper()
	if got := g.Snapshot().Handshakes; len(got) != 1 || got[0] != want {
		t.Errorf("counted %v, want %v", got, want)
	}
}

// A layer that cannot be hijacked is also named.
func TestALayerThatHidesTheHijack(t *testing.T) {
	for name, route := range map[string]func(*Guard) http.Handler{
		"Handler": func(g *Guard) http.Handler { return handlerSession(g) },
		"coder":   func(g *Guard) http.Handler { return g.Endpoint(http.HandlerFunc(bareSession)) },
		"gorilla": func(g *Guard) http.Handler { return g.Endpoint(http.HandlerFunc(hijackSession)) },
	} {
		for _, outside := range []bool{false, true} {
			events := make(chan event.Event, 10)
			g := quietGuard(t, Config{Observe: func(e event.Event) { events <- e }})
			h := http.TimeoutHandler(route(g), time.Minute, "")
			if outside {
				h = g.Wrap(h)
			}
			srv := httptest.NewServer(h)
			_, _, err := probetest.Open(t.Context(), probetest.Target{Addr: srv.Listener.Addr().String(), Path: "/ws"})
			if err == nil {
				t.Errorf("%s: a session behind http.TimeoutHandler", name)
			}
			e := next(t, events)
			if e.Class != event.UpgradeFailed || e.Reason != event.ReasonHijackFailed || !strings.Contains(e.Remedy, "net/http.timeoutWriter") {
				t.Errorf("%s: %+v", name, e)
			}
			srv.Close()
		}
	}
}

// The answer to a handshake is seen in any number of parts, and by every method of the
// connection.
func TestTheAnswerToAHandshakeIsSeen(t *testing.T) {
	const answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
	parts := func(sizes ...int) func(io.Writer, string) {
		return func(w io.Writer, s string) {
			for _, n := range sizes {
				_, _ = io.WriteString(w, s[:n])
				s = s[n:]
			}
			_, _ = io.WriteString(w, s)
		}
	}
	ways := map[string]func(io.Writer, string){
		"one Write":    parts(),
		"three Writes": parts(7, 4),
		"a byte each":  parts(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1),
		"ReadFrom":     func(w io.Writer, s string) { _, _ = w.(io.ReaderFrom).ReadFrom(strings.NewReader(s)) },
		"ReadFrom, a byte each": func(w io.Writer, s string) {
			_, _ = w.(io.ReaderFrom).ReadFrom(&byteReader{s})
		},
		"buffers": func(w io.Writer, s string) {
			b := net.Buffers{[]byte(s[:10]), []byte(s[10:])}
			_, _ = b.WriteTo(w)
		},
	}
	for name, write := range ways {
		for text, want := range map[string]int{
			answer: 101, "HTTP/1.0 403 Forbidden\r\n\r\n": 403, "\x81\x05hello": 0,
			"HTTP/1.1 101"[:11]: 0, "HTTP/1.1 999 Oh dear": 0, "": 0,
		} {
			if len(text) < 12 && strings.HasSuffix(name, "a byte each") && name[0] == 'a' || len(text) < 11 && name != "one Write" && name[0] != 'R' {
				continue // too short to split
			}
			g := quietGuard(t, Config{})
			server, client := conntest.TCPPair(t)
			received := make(chan []byte)
			go func() { p, _ := io.ReadAll(client); received <- p }()
			q := g.Adapter().BeginHTTP(handshake())
			nc := q.open(server)
			write(nc, text)
			_ = nc.Close()
			if got := <-received; string(got) != text {
				t.Errorf("%s: the peer got %q, not %q", name, got, text)
			}
			if out := q.x.c.Out.Load(); out != int64(len(text)) {
				t.Errorf("%s of %q: counted %d bytes", name, text, out)
			}
			if got := int(q.x.status.Load()); got != want || q.x.is(stateConfirmed) != (want == 101) {
				t.Errorf("%s of %q: status %d, accepted %t", name, text, got, q.x.is(stateConfirmed))
			}
			q.Done(0, nil)
		}
	}
}

type byteReader struct{ s string }

func (b *byteReader) Read(p []byte) (int, error) {
	if b.s == "" {
		return 0, io.EOF
	}
	n := copy(p, b.s[:1])
	b.s = b.s[n:]
	return n, nil
}

// A session through a proxy such as Echo's. ReadFrom copies what the server behind it
// sends, including the answer to the handshake.
func TestASessionThatIsCopied(t *testing.T) {
	behind := httptest.NewServer(http.HandlerFunc(hijackSession))
	defer behind.Close()
	proxy := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		in, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = in.Close() }()
		out, err := net.Dial("tcp", behind.Listener.Addr().String())
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = out.Close() }()
		_ = r.Write(out)
		go func() { _, _ = io.Copy(out, in); _ = out.(*net.TCPConn).CloseWrite() }()
		_, _ = io.Copy(in, out)
	})
	for _, s := range stands4 {
		t.Run(s.name, func(t *testing.T) {
			events := make(chan event.Event, 10)
			g := quietGuard(t, Config{Observe: func(e event.Event) { events <- e }})
			ws, _, err := probetest.Open(t.Context(), probetest.Target{Addr: s.serve(t, g, &http.Server{Handler: proxy}), Path: "/ws"})
			if err != nil {
				t.Fatal(err)
			}
			_ = ws.SendText(t.Context(), "hello")
			if f, err := ws.Read(t.Context()); string(f.Payload) != "hello" {
				t.Errorf("%q, %v", f.Payload, err)
			}
			wantHandshakes(t, g, HandshakeCount{Result: "accepted", N: 1}) // at once
			_, _ = ws.Vanish(probetest.FIN)
			if e := next(t, events); e.Class != event.SessionEnded {
				t.Errorf("%+v", e)
			}
			atRest(t, g)
		})
	}
}

// A candidate's writer supports everything that a ResponseController supports, including
// errors.
func TestResponseController(t *testing.T) {
	for _, s := range stands4 {
		t.Run(s.name, func(t *testing.T) {
			var mu sync.Mutex
			var errs []error
			failed := func(more ...error) {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, more...)
			}
			g := quietGuard(t, Config{})
			address := s.serve(t, g, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				c := http.NewResponseController(w)
				failed(c.EnableFullDuplex(), c.SetReadDeadline(time.Time{}), c.SetWriteDeadline(time.Time{}))
				if r.URL.Path == "/flush" {
					failed(c.Flush())
					_ = c.SetWriteDeadline(time.Now().Add(-time.Second))
					_, _ = io.WriteString(w, "too late")
					if err := c.Flush(); err == nil {
						t.Error("Flush past the deadline returned nil")
					}
					return
				}
				nc, rw, err := c.Hijack()
				failed(err)
				_, _ = rw.WriteString(answer101)
				_ = rw.Flush()
				_ = nc.Close()
			})})
			asks := strings.Replace(upgradeGET, "/ws", "/flush", 1)
			if answer := heard(t, address, asks); !strings.HasPrefix(answer, "HTTP/1.1 200 ") {
				t.Errorf("answered %q", answer)
			}
			if answer := heard(t, address, upgradeGET); answer != answer101 {
				t.Errorf("answered %q", answer)
			}
			atRest(t, g)
			mu.Lock()
			defer mu.Unlock()
			for i, err := range errs {
				if err != nil {
					t.Errorf("%d: %v", i, err)
				}
			}
		})
	}
}
