package core

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/conn"
	"github.com/quietws/quietws/core/internal/conn/conntest"
)

// What a server could not read is classified by type, and no text of it is in the answer.
// The application answers when one of its limits is exceeded.
func TestUnread(t *testing.T) {
	transport := func(err error) error { return &net.OpError{Op: "read", Err: err} }
	for _, row := range []struct {
		rule   string
		passed ReadError
		err    error
		reason event.Reason
		status int
		body   string
	}{
		{"an exceeded limit", ReadError{Head: true}, errors.New("too long"), event.ReasonTooLarge, 413, "mine"},
		{"an exceeded limit of the body", ReadError{Body: true}, errors.New("too long"), event.NoReason, 413, "mine"},
		{"half a head, then a reset", ReadError{}, fmt.Errorf("head: %w", transport(syscall.ECONNRESET)), event.ReasonTruncated, 400, "bad request\n"},
		{"half a head, then an end", ReadError{}, fmt.Errorf("head: %w", io.ErrUnexpectedEOF), event.ReasonTruncated, 400, "bad request\n"},
		{"half a head, then silence", ReadError{}, fmt.Errorf("head: %w", transport(os.ErrDeadlineExceeded)), event.ReasonTimeout, 408, "request timeout\n"},
		{"text that is not a request", ReadError{}, errors.New("no method in s3cr3t"), event.ReasonMalformed, 400, "bad request\n"},
		{"a preface that the server quotes", ReadError{}, errors.New("unsupported version in \"PRI * HTTP/2.0\\r\\n\""), event.ReasonMalformed, 400, "bad request\n"},
		{"a reset before any byte, and no one to answer", ReadError{}, transport(syscall.ECONNRESET), event.NoReason, 400, ""},
	} {
		g := quietGuard(t, Config{})
		c := watched(g, &conntest.Script{})
		m := newLetter(handshake(with("Upgrade"), with("Sec-Websocket-Key"), onPath("/")), c)
		g.Adapter().Unread(m, row.err, row.passed, func() { m.status, m.body = 413, "mine" })
		if got := c.BadRequest(); got != row.reason || m.status != row.status || m.body != row.body {
			t.Errorf("%s: reason %v, answered %d %q; want %v, %d, %q", row.rule, got, m.status, m.body, row.reason, row.status, row.body)
		}
		if preface := strings.Contains(row.rule, "preface"); preface != c.Saw(conn.Preface) {
			t.Errorf("%s: a preface: %t", row.rule, !preface)
		}
		if row.passed.Body != c.Had(conn.Ordinary) {
			t.Errorf("%s: a request: %t", row.rule, !row.passed.Body)
		}
		_ = c.Close()
	}
}

// Without a TLS handshake there is no answer, and the handshake's own error decides the
// class.
func TestUnreadUnderTLS(t *testing.T) {
	g := quietGuard(t, Config{})
	below := &conntest.Script{Closed: make(chan struct{})}
	c := watched(g, below)
	c.LookAbove(tls.Server(c, &tls.Config{}))
	m := newLetter(handshake(with("Upgrade")), c)
	g.Adapter().Unread(m, errors.New("error when reading request headers: tls: first record does not look like a TLS handshake"), ReadError{}, func() { t.Error("the application is asked") })
	if len(below.Wrote) > 0 || c.BadRequest() != event.NoReason || !c.Saw(conn.Closed) {
		t.Errorf("wrote %q, reason %v, closed %t", below.Wrote, c.BadRequest(), c.Saw(conn.Closed))
	}
}

// A sender of a PROXY preamble that leaves while a TLS port refuses it is a probe.
func TestUnreadPreambleUnderTLS(t *testing.T) {
	events := make(chan event.Event, 1)
	g := quietGuard(t, Config{Observe: func(e event.Event) { events <- e }})
	server, client := conntest.TCPPair(t)
	c := watched(g, server)
	above := tls.Server(c, &tls.Config{})
	c.LookAbove(above)
	if _, err := io.WriteString(client, "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"); err != nil {
		t.Fatal(err)
	}
	refused := above.Handshake()
	_ = client.Close() // its FIN arrives after the refusal
	g.Adapter().Unread(newLetter(handshake(with("Upgrade")), c), refused, ReadError{}, func() { t.Error("the application is asked") })
	if e := <-events; e.Class != event.ProxyProbe {
		t.Errorf("%v %v, want proxy_probe", e.Class, e.Reason)
	}
}

// A default health route whose owner shows only in the answer is the application's if
// that is an answer of its own.
func TestFallback(t *testing.T) {
	for status, want := range map[int]bool{401: true, 403: true, 404: true, 405: true, 200: false, 204: false, 302: false, 500: false, 503: false} {
		g := quietGuard(t, Config{})
		h := pathHead("/readyz")
		q := g.Adapter().Owner(func(Head) (bool, bool) { return false, false }).beginOnConn(h, nil)
		if _, ours := q.fallback(h, status); ours != want {
			t.Errorf("status %d: ours is %v", status, ours)
		}
		if _, again := q.fallback(h, status); again {
			t.Errorf("status %d: asked twice", status)
		}
		q.Done(status, nil)
	}
}
