package coretest

import (
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/probetest"
)

// panicsFor is the server name for which a function of tls.Config panics.
const panicsFor = "panics.example"

// inTLS are functions that a server's handshake calls.
var inTLS = []struct {
	name   string
	set    func(c *tls.Config, called func(server string))
	sealed bool // called when the client has finished its part
}{{
	name: "GetConfigForClient",
	set: func(c *tls.Config, called func(string)) {
		c.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) { called(h.ServerName); return nil, nil }
	},
}, {
	name: "GetCertificate",
	set: func(c *tls.Config, called func(string)) {
		cert := c.Certificates[0]
		c.Certificates = nil
		c.GetCertificate = func(h *tls.ClientHelloInfo) (*tls.Certificate, error) { called(h.ServerName); return &cert, nil }
	},
}, {
	name: "VerifyConnection", sealed: true,
	set: func(c *tls.Config, called func(string)) {
		c.VerifyConnection = func(s tls.ConnectionState) error { called(s.ServerName); return nil }
	},
}}

// containRows: functions of the application panic where a server calls them outside a
// handler.
func containRows() (rows []row) {
	for _, f := range inTLS {
		var panicked sync.Map // *tls.Config -> *atomic.Int64
		rows = append(rows, row{
			name: "contain/" + f.name, ports: secure, layers: attached, serverLog: true,
			sees: []kind{{event.TLSFailed, event.ReasonAborted}},
			rule: "a function of tls.Config that panics ends only its connection, whatever follows the ClientHello, and is called once for each",
			tls: func(e *env, c *tls.Config) {
				n := new(atomic.Int64)
				panicked.Store(e, n)
				f.set(c, func(server string) {
					if server == panicsFor {
						n.Add(1)
						panic(PanicText)
					}
				})
			},
			run: func(e *env) {
				for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
					e.helloAgain(version, f.sealed)
				}
				e.get("/app", 200, "app")
				e.close()
				n, _ := panicked.LoadAndDelete(e)
				if got := n.(*atomic.Int64).Load(); got != 2 {
					e.Errorf("called %d times for 2 connections", got)
				}
				if s := e.guard.Snapshot(); s.Closed[event.TLSFailed] != 2 {
					e.Errorf("classes %s, want 2 tls_failed", nonZero(s.Closed))
				}
				e.loggedOnce("tls.Config."+f.name, "panic serving")
			},
		})
	}
	var refused sync.Map
	return append(rows, row{
		name: "contain/ConnContext", layers: attached, needs: ConnContext,
		rule: "a ConnContext that panics ends its connection and not the process",
		hook: func(e *env, name string) {
			if name != "ConnContext" {
				return
			}
			if _, again := refused.LoadOrStore(e, true); !again {
				panic(PanicText)
			}
		},
		run: func(e *env) {
			c, err := new(net.Dialer).DialContext(e.ctx, "tcp", e.target.Addr)
			if err != nil {
				e.Fatal(err)
			}
			e.opened++
			e.drained(c)
			e.get("/app", 200, "app")
			e.close()
			if s := e.guard.Snapshot(); s.Closed[event.ServerClosed] != 1 {
				e.Errorf("classes %s, want 1 server_closed", nonZero(s.Closed))
			}
			e.loggedOnce("ConnContext", "")
			refused.Delete(e)
		},
	})
}

// helloAgain begins a handshake in which the server panics, and sends a second ClientHello
// after the first or, if sealed, after the last bytes of its part.
func (e *env) helloAgain(version uint16, sealed bool) {
	e.Helper()
	c, err := new(net.Dialer).DialContext(e.ctx, "tcp", e.target.Addr)
	if err != nil {
		e.Fatal(err)
	}
	e.opened++
	t := e.target
	t.TLS = t.TLS.Clone()
	t.TLS.ServerName, t.TLS.MaxVersion = panicsFor, version
	hello := probetest.ClientHello(t)
	again := append([]byte(nil), hello...)
	again[2] = 3 // the version of a record that is not the first
	if sealed {
		t.TLS.InsecureSkipVerify = true
		_ = tls.Client(&trailing{Conn: c, more: again}, t.TLS).HandshakeContext(e.ctx) // in TLS 1.2 the server sends the last message
	} else if _, err := c.Write(append(hello, again...)); err != nil {
		e.Error(err)
	}
	e.drained(c)
}

// trailing sends more with each write after the first.
type trailing struct {
	net.Conn
	more    []byte
	written bool
}

func (t *trailing) Write(p []byte) (int, error) {
	if !t.written {
		t.written = true
		return t.Conn.Write(p)
	}
	_, err := t.Conn.Write(append(append([]byte(nil), p...), t.more...))
	return len(p), err
}

// drained waits for the server to close c.
func (e *env) drained(c net.Conn) {
	e.Helper()
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
		e.Error("the server has not closed the connection")
	}
	_ = c.Close()
}

// loggedOnce checks that a panic of callback has one line in the guard's log, or that the
// server's own log has a line with words.
func (e *env) loggedOnce(callback, words string) {
	e.Helper()
	logged := 0
	for _, l := range e.log.all() {
		switch {
		case l.attrs["callback"] == callback && l.msg == "callback panicked":
			logged++
		case l.attrs["class"] != "" && l.level >= slog.LevelInfo:
			e.Errorf("a second line: %v", l)
		}
	}
	servers := 0
	for _, l := range e.server.lines() {
		if words != "" && strings.Contains(l, words) {
			servers++
		}
	}
	if logged != 1 && (logged != 0 || servers == 0) {
		e.Errorf("the panic of %s is logged in %d lines, and in %d lines of the server", callback, logged, servers)
	}
}
