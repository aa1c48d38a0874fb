package core

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
)

// sniffing is a connection that is not a pointer and cannot be compared.
type sniffing struct {
	net.Conn
	_ []byte // so that it cannot be compared
}

type sniffer struct{ net.Listener }

func (l sniffer) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	return sniffing{Conn: nc}, err
}

// A listener may return connections of any type. If one cannot be the key of a map, the
// server serves as without the guard, and one line says what is missing.
func TestConnectionsThatCannotBeCompared(t *testing.T) {
	for _, s := range stands4 {
		t.Run(s.name, func(t *testing.T) {
			g, log := newGuardAndLog(t, Config{}, slog.LevelWarn)
			var hijacked atomic.Int32
			srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				nc, rw, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				hijacked.Add(1)
				defer func() { _ = nc.Close() }()
				_, _ = bufio.NewReadWriter(rw.Reader, rw.Writer).WriteString("HTTP/1.1 101 Switching Protocols\r\n\r\nhello")
				_ = rw.Flush()
			})}
			if s.attached {
				g.Attach(srv)
			} else {
				srv.Handler = g.Wrap(srv.Handler)
			}
			for _, order := range []func(net.Listener) net.Listener{
				func(ln net.Listener) net.Listener { return sniffer{ln} },
				func(ln net.Listener) net.Listener { return g.Listener(sniffer{ln}) },
				func(ln net.Listener) net.Listener { return sniffer{g.Listener(ln)} },
			} {
				srv := &http.Server{Handler: srv.Handler, ConnContext: srv.ConnContext, ErrorLog: srv.ErrorLog}
				if s.attached {
					g.Attach(srv)
				}
				address := served(t, srv, order)
				for range 2 {
					dialed(t, address, func(c net.Conn) {
						_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
							"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
						p, _ := io.ReadAll(c)
						if len(p) < 5 || string(p[len(p)-5:]) != "hello" {
							t.Errorf("answered %q", p)
						}
					})
				}
			}
			if n := hijacked.Load(); n != 6 {
				t.Errorf("%d of 6 sessions", n)
			}
			logged := 0
			for _, l := range linesLoggedBy(t, g, log) {
				if l.Msg == "connections of this listener are not counted" {
					logged++
				}
			}
			if want := map[bool]int{true: 1}[s.attached]; logged != want {
				t.Errorf("logged %d times, want %d", logged, want)
			}
		})
	}
}
