package core

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/conn"
	"github.com/quietws/quietws/core/internal/conn/conntest"
	"github.com/quietws/quietws/core/internal/journal/logtest"
)

// lineBook is the user's writer for a server's error log. Each line comes in one Write.
type lineBook struct{ lines chan string }

func (b *lineBook) Write(p []byte) (int, error) {
	b.lines <- string(p)
	return len(p), nil
}

// next returns the next line.
func (b *lineBook) next(t *testing.T, rule string) string {
	t.Helper()
	select {
	case line := <-b.lines:
		return line
	case <-t.Context().Done():
		return ""
	case <-time.After(10 * time.Second):
		t.Fatalf("%s: no line was written in ten seconds", rule)
		return ""
	}
}

// none checks that no line was written.
func (b *lineBook) none(t *testing.T, rule string) {
	t.Helper()
	select {
	case line := <-b.lines:
		t.Errorf("%s: it wrote %q", rule, line[:min(len(line), 120)])
	default:
	}
}

// userLog is an application's error log, with a prefix and flags.
func userLog() (*log.Logger, *lineBook) {
	b := &lineBook{make(chan string, 64)}
	return log.New(b, "app: ", log.Lshortfile|log.LUTC|log.Ldate), b
}

// stands is a TLS server with h2 that panics on /panic.
func stands(t *testing.T, errorLog *log.Logger, g *Guard, watch bool) (address string, srv *http.Server) {
	t.Helper()
	cert := httptest.NewUnstartedServer(nil)
	cert.StartTLS()
	config := cert.TLS.Clone()
	config.NextProtos = []string{"h2", "http/1.1"}
	cert.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/panic", func(http.ResponseWriter, *http.Request) { panic("the handler's") })
	srv = &http.Server{Handler: mux, ErrorLog: errorLog}
	top := tls.NewListener(ln, config)
	if watch {
		g.Attach(srv)
		top = g.TLSListener(ln, config)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = srv.Serve(top)
	}()
	t.Cleanup(func() {
		_ = srv.Close()
		<-served
	})
	return ln.Addr().String(), srv
}

// provocations make net/http write lines about a connection. Each returns the address of
// the client.
var provocations = []struct {
	name  string
	line  string // the line of net/http up to the address
	class event.Class
	do    func(t *testing.T, address string) netip.AddrPort
}{
	{"a bare connect", lineTLS, event.TCPProbe, func(t *testing.T, address string) netip.AddrPort {
		return dialed(t, address, func(c net.Conn) {})
	}},
	{"plain HTTP", lineTLS, event.WrongProtocol, func(t *testing.T, address string) netip.AddrPort {
		return dialed(t, address, func(c net.Conn) {
			_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			_, _ = io.Copy(io.Discard, c)
		})
	}},
	{"a refused certificate", lineTLS, event.TLSFailed, func(t *testing.T, address string) netip.AddrPort {
		return dialed(t, address, func(c net.Conn) {
			if err := tls.Client(c, &tls.Config{ServerName: "example.com"}).Handshake(); err == nil {
				t.Error("the certificate was accepted")
			}
		})
	}},
	{"junk", lineTLS, event.TLSFailed, func(t *testing.T, address string) netip.AddrPort {
		return dialed(t, address, func(c net.Conn) {
			_, _ = io.WriteString(c, "\x80\x00 and nothing that could be TLS")
			_, _ = io.Copy(io.Discard, c)
		})
	}},
	{"a panic", linePanic, event.HandlerPanic, func(t *testing.T, address string) netip.AddrPort {
		return dialed(t, address, func(c net.Conn) {
			s := tls.Client(c, &tls.Config{InsecureSkipVerify: true})
			_, _ = io.WriteString(s, "GET /panic HTTP/1.1\r\nHost: a\r\n\r\n")
			_, _ = io.Copy(io.Discard, s)
		})
	}},
	{"a panic over HTTP/2", "http2: panic serving ", event.HandlerPanic, func(t *testing.T, address string) (from netip.AddrPort) {
		transport := &http.Transport{
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true,
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				c, err := new(net.Dialer).DialContext(ctx, network, addr)
				if err == nil {
					from = conn.AddrPort(c.LocalAddr())
				}
				return c, err
			},
		}
		defer transport.CloseIdleConnections()
		answer, err := (&http.Client{Transport: transport}).Get("https://" + address + "/panic")
		if err == nil {
			_ = answer.Body.Close()
			t.Errorf("a panic over HTTP/2 was answered %s", answer.Status)
		}
		return from
	}},
}

func dialed(t *testing.T, address string, do func(net.Conn)) netip.AddrPort {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	do(c)
	return conn.AddrPort(c.LocalAddr())
}

// The lines of net/http still begin as they are parsed. Lines about connections that are
// not watched go on unchanged.
func TestErrorLogPassesOn(t *testing.T) {
	user, book := userLog()
	g := quietGuard(t, Config{})
	address, _ := stands(t, g.ErrorLog(user), g, false)
	for _, p := range provocations {
		from := p.do(t, address)
		got := book.next(t, p.name)
		prefix, rest, ok := strings.Cut(got, p.line)
		if !ok || !strings.HasPrefix(rest, from.String()+": ") {
			t.Errorf("%s: net/http no longer writes %q and the address %v, but %q", p.name, p.line, from, got)
			continue
		}
		// Prefix and flags are the user's, and the position is in net/http.
		if !regexp.MustCompile(`^app: \d{4}/\d\d/\d\d (server|h2_bundle)\.go:\d+: $`).MatchString(prefix) {
			t.Errorf("%s: the user's prefix and flags became %q", p.name, prefix)
		}
		if !strings.HasSuffix(got, "\n") || strings.HasSuffix(got, "\n\n") {
			t.Errorf("%s: the end of the line became %q", p.name, got[max(0, len(got)-20):])
		}
		if strings.Contains(p.name, "panic") && !strings.Contains(got, "the handler's") {
			t.Errorf("%s: what it panicked with is lost: %q", p.name, got)
		}
	}
	book.none(t, "each is one line")
}

// For a watched connection the evidence decides what it was. The server's own line would
// be the second.
func TestErrorLogSwallows(t *testing.T) {
	user, book := userLog()
	events := make(chan event.Event, 64)
	g := quietGuard(t, Config{Observe: func(e event.Event) { events <- e }})
	address, _ := stands(t, user, g, true)
	for round := range 2 {
		for _, p := range provocations {
			p.do(t, address)
			select {
			case e := <-events:
				if e.Class != p.class {
					t.Errorf("%s: logged as %v, want %v", p.name, e.Class, p.class)
				}
			case <-time.After(10 * time.Second):
				t.Errorf("%s, round %d: not logged", p.name, round)
			}
		}
	}
	waitClosed(t, g)
	book.none(t, "all connections are over")
}

// waitClosed waits until every connection is over and counted.
func waitClosed(t *testing.T, g *Guard) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for late := time.After(10 * time.Second); len(g.watch.Conns.All()) > 0 || g.Snapshot().Open > 0; {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("%d connections are still open after ten seconds", len(g.watch.Conns.All()))
		}
	}
}

// A second panic on the same connection is logged like the first: HTTP/2 keeps its
// connection.
func TestErrorLogEveryPanicOfAConnection(t *testing.T) {
	user, book := userLog()
	log := &logtest.Lines{Level: slog.LevelDebug}
	var mu sync.Mutex
	panics := 0
	g := quietGuard(t, Config{Logger: slog.New(log), Observe: func(e event.Event) {
		if e.Class == event.HandlerPanic {
			mu.Lock()
			panics++
			mu.Unlock()
		}
	}})
	address, srv := stands(t, user, g, true)
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	client := &http.Client{Transport: transport}
	for range 3 {
		if answer, err := client.Get("https://" + address + "/panic"); err == nil {
			_ = answer.Body.Close()
			t.Error("a panic was answered")
		}
	}
	if accepted := g.Snapshot().Accepted; accepted != 1 {
		t.Fatalf("%d connections: the test needs one", accepted)
	}
	transport.CloseIdleConnections()
	_ = srv.Close()
	waitClosed(t, g)
	_ = linesLoggedBy(t, g, log)
	mu.Lock()
	defer mu.Unlock()
	if panics != 3 {
		t.Errorf("three panics on one connection were logged as %d", panics)
	}
	book.none(t, "one event, one line")
}

// A nil logger means that of the log package. A server that was attached twice, or by two
// adapters, is parsed only once.
func TestErrorLogWithoutALogger(t *testing.T) {
	g := quietGuard(t, Config{})
	l := g.ErrorLog(nil)
	if again := g.ErrorLog(l); again != l {
		t.Error("an error log of ours was wrapped again")
	}
	var out bytes.Buffer
	flags := log.Flags()
	log.SetOutput(&out)
	log.SetFlags(0)
	defer func() {
		log.SetOutput(logDefault)
		log.SetFlags(flags)
	}()
	l.Printf("http: Accept error: %v", "x")
	if out.String() != "http: Accept error: x\n" {
		t.Errorf("the standard logger got %q", out.String())
	}
}

var logDefault = log.Writer()

// FuzzErrorLogLine: only a line about a watched connection is swallowed, and every other
// line goes on unchanged.
func FuzzErrorLogLine(f *testing.F) {
	const ours, theirs = "192.0.2.1:1000", "192.0.2.1:1001"
	for _, line := range []string{
		"", "\n", lineTLS, lineTLS + ours + ": EOF\n", lineTLS + theirs + ": EOF", lineTLS + ours, lineTLS + "[::ffff:192.0.2.1]:1000: EOF",
		lineTLS + "@: EOF", lineTLS + "[::1]:1: tls: x: y", linePanic + ours + ": boom\ngoroutine 1", linePanic + theirs + ": boom",
		"http: Accept error: accept tcp: too many open files; retrying in 5ms", "x " + lineTLS + ours + ": EOF", lineTLS + ours + ":EOF", lineTLS + " " + ours + ": EOF",
		"http2: panic serving " + ours + ": boom", lineTLS + "192.0.2.1:1000%: EOF", lineTLS + "[fe80::1%eth0]:1000: EOF",
	} {
		f.Add(line)
	}
	g, err := New(Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		f.Fatal(err)
	}
	g.watch.Conns.Index(registered(g, conntest.TCPAddr(ours)))
	f.Fuzz(func(t *testing.T, line string) {
		var out bytes.Buffer
		l := g.ErrorLog(log.New(&out, "", 0))
		l.Print(line)
		want := line
		if !strings.HasSuffix(want, "\n") {
			want += "\n"
		}
		switch got := out.String(); {
		case got == want:
			if strings.HasPrefix(line, lineTLS+ours+": ") {
				t.Errorf("%q is about a connection of ours and was passed on", line)
			}
		case got != "":
			t.Errorf("%q became %q", line, got)
		default:
			rest, ok := strings.CutPrefix(line, lineTLS)
			address, _, colon := strings.Cut(rest, ": ")
			a, err := netip.ParseAddrPort(address)
			if !ok || !colon || err != nil || fmt.Sprint(netip.AddrPortFrom(a.Addr().Unmap(), a.Port())) != ours {
				t.Errorf("%q is not about a connection of ours and was swallowed", line)
			}
		}
	})
}

// On a unix socket net/http's text has no address. There too each connection has one
// line, the guard's.
func TestErrorLogOfUnixSockets(t *testing.T) {
	for _, listen := range []bool{false, true} {
		user, book := userLog()
		g, log := newGuardAndLog(t, Config{}, slog.LevelInfo)
		srv := &http.Server{ErrorLog: user, Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("the handler's") })}
		g.Attach(srv)
		dir, err := os.MkdirTemp("", "ws") // the path of a socket must be short
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = os.RemoveAll(dir) }()
		ln, err := net.Listen("unix", filepath.Join(dir, "s"))
		if err != nil {
			t.Fatal(err)
		}
		top := tls.NewListener(ln, conntest.TLS(t))
		if listen {
			top = g.TLSListener(ln, conntest.TLS(t))
		}
		served := make(chan struct{})
		go func() {
			defer close(served)
			_ = srv.Serve(top)
		}()
		for range 3 {
			for _, secure := range []bool{false, true} {
				var c net.Conn
				if c, err = net.Dial("unix", ln.Addr().String()); err != nil {
					t.Fatal(err)
				}
				if secure {
					c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
				}
				_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
				_, _ = io.Copy(io.Discard, c)
				_ = c.Close()
			}
		}
		_ = srv.Close()
		<-served
		waitClosed(t, g)
		book.none(t, "the guard has logged it")
		kinds := make(map[string]int)
		for _, l := range linesLoggedBy(t, g, log) {
			kinds[l.Msg]++
		}
		if len(kinds) != 3 || kinds["handler panicked"] != 1 || kinds["health routes"] != 1 {
			t.Errorf("logged %v", kinds)
		}
		srv.ErrorLog.Print("http: TLS handshake error from @: of a connection that is not watched")
		book.next(t, "a line about a connection that is not watched goes on")
	}
}
