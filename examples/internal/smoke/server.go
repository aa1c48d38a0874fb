package smoke

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// server is a running example.
type server struct {
	t      *testing.T
	cmd    *exec.Cmd
	addr   string
	tls    *tls.Config // nil: no TLS
	made   atomic.Int64
	lines  chan map[string]any // of its log, as they come
	log    []map[string]any    // those read from lines
	exited chan struct{}
	client *http.Client
}

// start starts the server, and returns when it serves.
func start(t *testing.T, flags ...string) *server {
	t.Helper()
	for range 5 {
		s := &server{t: t, addr: freeAddr(t), lines: make(chan map[string]any, 1024), exited: make(chan struct{})}
		if slices.Contains(flags, "-cert") {
			s.tls = &tls.Config{InsecureSkipVerify: true} // made by the test
		}
		s.client = &http.Client{Timeout: patience, Transport: &http.Transport{
			DisableKeepAlives: true, DialContext: s.dialContext, TLSClientConfig: s.tls,
		}}
		s.cmd = command(t, append([]string{"-json", "-addr", s.addr}, flags...)...)
		stderr, err := s.cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := s.cmd.Start(); err != nil {
			t.Fatal(err)
		}
		go s.read(stderr)
		t.Cleanup(func() {
			_ = s.cmd.Process.Kill()
			<-s.exited
		})
		// The server prints this line when it listens and is about to accept.
		if s.seen("health routes") {
			return s
		}
		if s.wait(); !s.taken() {
			t.Fatalf("the server ended with %v: %v", s.cmd.ProcessState, s.log)
		}
	}
	t.Fatal("no free address")
	return nil
}

// freeAddr returns an address that was free a moment ago.
func freeAddr(t *testing.T) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	return ln.Addr().String()
}

// taken reports whether another process took the address in that moment.
func (s *server) taken() bool {
	return slices.ContainsFunc(s.log, func(line map[string]any) bool {
		text, _ := line["error"].(string)
		return strings.Contains(text, "address already in use")
	})
}

// read reads the log until the server has ended.
func (s *server) read(stderr io.Reader) {
	for in := bufio.NewScanner(stderr); in.Scan(); {
		line := map[string]any{}
		if err := json.Unmarshal(in.Bytes(), &line); err != nil {
			line["level"], line["msg"] = "not JSON", in.Text()
		}
		s.lines <- line
	}
	_ = s.cmd.Wait()
	close(s.lines)
	close(s.exited)
}

// seen reads the log as far as msg. It returns false if the log ends before.
func (s *server) seen(msg string) bool {
	s.t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		select {
		case line, more := <-s.lines:
			if !more {
				return false
			}
			if s.log = append(s.log, line); line["msg"] == msg {
				return true
			}
		case <-timeout.C:
			s.t.Fatalf("no line %q in %v", msg, s.log)
		}
	}
}

func (s *server) await(msg string) {
	s.t.Helper()
	if !s.seen(msg) {
		s.t.Fatalf("the log ended without %q: %v", msg, s.log)
	}
}

func (s *server) signal(sig os.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.t.Fatal(err)
	}
}

// wait waits for the end of the server and of its log.
func (s *server) wait() *os.ProcessState {
	s.t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		select {
		case line, more := <-s.lines:
			if !more {
				<-s.exited
				return s.cmd.ProcessState
			}
			s.log = append(s.log, line)
		case <-timeout.C:
			s.t.Fatalf("the server has not ended: %v", s.log)
		}
	}
}

// dialContext counts the connections that the test makes.
func (s *server) dialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, network, addr)
	if err == nil {
		s.made.Add(1)
	}
	return nc, err
}

func (s *server) url(scheme, path string) string {
	if s.tls != nil {
		scheme += "s"
	}
	return scheme + "://" + s.addr + path
}

func (s *server) get(path string, header ...string) (status int, body string) {
	s.t.Helper()
	return s.ask("GET", path, header...)
}

// ask sends a request on a connection of its own, with header as names and values.
func (s *server) ask(method, path string, header ...string) (status int, body string) {
	s.t.Helper()
	req, err := http.NewRequest(method, s.url("http", path), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := s.client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// connect does what a TCP probe does, or on a TLS port a TLS probe.
func (s *server) connect() {
	s.t.Helper()
	nc, err := s.dialContext(context.Background(), "tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	_ = nc.Close()
	if s.tls == nil {
		return
	}
	if nc, err = s.dialContext(context.Background(), "tcp", s.addr); err != nil {
		s.t.Fatal(err)
	}
	if err := tls.Client(nc, s.tls).Handshake(); err != nil {
		s.t.Fatal(err)
	}
	_ = nc.Close()
}

// dial opens a session that has echoed a message.
func (s *server) dial(path string) *websocket.Conn {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, s.url("ws", path), &websocket.DialOptions{HTTPClient: s.client})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = ws.CloseNow() })
	if err := ws.Write(ctx, websocket.MessageText, []byte("hello")); err != nil {
		s.t.Fatal(err)
	}
	if kind, data, err := ws.Read(ctx); err != nil || kind != websocket.MessageText || string(data) != "hello" {
		s.t.Fatalf("%s echoed %v %q, %v", path, kind, data, err)
	}
	return ws
}

// Certificate writes a certificate for 127.0.0.1 and its key.
func Certificate(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, der []byte) string {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	return write("cert.pem", "CERTIFICATE", cert), write("key.pem", "PRIVATE KEY", der)
}
