package probetest

import (
	"bufio"
	"context"
	"crypto/sha1"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ports are the three kinds of server that each scenario is run against.
var ports = []struct {
	name string
	port Port
}{{"plain", PlainPort}, {"tls", TLSPort}, {"http2", HTTP2Port}}

// allows reports whether a scenario for port p can be run against a server on at.
func (p Port) allows(at Port) bool {
	return p == AnyPort || p == at || p == TLSPort && at == HTTP2Port
}

// serve starts a net/http server with health on /healthz and a WebSocket
// endpoint on /ws.
func serve(t *testing.T, port Port, set ...func(*http.Server)) Target {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok\n") })
	mux.HandleFunc("/ws", acceptWebSocket)
	s := httptest.NewUnstartedServer(mux)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	for _, f := range set {
		f(s.Config)
	}
	t.Cleanup(s.Close)
	if port == PlainPort {
		s.Start()
		return Target{Addr: s.Listener.Addr().String()}
	}
	cert, pool, err := Certificate()
	if err != nil {
		t.Fatal(err)
	}
	s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	s.EnableHTTP2 = port == HTTP2Port
	s.StartTLS()
	return Target{Addr: s.Listener.Addr().String(), TLS: &tls.Config{RootCAs: pool}}
}

// acceptWebSocket is a strict server of RFC 6455 §4.2 that echoes.
func acceptWebSocket(w http.ResponseWriter, r *http.Request) {
	keys := r.Header.Values("Sec-WebSocket-Key")
	refuse := func(status int) { http.Error(w, "refused", status) }
	switch {
	case r.Method != http.MethodGet:
		refuse(405)
		return
	case !r.ProtoAtLeast(1, 1), r.ProtoMajor != 1,
		!lists(r.Header.Values("Upgrade"), "websocket"), !lists(r.Header.Values("Connection"), "upgrade"):
		refuse(426)
		return
	case r.Header.Get("Sec-WebSocket-Version") != "13", len(keys) != 1, len(keys[0]) != 24:
		refuse(400)
		return
	case r.Header.Get("Origin") != "" && !strings.HasSuffix(r.Header.Get("Origin"), "://"+r.Host):
		refuse(403)
		return
	}
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		refuse(500)
		return
	}
	defer conn.Close()
	sum := sha1.Sum([]byte(keys[0] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(sum[:]))
	for {
		op, payload, err := readMasked(rw.Reader)
		if err != nil {
			return
		}
		if _, err := conn.Write(unmasked(op, payload)); err != nil || op == OpClose {
			return
		}
	}
}

// unmasked is a frame as a server sends it.
func unmasked(op byte, payload []byte) []byte {
	b := []byte{0x80 | op}
	switch n := len(payload); {
	case n < 126:
		b = append(b, byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
	}
	return append(b, payload...)
}

// readMasked reads a frame as a server does. It shares no code with the package.
func readMasked(r *bufio.Reader) (op byte, payload []byte, err error) {
	head := make([]byte, 2)
	if _, err = io.ReadFull(r, head); err != nil {
		return 0, nil, err
	}
	if head[1]>>7 != 1 {
		return 0, nil, fmt.Errorf("a client's frame is not masked")
	}
	n := int(head[1] & 127)
	if n > 125 {
		ext := make([]byte, map[int]int{126: 2, 127: 8}[n])
		if _, err = io.ReadFull(r, ext); err != nil {
			return 0, nil, err
		}
		n = 0
		for _, b := range ext {
			n = n<<8 | int(b)
		}
	}
	buf := make([]byte, 4+n)
	if _, err = io.ReadFull(r, buf); err != nil {
		return 0, nil, err
	}
	for i := range n {
		buf[4+i] ^= buf[i%4]
	}
	return head[0] & 0x0f, buf[4:], nil
}

// seen is what a recording listener got on one connection.
type seen struct {
	remote string
	bytes  []byte
	err    error // io.EOF for a FIN
}

// record listens, answers reply once after the first bytes, and returns what it received
// until the client ended.
func record(t *testing.T, reply string) (Target, <-chan seen) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	out := make(chan seen, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		s := seen{remote: c.RemoteAddr().String()}
		buf := make([]byte, 64<<10)
		for s.err == nil {
			var n int
			n, s.err = c.Read(buf)
			s.bytes = append(s.bytes, buf[:n]...)
			if reply != "" && n > 0 {
				_, _ = io.WriteString(c, reply)
				reply = ""
			}
		}
		out <- s
	}()
	t.Cleanup(func() { ln.Close(); <-done })
	return Target{Addr: ln.Addr().String()}, out
}

// patient is a context with enough time for a busy machine.
func patient(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// untilDelivered runs f, which never ends by itself, with longer and longer deadlines until
// f returns true. On a busy machine a short deadline may pass before the connection is
// there.
func untilDelivered(t *testing.T, f func(context.Context) bool) {
	t.Helper()
	for _, d := range []time.Duration{100 * time.Millisecond, time.Second, 10 * time.Second} {
		ctx, cancel := context.WithTimeout(t.Context(), d)
		done := f(ctx)
		cancel()
		if done {
			return
		}
	}
}
