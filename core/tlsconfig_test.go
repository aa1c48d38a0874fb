package core

import (
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/conn/conntest"
)

// However a server is watched, a panic in the tls.Config ends one connection, and the
// function is called once for it.
func TestPanicInTLS(t *testing.T) {
	hellos := conntest.TwoHellos(t, "evil.example")
	for _, s := range stands4 {
		for name, listen := range map[string]func(*Guard, net.Listener, *tls.Config) net.Listener{
			"tls.NewListener": func(g *Guard, ln net.Listener, c *tls.Config) net.Listener {
				if s.listen {
					ln = g.Listener(ln)
				}
				return tls.NewListener(ln, c)
			},
			"TLSListener": func(g *Guard, ln net.Listener, c *tls.Config) net.Listener { return g.TLSListener(ln, c) },
		} {
			t.Run(s.name+"/"+name, func(t *testing.T) {
				g := quietGuard(t, Config{})
				var calls atomic.Int32
				config := conntest.TLS(t)
				config.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
					if h.ServerName == "evil.example" {
						calls.Add(1)
						panic("a bug of the application's")
					}
					return nil, nil
				}
				srv := &http.Server{Handler: http.NotFoundHandler(), ErrorLog: log.New(io.Discard, "", 0)}
				if s.attached {
					g.Attach(srv)
				} else {
					srv.Handler = g.Wrap(srv.Handler)
				}
				address := served(t, srv, func(ln net.Listener) net.Listener { return listen(g, ln, config) })
				dialed(t, address, func(c net.Conn) {
					_ = c.SetDeadline(time.Now().Add(10 * time.Second))
					_, _ = c.Write(hellos)
					_, _ = io.Copy(io.Discard, c)
				})
				ok, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
				if err != nil {
					t.Fatalf("the next client: %v", err)
				}
				_ = ok.Close()
				_ = srv.Close()
				waitClosed(t, g)
				if n := calls.Load(); n != 1 {
					t.Errorf("the function was called %d times", n)
				}
				if n := g.Snapshot().Closed[event.TLSFailed]; (s.attached || name == "TLSListener") && n != 1 { // otherwise the guard does not know that it is TLS
					t.Errorf("%d tls_failed, want 1", n)
				}
			})
		}
	}
}

// Functions of tls.Config keep their results, also behind GetConfigForClient, and session
// tickets go on working.
func TestContainedConfigChangesNothing(t *testing.T) {
	g := quietGuard(t, Config{})
	plain := conntest.TLS(t)
	if g.containedConfig(plain) != plain || g.containedConfig(nil) != nil {
		t.Error("a config without functions was copied")
	}
	refused := errors.New("refused")
	config := conntest.TLS(t)
	config.GetCertificate = func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if h.ServerName == "no.example" {
			return nil, refused
		}
		return &plain.Certificates[0], nil
	}
	var resumed atomic.Int32
	config.VerifyConnection = func(s tls.ConnectionState) error {
		if s.DidResume {
			resumed.Add(1)
		}
		return nil
	}
	contained := g.containedConfig(config)
	cache := tls.NewLRUClientSessionCache(1)
	shake := func(name string) error {
		server, client := conntest.TCPPair(t)
		done := make(chan error, 1)
		s := tls.Server(server, contained)
		go func() {
			err := s.Handshake()
			if err == nil {
				_, err = s.Write([]byte("x"))
			}
			done <- err
		}()
		c := tls.Client(client, &tls.Config{ServerName: name, InsecureSkipVerify: true, ClientSessionCache: cache, MaxVersion: tls.VersionTLS13})
		_, _ = c.Read(make([]byte, 1)) // which also receives the ticket
		return <-done
	}
	if err := shake("no.example"); !errors.Is(err, refused) {
		t.Errorf("an error of GetCertificate became %v", err)
	}
	for range 2 {
		if err := shake("yes.example"); err != nil {
			t.Error(err)
		}
	}
	if resumed.Load() != 1 {
		t.Errorf("%d sessions were resumed, want 1", resumed.Load())
	}
	config.SetSessionTicketKeys([][32]byte{{1}}) // like an application that shares its keys
	for range 2 {
		if err := shake("yes.example"); err != nil {
			t.Error(err)
		}
	}
	if resumed.Load() != 2 {
		t.Errorf("%d sessions were resumed after new keys, want 1 more", resumed.Load())
	}
}
