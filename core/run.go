package core

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
)

// Run serves srv on addr until the process gets SIGINT or SIGTERM, drains, shuts
// srv down and closes g: [Guard.Serve], with the lines around it that every main
// function needs. addr is host:port as for [net.Listen]; ":8080" is every address
// of this host. It returns nil after a drain, whatever became of the sessions, and
// else why it could not listen or serve. A second signal ends the process at once,
// as it would without Run. A nil g serves and shuts down all the same.
//
// It is for a process whose life is that of this server: SIGINT and SIGTERM are
// its own, and g, which it closes, serves nothing else. For more than that take
// [Guard.Serve].
func Run(g *Guard, srv *http.Server, addr string) error {
	return g.Adapter().Run(func(ctx context.Context) error {
		return g.Adapter().Listen("tcp", addr, func(ln ...net.Listener) error { return g.Serve(ctx, srv, ln...) })
	})
}

// RunTLS is Run over TLS with the certificate in certFile and its key in keyFile,
// both in PEM, as for [http.Server.ListenAndServeTLS]: they are read once. HTTP/2 is
// offered beside HTTP/1.1. srv.TLSConfig is what else there is to say about TLS; it
// is not changed.
func RunTLS(g *Guard, srv *http.Server, addr, certFile, keyFile string) error {
	return g.Adapter().RunTLS(certFile, keyFile, srv.TLSConfig, func(ctx context.Context, config *tls.Config) error {
		return g.Adapter().ListenTLS("tcp", addr, config, true, func(ln ...net.Listener) error { return g.Serve(ctx, srv, ln...) })
	})
}

// Run is [Run] for a server of any framework, which serve serves until its context
// ends.
func (a Adapter) Run(serve func(context.Context) error) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process
	err := serve(ctx)
	_ = a.g.Close() // it fails where the log takes nothing, and there the program would log it
	return err
}

// RunTLS is [RunTLS] for a server of any framework. base is what else there is to
// say about TLS, nil for nothing.
func (a Adapter) RunTLS(certFile, keyFile string, base *tls.Config, serve func(context.Context, *tls.Config) error) error {
	return a.Run(func(ctx context.Context) error {
		pair, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			return fmt.Errorf("quietws: RunTLS cannot read its certificate: %w", err)
		}
		config := new(tls.Config)
		if base != nil {
			config = base.Clone()
		}
		config.Certificates = append([]tls.Certificate{pair}, config.Certificates...)
		return serve(ctx, config)
	})
}
