package core

import (
	"bytes"
	"context"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/conn/conntest"
	"github.com/quietws/quietws/core/internal/journal"
	"github.com/quietws/quietws/core/internal/journal/logtest"
	"github.com/quietws/quietws/internal/plainws"
)

// memoryListener accepts connections in memory.
type memoryListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *memoryListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *memoryListener) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *memoryListener) Addr() net.Addr { return conntest.TCPAddr("127.0.0.1:80") }

// spoken is a connection whose peer sends bytes in two parts and closes its side. It
// keeps what the peer gets.
type spoken struct {
	mu    sync.Mutex
	parts [][]byte
	heard bytes.Buffer
	addr  net.Addr
}

func (s *spoken) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.parts) > 0 && len(s.parts[0]) == 0 {
		s.parts = s.parts[1:]
	}
	if len(s.parts) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.parts[0])
	s.parts[0] = s.parts[0][n:]
	return n, nil
}

func (s *spoken) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.heard.Write(p)
}

func (s *spoken) Close() error                     { return nil }
func (s *spoken) LocalAddr() net.Addr              { return conntest.TCPAddr("127.0.0.1:80") }
func (s *spoken) RemoteAddr() net.Addr             { return s.addr }
func (s *spoken) SetDeadline(time.Time) error      { return nil }
func (s *spoken) SetReadDeadline(time.Time) error  { return nil }
func (s *spoken) SetWriteDeadline(time.Time) error { return nil }

// canary replaces every @ in the fuzzed bytes, and must not come back.
const canary = "c4n4ryc4n4ryc4n4ry"

// FuzzRequest: whatever bytes reach a real server, the guard does not panic, the
// connection ends in exactly one class, the bytes are not sent back, and their log text
// is short and printable.
func FuzzRequest(f *testing.F) {
	for _, head := range []string{
		"", "G", "\r\n\r\n", "@", "GET / HTTP/1.1\r\n", "GET /@?@ HTTP/1.1\r\nHost: @\r\nUser-Agent: @\r\n\r\n",
		"GET / HTTP/1.0\r\n\r\n", "GET /readyz HTTP/1.1\r\nHost: a\r\nUser-Agent: kube-probe/1.30@\r\n\r\nGET /livez HTTP/1.1\r\nHost: a\r\n\r\n",
		"HEAD /ws HTTP/1.1\r\nHost: a\r\nUser-Agent: GoogleHC/1.0\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabc", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n@",
		string(conntest.LineProxyV1) + string(conntest.GetApp), string(conntest.ProxyV2Local), string(conntest.ProxyV2Addrs) + string(conntest.GetApp), string(conntest.H2Start), "\x16\x03\x01\x02\x00\x01",
		upgradeGET, upgradeGET + "\x82\x80\x01\x02\x03\x04" + "\x88\x82\x00\x00\x00\x00\x03\xe8", strings.Replace(upgradeGET, "/ws", "/own", 1) + "\x88\x80\x00\x00\x00\x00",
		strings.Replace(upgradeGET, "Upgrade: websocket\r\n", "X-@: @\r\nOrigin: https://@\r\n", 1), strings.Replace(upgradeGET, goodKey, "@", 1),
		strings.Replace(upgradeGET, "HTTP/1.1", "HTTP/1.0", 1), strings.Replace(upgradeGET, ": 13", ": 8@", 1), strings.Replace(upgradeGET, "GET", "POST", 1),
		strings.Replace(upgradeGET, "\r\n\r\n", "\r\nOrigin: null\r\nX-Forwarded-For: @, 1.2.3.4\r\nConnection: @\r\nSec-WebSocket-Key: @\r\n\r\n", 1),
		"PRI * HTTP/2.0\r\n\r\n", "GET http://@/ws HTTP/1.1\r\nHost: @\r\n\r\n", "CONNECT @:443 HTTP/1.1\r\nHost: @\r\n\r\n", "@ /@ HTTP/1.1\r\nHost: a\r\n@: @\r\n\r\n",
		"GET /elsewhere HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", "GET /ws HTTP/1.1\r\nHost: a\r\nHost: @\r\n\r\n", "GET /\x00@ HTTP/1.1\r\nHost: a\x00\r\n\r\n",
	} {
		f.Add([]byte(head), uint16(len(head)/2), byte(0))
		f.Add([]byte(head), uint16(1), byte(1))
	}
	m := serveMemory(f)
	sources := []string{"127.0.0.1:1000", "203.0.113.9:1000", "10.0.0.1:1000"}
	f.Fuzz(func(t *testing.T, head []byte, cut uint16, source byte) {
		if len(head) > 1<<14 || bytes.Contains(head, []byte(canary)) {
			return
		}
		sent := bytes.ReplaceAll(head, []byte("@"), []byte(canary))
		m.hear(t, sent, int(cut), sources[int(source)%len(sources)])
	})
}

// memoryServer is a real server whose connections are in memory.
type memoryServer struct {
	g     *Guard
	ln    *memoryListener
	lines *logtest.Lines
}

func serveMemory(tb testing.TB) *memoryServer {
	tb.Helper()
	lines := &logtest.Lines{Level: slog.LevelDebug}
	g, err := New(Config{Logger: slog.New(lines), ProbePaths: []string{"/"}, TrustedProxies: prefixes("10.0.0.0/8"), MaxSessions: 2})
	if err != nil {
		tb.Fatal(err)
	}
	own := g.Endpoint(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ws, err := plainws.Upgrade(w, r, &plainws.Options{NotEarly: true}); err == nil {
			defer func() { _ = ws.Close() }()
			_, _, _ = ws.Read()
		}
	}))
	session := handlerSession(g)
	var serverLog bytes.Buffer
	srv := &http.Server{ErrorLog: log.New(&serverLog, "", 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/ws":
			session(w, r)
		case "/own":
			own.ServeHTTP(w, r)
		case "/elsewhere":
			w.WriteHeader(http.StatusNotFound)
		default:
			_, _ = io.Copy(io.Discard, r.Body)
			_, _ = io.WriteString(w, "ok\n")
		}
	})}
	ln := &memoryListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- g.Serve(ctx, srv, ln) }()
	tb.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			tb.Error(err)
		}
		if err := g.Close(); err != nil {
			tb.Error(err)
		}
	})
	return &memoryServer{g, ln, lines}
}

// hear lets a peer send bytes in two parts and close. It checks what holds for every
// connection, and returns the class of this one and what the peer got.
func (m *memoryServer) hear(t *testing.T, sent []byte, cut int, from string) (event.Class, string) {
	t.Helper()
	i := min(cut, len(sent))
	c := &spoken{parts: [][]byte{sent[:i], sent[i:]}, addr: conntest.TCPAddr(from)}
	before := m.g.Snapshot()
	m.ln.conns <- c
	after := before
	for start := time.Now(); after.Accepted == before.Accepted || after.Open+after.SessionsOpen > 0; after = m.g.Snapshot() {
		runtime.Gosched()
		if time.Since(start) > 20*time.Second {
			t.Fatalf("%.200q: the connection never ended", sent)
		}
	}
	var classes []event.Class
	for class, n := range after.Closed {
		for range n - before.Closed[class] {
			classes = append(classes, class)
		}
	}
	if len(classes) != 1 || after.Accepted != before.Accepted+1 || len(m.g.watch.Conns.All()) != 0 {
		t.Fatalf("%.200q ended as %v, %d accepted, %d in the registry", sent, classes, after.Accepted-before.Accepted, len(m.g.watch.Conns.All()))
	}
	lines := linesLoggedBy(t, m.g, m.lines)
	if classes[0] == event.HandlerPanic {
		t.Fatalf("%.200q: something panicked:\n%v", sent, lines)
	}
	c.mu.Lock()
	heard := c.heard.String()
	c.mu.Unlock()
	if strings.Contains(heard, canary) {
		t.Errorf("%.200q was answered with what it sent:\n%s", sent, heard)
	}
	for _, l := range lines {
		for key, value := range l.Attrs {
			text := value.String()
			ours := key == "remedy" || key == "stack" || strings.HasPrefix(key, "/") // these name the owner of each path
			if !ours && len(text) > journal.MaxText || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("%.200q was logged with %s of %d bytes: %q", sent, key, len(text), text)
			}
		}
	}
	return classes[0], heard
}

// A request in two parts is the same as in one, wherever it is split.
func TestRequestSplitAtEveryOffset(t *testing.T) {
	m := serveMemory(t)
	for _, row := range []struct {
		sent   string
		class  event.Class
		answer string
	}{
		{string(conntest.GetApp), event.HTTP, "HTTP/1.1 200 OK\r\n"},
		{string(conntest.GetHealth), event.HTTPProbe, "HTTP/1.1 200 OK\r\n"},
		{upgradeGET + "\x88\x82\x00\x00\x00\x00\x03\xe8", event.SessionEnded, "HTTP/1.1 101 Switching Protocols\r\n"},
		{strings.Replace(upgradeGET, ": 13", ": 8", 1), event.HandshakeRefused, "HTTP/1.1 400 Bad Request\r\n"},
		{string(conntest.LineProxyV1), event.ProxyProbe, "HTTP/1.1 400 Bad Request\r\n"},
		{string(conntest.LineProxyV1) + string(conntest.GetApp), event.WrongProtocol, "HTTP/1.1 400 Bad Request\r\n"},
		{"\x16\x03\x01\x00\x05\r\n\r\n", event.WrongProtocol, "HTTP/1.1 400 Bad Request\r\n"},
	} {
		for cut := range len(row.sent) {
			class, heard := m.hear(t, []byte(row.sent), cut, "127.0.0.1:1000")
			if class != row.class || !strings.HasPrefix(heard, row.answer) {
				t.Errorf("%.30q split at %d: %v, the peer got %.60q, want %v and %q", row.sent, cut, class, heard, row.class, row.answer)
			}
		}
	}
}

// Hostile input ends in a class too.
func TestRequestJunk(t *testing.T) {
	m := serveMemory(t)
	manyFields := event.HTTP
	if _, limited := reflect.TypeFor[http.Server]().FieldByName("MaxHeaderValueCount"); limited { // from Go 1.27 on
		manyFields = event.BadRequest
	}
	fields := new(strings.Builder)
	for range 10_000 {
		fields.WriteString("X-Field: " + canary + "\r\n")
	}
	for name, row := range map[string]struct {
		sent  string
		class event.Class
	}{
		"two megabytes of header": {"GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("a", 2<<20) + canary + "\r\n\r\n", event.BadRequest},
		"ten thousand fields":     {"GET / HTTP/1.1\r\nHost: a\r\n" + fields.String() + "\r\n", manyFields},
		"a long User-Agent":       {"GET /ws HTTP/1.1\r\nHost: a\r\nUser-Agent: kube-probe/" + strings.Repeat(canary, 5000) + "\r\n\r\n", event.HTTPProbe},
		"a long path":             {strings.Replace(upgradeGET, "/ws", "/"+strings.Repeat(canary, 5000), 1), event.HandshakeRefused},
		"a long key":              {strings.Replace(upgradeGET, goodKey, strings.Repeat(canary, 5000), 1), event.HandshakeRefused},
		"a long list":             {strings.Replace(upgradeGET, ": Upgrade", ": "+strings.Repeat(",", 100_000)+"Upgrade", 1) + "\x88\x80\x00\x00\x00\x00", event.SessionEnded},
		"a forwarded chain":       {strings.Replace(upgradeGET, ": 13", ": 8\r\nX-Forwarded-For: "+strings.Repeat("10.0.0.1,", 10_000)+canary, 1), event.HandshakeRefused},
		"NUL bytes":               {strings.Repeat("\x00", 5000) + canary, event.BadRequest},
		"NUL bytes in a field":    {"GET / HTTP/1.1\r\nHost: a\r\nX: \x00" + canary + "\r\n\r\n", event.BadRequest},
		"a terminal's bell":       {"GET /\x07\x1b[31m" + canary + " HTTP/1.1\r\nHost: a\r\n\r\n", event.BadRequest},
		"line breaks in the path": {strings.Replace(upgradeGET, "/ws", "/elsewhere%0d%0aclass=http%1b[31m"+canary, 1), event.HandshakeRefused},
		"no newline at all":       {strings.Repeat(canary, 100), event.BadRequest},
		"half a PROXY preamble":   {string(conntest.ProxyV2Addrs[:14]), event.ProxyProbe}, // refused at its first line
		"a binary frame first":    {"\x82\x80\x01\x02\x03\x04" + canary, event.BadRequest},
	} {
		for _, from := range []string{"127.0.0.1:1000", "203.0.113.9:1000"} {
			if class, heard := m.hear(t, []byte(row.sent), 1<<30, from); class != row.class {
				t.Errorf("%s, from %s: %v, want %v; the peer got %.200q", name, from, class, row.class, heard)
			}
		}
	}
}
