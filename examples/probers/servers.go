package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// bench is what the parts run on: the example servers, built.
type bench struct {
	servers   []string
	sessions  int
	connects  int
	soak      time.Duration
	stderr    *os.File // what servers log to; nil: what server.log keeps
	long      time.Duration
	rows      string
	readme    bool
	dir       string
	cert, key string
}

// patience is how long to wait for anything expected.
const patience = 30 * time.Second

func (b *bench) build() error {
	dir, err := os.MkdirTemp("", "quietws-probers")
	if err != nil {
		return err
	}
	b.dir = dir
	for _, name := range b.servers {
		build := exec.Command("go", "build", "-o", filepath.Join(dir, name), "./"+name)
		build.Dir = ".." // another module
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("building %s: %w\n%s", name, err, out)
		}
	}
	if out, err := exec.Command("go", "build", "-o", dir, "./proxied", "./subject").CombinedOutput(); err != nil {
		return fmt.Errorf("building proxied and subject: %w\n%s", err, out)
	}
	return b.certificate()
}

func (b *bench) clean() { _ = os.RemoveAll(b.dir) }

// certificate makes one for this host alone.
func (b *bench) certificate() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"},
		NotAfter: time.Now().Add(24 * time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	b.cert, b.key = filepath.Join(b.dir, "cert.pem"), filepath.Join(b.dir, "key.pem")
	if err := os.WriteFile(b.cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		return err
	}
	return os.WriteFile(b.key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600)
}

// server is a process that serves.
type server struct {
	name, addr string
	tls        bool
	cmd        *exec.Cmd
	log        *log
	exited     chan struct{} // closed when it has
	at         time.Time     // and then this is when
	scrapes    int           // how often it was asked for its metrics
}

// log keeps what a server writes.
type log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// start starts a server and waits until it serves. addr "" is a free port.
func (b *bench) start(name, addr string, overTLS bool, flags ...string) (*server, error) {
	if addr == "" {
		free, err := freeAddrs(1)
		if err != nil {
			return nil, err
		}
		addr = free[0]
	}
	if overTLS {
		flags = append(flags, "-cert", b.cert, "-key", b.key)
	}
	s := &server{name: name, addr: addr, tls: overTLS}
	if err := s.run(exec.Command(filepath.Join(b.dir, name), append(flags, "-json", "-addr", addr)...), b.stderr); err != nil {
		return nil, err
	}
	for end := time.Now().Add(patience); time.Now().Before(end); <-time.After(20 * time.Millisecond) {
		// It is about to accept then; to ask it would be the first probe.
		if strings.Contains(s.log.String(), `"msg":"health routes"`) {
			return s, nil
		}
		if b.stderr != nil { // its log is not to be read
			if status, _ := s.get(client, "/livez"); status == http.StatusOK {
				return s, nil
			}
		}
		select {
		case <-s.exited:
			return nil, fmt.Errorf("%s does not start: %s", name, s.log)
		default:
		}
	}
	s.kill()
	return nil, fmt.Errorf("%s does not serve: %s", name, s.log)
}

// subject starts what has routes that the example of that name has not.
func (b *bench) subject(name, addr string, overTLS bool, flags ...string) (*server, error) {
	s, err := b.start("subject", addr, overTLS, append(flags, "-on", name)...)
	if err == nil {
		s.name = name
	}
	return s, err
}

// run starts it by cmd, with its log in logTo, or kept where that is nil.
func (s *server) run(cmd *exec.Cmd, logTo *os.File) error {
	s.cmd, s.log, s.exited = cmd, new(log), make(chan struct{})
	if cmd.Stderr = s.log; logTo != nil {
		cmd.Stderr = logTo
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() {
		_ = cmd.Wait()
		s.at = time.Now()
		close(s.exited)
	}()
	return nil
}

// client asks on a connection of its own.
var client = &http.Client{
	Timeout: 5 * time.Second,
	Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   anyCertificate,
	},
}

func (s *server) get(c *http.Client, path string) (status int, err error) {
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, s.url("http")+path, nil)
	if err != nil {
		return 0, err
	}
	res, err := c.Do(r)
	if err != nil {
		return 0, err
	}
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode, res.Body.Close()
}

// url is where it is, for http or ws.
func (s *server) url(scheme string) string {
	if s.tls {
		scheme += "s"
	}
	return scheme + "://" + s.addr
}

// terminate asks it to end.
func (s *server) terminate() { _ = s.cmd.Process.Signal(syscall.SIGTERM) }

// wait waits until it has ended and returns its exit status.
func (s *server) wait(limit time.Duration) (status int, err error) {
	select {
	case <-s.exited:
		return s.cmd.ProcessState.ExitCode(), nil
	case <-time.After(limit):
		s.kill()
		return 0, fmt.Errorf("%s has not ended after %v: %s", s.name, limit, s.log)
	}
}

func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	<-s.exited
}
