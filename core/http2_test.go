package core

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/quietws/quietws/core/event"
)

// frame is a frame of RFC 9113 §4.1.
func frame(typ, flags byte, stream uint32, payload string) string {
	b := []byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), typ, flags}
	return string(binary.BigEndian.AppendUint32(b, stream)) + payload
}

// headers is a HEADERS frame that ends the header, of literal fields (RFC 7541
// §6.2.2) which are names and values in turn.
func headers(stream uint32, fields ...string) string {
	var b strings.Builder
	for i, s := range fields {
		if i%2 == 0 {
			b.WriteByte(0)
		}
		b.WriteByte(byte(len(s)))
		b.WriteString(s)
	}
	return frame(1, 4, stream, b.String())
}

const h2Hello = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

var (
	h2Settings = frame(4, 0, 0, "")
	h2Ack      = frame(4, 1, 0, "")
	h2Reset    = frame(3, 0, 1, "\x00\x00\x00\x02") // of stream 1, as HAProxy 2.6 sends it
	h2Window   = frame(8, 0, 0, "\x00\x00\x40\x00")
	h2Ping     = frame(6, 0, 0, "12345678")
	h2Extended = headers(1, ":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":path", "/ws", ":authority", "app",
		"sec-websocket-version", "13", "sec-websocket-key", goodKey)
	h2Upgrade = headers(1, ":method", "GET", ":scheme", "http", ":path", "/ws", ":authority", "app",
		"upgrade", "websocket", "connection", "Upgrade", "sec-websocket-key", goodKey)
	h2Get = headers(1, ":method", "GET", ":scheme", "http", ":path", "/", ":authority", "app")
)

// readFrame reads frames up to one of that type.
func readFrame(t *testing.T, br *bufio.Reader, typ byte) (payload []byte) {
	t.Helper()
	for {
		head := make([]byte, 9)
		if _, err := io.ReadFull(br, head); err != nil {
			t.Fatalf("no frame of type %d: %v", typ, err)
		}
		payload = make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
		if _, err := io.ReadFull(br, payload); err != nil {
			t.Fatal(err)
		}
		if head[3] == typ {
			return payload
		}
	}
}

// h2cServer serves HTTP/2 without TLS, with a guard.
func h2cServer(t *testing.T, listener bool, errorLog io.Writer, config Config) (*Guard, string) {
	t.Helper()
	g := quietGuard(t, config)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			return
		}
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		b := make([]byte, 64)
		if n, err := r.Body.Read(b); err == nil {
			_, _ = w.Write(b[:n])
		}
	}), ErrorLog: log.New(errorLog, "", 0), Protocols: new(http.Protocols)}
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetUnencryptedHTTP2(true)
	g.Attach(srv)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	if listener {
		ln = g.Listener(ln)
	}
	go func() { _ = srv.Serve(ln) }()
	t.Cleanup(func() { _ = srv.Close() })
	return g, addr
}

// Over HTTP/2, "no handler ran" does not mean that there was no request.
func TestHTTP2HandshakeWithoutAHandler(t *testing.T) {
	for _, row := range []struct {
		rule, sends string
		answer      byte // the frame that the server answers with
		class       event.Class
		reason      event.Reason
		events      int
	}{
		{"an extended CONNECT that the server did not offer is reset", h2Hello + h2Settings + h2Ack + h2Extended, 3, event.HandshakeRefused, event.ReasonHTTP2, 1},
		{"Upgrade is answered by the server", h2Hello + h2Settings + h2Ack + h2Upgrade, 1, event.HandshakeRefused, event.ReasonHTTP2, 1},
		{"HAProxy resets a stream that it never opened", h2Hello + h2Settings + h2Ack + h2Reset, 7, event.HandshakeRefused, event.ReasonHTTP2, 1},
		{"and after other requests", h2Hello + h2Settings + h2Ack + h2Get + frame(3, 0, 3, "\x00\x00\x00\x02"), 7, event.HandshakeRefused, event.ReasonHTTP2, 1},
		{"a client that sends its preface and no request", h2Hello + h2Settings + h2Window + h2Ack + h2Ping, 6, event.TCPProbe, event.NoReason, 1},
		{"a request", h2Hello + h2Settings + h2Ack + h2Get, 1, event.HTTP, event.NoReason, 0},
	} {
		for _, listener := range []bool{true, false} {
			if row.class == event.TCPProbe && !listener {
				continue // only the listener can see whether these were bytes of HTTP/2
			}
			t.Run(fmt.Sprintf("%s, listener %t", row.rule, listener), func(t *testing.T) {
				errorLog := &lineBook{make(chan string, 64)}
				seen := make(chan event.Event, 8)
				g, addr := h2cServer(t, listener, errorLog, Config{Observe: func(e event.Event) { seen <- e }})
				c, err := net.Dial("tcp", addr)
				if err != nil {
					t.Fatal(err)
				}
				_ = c.SetDeadline(time.Now().Add(10 * time.Second))
				_, _ = io.WriteString(c, row.sends)
				readFrame(t, bufio.NewReader(c), row.answer)
				_ = c.Close()
				waitClosed(t, g)
				if s := g.Snapshot(); s.Closed[row.class] != 1 {
					t.Errorf("classes %v, want one %v", s.Closed, row.class)
				}
				for range row.events {
					e := <-seen
					if e.Class != row.class || e.Reason != row.reason {
						t.Errorf("event %v %v, want %v %v", e.Class, e.Reason, row.class, row.reason)
					}
					if row.reason == event.ReasonHTTP2 {
						if !strings.Contains(e.Remedy, "HAProxy: alpn http/1.1, no proto h2") {
							t.Errorf("the remedy %q", e.Remedy)
						}
					}
				}
				errorLog.none(t, "the server's own log")
			})
		}
	}
}

// A line about an HTTP/2 error on a connection that is not watched goes on.
func TestHTTP2LineOfAnotherConnection(t *testing.T) {
	var buf bytes.Buffer
	g := quietGuard(t, Config{})
	line := lineBrokenH2 + "192.0.2.1:80: connection error: PROTOCOL_ERROR\n"
	g.ErrorLog(log.New(&buf, "", 0)).Print(line)
	if buf.String() != line {
		t.Errorf("passed on %q", buf.String())
	}
}

// extendedConnect is in the environment of the process in which net/http serves extended
// CONNECT: it reads GODEBUG once, at its start.
const extendedConnect = "QUIETWS_TEST_EXTENDED_CONNECT"

// An extended CONNECT that a handler accepts is a session, not a handshake that was
// refused with 200.
func TestHTTP2Session(t *testing.T) {
	if os.Getenv(extendedConnect) == "" {
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestHTTP2Session$", "-test.v")
		child.Env = append(os.Environ(), extendedConnect+"=1", "GODEBUG=http2xconnect=1")
		if out, err := child.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("--- PASS: TestHTTP2Session")) {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	seen := make(chan event.Event, 8)
	g, addr := h2cServer(t, true, io.Discard, Config{Observe: func(e event.Event) { seen <- e }, MaxSessions: 1})
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	br := bufio.NewReader(c)
	_, _ = io.WriteString(c, h2Hello+h2Settings+h2Ack+h2Extended)
	readFrame(t, br, 1)
	if s := g.Snapshot(); s.SessionsOpen != 1 || len(s.Handshakes) != 1 || s.Handshakes[0].Result != "accepted" {
		t.Errorf("%d sessions, handshakes %v", s.SessionsOpen, s.Handshakes)
	}
	_, _ = io.WriteString(c, frame(0, 0, 1, "hello"))
	if got := readFrame(t, br, 0); string(got) != "hello" {
		t.Errorf("the session's answer is %q", got)
	}
	e := <-seen
	if e.Class != event.SessionEnded || e.Session.End != "ended" || e.Status != 200 || e.Session.Duration <= 0 || e.Method != "CONNECT" {
		t.Errorf("event %v, %+v, status %d, %s", e.Class, e.Session, e.Status, e.Method)
	}
	_ = c.Close()
	waitClosed(t, g)
	s := g.Snapshot()
	if s.SessionsOpen != 0 || s.Closed[event.SessionEnded] != 1 || len(s.Handshakes) != 1 || g.slots.taken.Load() != 0 {
		t.Errorf("%d sessions, classes %v, handshakes %v, %d slots taken", s.SessionsOpen, s.Closed, s.Handshakes, g.slots.taken.Load())
	}
}
