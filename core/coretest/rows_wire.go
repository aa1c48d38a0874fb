package coretest

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"time"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/probetest"
)

// wireRows: byte by byte the same as the application without quietws.
func wireRows() (rows []row) {
	f := func(n, v string) probetest.Field { return probetest.Field{Name: n, Value: v} }
	same := func(name, has string, hello func(path string) probetest.Request) {
		for _, path := range []string{"/ws", "/own", "/bare"} {
			rows = append(rows, row{
				name: "wire/" + name + path, layers: everywhere,
				rule: "no byte of a valid handshake, its answer or its frames is changed: subprotocol and compression are the library's",
				run: func(e *env) {
					bare := e.bare()
					raw := hello(path).Bytes(e.target)
					want := bytes.ReplaceAll(bare.talk(bytes.ReplaceAll(raw, []byte(e.target.Addr), []byte(bare.target.Addr))), []byte(bare.target.Addr), []byte(e.target.Addr))
					if !bytes.Contains(want, []byte(has)) {
						e.Fatalf("coretest: the application's answer has no %q: %q", has, want)
					}
					if got := e.talk(raw); !bytes.Equal(got, want) {
						e.Errorf("the session's bytes are\n%q\nwithout quietws they are\n%q", got, want)
					}
				},
			})
		}
	}
	same("handshake", "HTTP/1.1 101 ", probetest.WebSocket)
	same("split connection", "HTTP/1.1 101 ", probetest.SplitConnection)
	same("subprotocol", Subprotocol, func(p string) probetest.Request {
		return probetest.WebSocket(p).With(f("Sec-WebSocket-Protocol", "other, "+Subprotocol))
	})
	same("compression", "permessage-deflate", func(p string) probetest.Request {
		return probetest.WebSocket(p).With(f("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"))
	})
	ordinary := []probetest.Request{
		{Path: "/app"}, {Method: "HEAD", Path: "/app"}, {Path: "/key/one"}, {Path: "/key/one%2Ftwo?q=1"}, {Path: "/error"}, {Path: "/fail"},
		{Path: "/forbidden"}, {Path: "/nowhere"}, {Method: "POST", Path: "/app", Body: "body"}, {Path: "/app", Proto: "HTTP/1.0", NoHost: true},
		{Method: "PROPFIND", Path: "/app"}, {Method: "OPTIONS", Path: "/app"},
	}
	return append(rows, row{
		name: "wire/ordinary requests", layers: everywhere,
		rule: "adding quietws changes no byte of the application's answers",
		run: func(e *env) {
			bare := e.bare()
			for _, r := range ordinary {
				r = r.With(f("Connection", "close"))
				got, want := e.listen(r), bare.listen(r)
				want = bytes.ReplaceAll(want, []byte(bare.target.Addr), []byte(e.target.Addr))
				if !bytes.Equal(got, want) {
					e.Errorf("%s %s is answered\n%q\nwithout quietws it is\n%q", r.Method, r.Path, got, want)
				}
			}
		},
	}, row{
		name: "wire/refused handshakes of the application's library", layers: []Layer{Attach, Middleware},
		rule: "without Endpoint the application's library refuses and accepts the same as before, with the same answers",
		run: func(e *env) {
			bare := e.bare()
			for _, r := range []probetest.Request{
				probetest.NoUpgrade("/bare"), probetest.NoConnection("/bare"), probetest.PlainGet("/bare"), probetest.Version8("/bare"),
				probetest.NoKey("/bare"), probetest.ByMethod("HEAD", "/bare"),
			} {
				e.refusedAsBefore(bare, r)
			}
			// The plain GET does not ask to upgrade, and its route is not known as WebSocket.
			e.until("they are logged", func() bool { return len(e.events.of(event.HandshakeRefused)) == 5 })
		},
	}, row{
		name: "wire/foreign origin of the application's library", layers: []Layer{Attach, Middleware},
		sees: []kind{{event.HandshakeRefused, event.ReasonOriginForbidden}},
		rule: "the same for a foreign Origin",
		run: func(e *env) {
			e.refusedAsBefore(e.bare(), probetest.Foreign("/bare"))
			e.until("it is logged", func() bool { return len(e.events.of(event.HandshakeRefused)) == 1 })
		},
	}, bodyRow(false), bodyRow(true))
}

// bodyRow: requests that the guard answers without reading the body.
func bodyRow(streams bool) row {
	name := "wire/body behind an answer"
	if streams {
		name += ", streamed"
	}
	const inside = "GET /key/inside HTTP/1.1\r\nHost: x\r\n\r\n"
	const last = "GET /key/last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	statusLine := regexp.MustCompile(`HTTP/1\.1 (\d+) `)
	chunked := func(body string) string { return fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body) }
	return row{
		name: name, layers: everywhere, app: App{StreamBody: streams},
		rule: "the body of a request that the guard answers is never read as another request: it is skipped, or the connection is closed",
		run: func(e *env) {
			e.get("/ws", 426, "")
			for _, head := range []string{"POST /readyz HTTP/1.1\r\n", "GET /ws HTTP/1.1\r\n", "GET /ws HTTP/1.1\r\nUser-Agent: ELB-HealthChecker/2.0\r\n"} {
				for _, body := range []string{inside, strings.Repeat(inside, 8_000)} {
					for _, framing := range []string{
						fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body),
						fmt.Sprintf("Expect: 100-continue\r\nContent-Length: %d\r\n\r\n%s", len(body), body),
						"Transfer-Encoding: chunked\r\n\r\n" + chunked(body),
					} {
						c := e.dial()
						go func() { _, _ = io.WriteString(c, head+"Host: x\r\n"+framing+last) }()
						got, _ := io.ReadAll(c) // a reset is one way to close
						_ = c.Close()
						finals := 0
						for _, m := range statusLine.FindAllSubmatch(got, -1) {
							if string(m[1]) != "100" {
								finals++
							}
						}
						if bytes.Contains(got, []byte("key inside")) || finals > 1 && !bytes.Contains(got, []byte("key last")) || finals > 2 {
							e.Errorf("%.20q with %.40q and so on: answered %.300q", head, framing, got)
						}
					}
				}
			}
		},
	}
}

// refusedAsBefore checks that r is refused, with the answer of bare.
func (e *env) refusedAsBefore(bare *env, r probetest.Request) {
	e.Helper()
	r = r.With(probetest.Field{Name: "X-Last", Value: "yes"})
	got, want := e.do(r), bare.do(r)
	if got.Status < 400 || got.Status != want.Status || got.Body != want.Body {
		e.Errorf("%s: answered %d %q, without quietws %d %q", r.Header, got.Status, got.Body, want.Status, want.Body)
	}
}

// bare starts the same application without quietws.
func (e *env) bare() *env {
	e.Helper()
	twin := &env{
		TB: e.TB, step: e.step, ctx: e.ctx, row: e.row, a: e.a, layer: Bare, port: e.port, certs: e.certs,
		log: &recorder{}, events: &events{}, access: &buffer{}, server: &buffer{}, hooks: make(map[string]int),
	}
	twin.start()
	return twin
}

// dial opens a connection with a deadline.
func (e *env) dial(protos ...string) net.Conn {
	e.Helper()
	c, err := new(net.Dialer).DialContext(e.ctx, "tcp", e.target.Addr)
	if err != nil {
		e.Fatal(err)
	}
	e.step()
	e.opened++
	_ = c.SetDeadline(time.Now().Add(patience))
	if e.target.TLS == nil {
		return c
	}
	cfg := e.target.TLS.Clone()
	cfg.ServerName, cfg.NextProtos = "localhost", protos
	t := tls.Client(c, cfg)
	if err := t.HandshakeContext(e.ctx); err != nil {
		e.Fatal(err)
	}
	return t
}

// date is the only field of an answer that changes with time.
var date = regexp.MustCompile(`\r\nDate: [^\r]*`)

// talk opens a session with raw, sends two messages and a close frame, and returns every
// byte of the answers.
func (e *env) talk(raw []byte) []byte {
	e.Helper()
	c := e.dial()
	defer func() { _ = c.Close() }()
	var got []byte
	buf := make([]byte, 4096)
	say := func(b []byte, until func() bool) {
		e.Helper()
		if _, err := c.Write(b); err != nil {
			e.Fatalf("writing: %v; so far %q", err, got)
		}
		for !until() {
			n, err := c.Read(buf)
			if got = append(got, buf[:n]...); err != nil {
				e.Fatalf("reading: %v; so far %q", err, got)
			}
		}
	}
	say(raw, func() bool { return bytes.Contains(got, []byte("\r\n\r\n")) })
	for _, text := range []string{"one", "two"} {
		before := len(got)
		say(probetest.Frame{Opcode: probetest.OpText, Payload: []byte(text)}.Bytes(), func() bool { return len(got) > before })
	}
	if _, err := c.Write(probetest.CloseFrame(1000, "").Bytes()); err != nil {
		e.Fatal(err)
	}
	rest, err := io.ReadAll(c)
	if err != nil {
		e.Fatalf("reading: %v; so far %q", err, got)
	}
	return date.ReplaceAll(append(got, rest...), nil)
}

// listen sends r and returns every byte of the answer.
func (e *env) listen(r probetest.Request) []byte {
	e.Helper()
	c := e.dial()
	defer func() { _ = c.Close() }()
	if _, err := c.Write(r.Bytes(e.target)); err != nil {
		e.Fatal(err)
	}
	b, err := io.ReadAll(c)
	if err != nil {
		e.Fatalf("reading the answer to %s %s: %v", r.Method, r.Path, err)
	}
	return date.ReplaceAll(b, nil)
}
