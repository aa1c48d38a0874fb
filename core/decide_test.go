package core

import (
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/conn/conntest"
	"github.com/quietws/quietws/core/internal/remedy"
)

// Each class is logged once: by the request when it happens, or else when the connection
// is over.
func TestLoggedByRequest(t *testing.T) {
	byRequest := []event.Class{event.HandlerPanic, event.UpgradeFailed, event.SessionEnded, event.HandshakeRefused, event.ProbeFailing, event.HTTP, event.HTTPProbe}
	for _, c := range event.Classes() {
		if loggedByRequest(c) != slices.Contains(byRequest, c) {
			t.Errorf("%v: logged by a request is %v", c, loggedByRequest(c))
		}
	}
}

// The event of a connection names its peer, and an error only if the class is about one.
func TestConnectionEvents(t *testing.T) {
	for _, row := range []struct {
		rule  string
		steps []conntest.Step
		want  event.Class
	}{
		{"a bare connect", []conntest.Step{{Data: "", Err: io.EOF}}, event.TCPProbe},
		{"half a head", []conntest.Step{{Data: "GET /", Err: nil}, {Data: "", Err: syscall.ECONNRESET}}, event.BadRequest},
		{"silent until the timeout", []conntest.Step{{Data: "", Err: os.ErrDeadlineExceeded}}, event.IdleConnect},
	} {
		events := new(book)
		g := quietGuard(t, Config{Observe: events.observe})
		for _, peer := range []net.Addr{conntest.TCPAddr("192.168.1.7:4711"), conntest.TCPAddr("203.0.113.7:4711"), &net.UnixAddr{Name: "@", Net: "unix"}} {
			c := watched(g, &conntest.Script{Addr: peer, Reads: slices.Clone(row.steps)})
			_, _ = io.Copy(io.Discard, struct{ io.Reader }{c})
			_ = c.Close()
		}
		got := events.of(t, g, row.want)
		if len(got) != 3 {
			t.Fatalf("%s: %d events, want one for each connection", row.rule, len(got))
		}
		for i, platform := range []bool{true, false, true} {
			e := got[i]
			if e.Platform != platform || e.Err != nil || (i < 2) != e.Remote.IsValid() || e.Time.IsZero() {
				t.Errorf("%s, connection %d: %+v", row.rule, i, e)
			}
		}
		emptyRegistry(t, g.watch.Conns)
	}
}

// If a request gets 431 for fewer bytes than the server reads of a head, it has too many
// lines.
func TestTooManyFields(t *testing.T) {
	for _, row := range []struct {
		limit, size int
		want        string
	}{
		{1 << 20, 100, remedy.ManyFields},
		{100, 5 << 10, remedy.For(event.BadRequest, event.ReasonTooLarge, "")},
		{0, 100, remedy.For(event.BadRequest, event.ReasonTooLarge, "")}, // the limit is unknown
	} {
		ended := make(chan event.Event, 1)
		g := quietGuard(t, Config{Observe: func(e event.Event) { ended <- e }})
		if row.limit > 0 {
			srv := &http.Server{MaxHeaderBytes: row.limit}
			g.Attach(srv)
			ln, _ := net.Listen("tcp", "127.0.0.1:0")
			srv.BaseContext(ln)
			_ = ln.Close()
		}
		server, client := conntest.TCPPair(t)
		c := watched(g, server)
		if _, err := client.Write([]byte("GET / HTTP/1.1\r\n" + strings.Repeat("A: b\r\n", row.size/6))); err != nil {
			t.Fatal(err)
		}
		for p := make([]byte, 1<<10); c.In.Load() < int64(row.size); {
			if _, err := c.Read(p); err != nil {
				t.Fatal(err)
			}
		}
		_, _ = c.Write([]byte("HTTP/1.1 431 Request Header Fields Too Large\r\n\r\n"))
		_ = c.Close()
		if e := <-ended; e.Class != event.BadRequest || e.Reason != event.ReasonTooLarge || e.Remedy != row.want {
			t.Errorf("%d bytes of %d: %v/%v, %q", row.size, row.limit, e.Class, e.Reason, e.Remedy)
		}
	}
}
