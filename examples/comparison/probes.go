package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"time"
)

// A probe checks whether a server is up.
type probe struct {
	name string
	tls  bool // on a TLS port
	do   func(*child, int) error
}

// bareProbes send no data.
var bareProbes = []probe{{"FIN", false, fin}, {"RST", false, reset}, {"FIN", true, fin}, {"RST", true, reset}}

// moreProbes send data.
var moreProbes = []probe{{"GET /readyz", false, asks}, {"TLS handshake", true, shakes}}

func (p probe) String() string {
	return p.name + map[bool]string{false: ", plain port", true: ", TLS port"}[p.tls]
}

func fin(c *child, i int) error {
	nc, err := c.dialFrom(i % workers)
	if err != nil {
		return err
	}
	return nc.Close()
}

func reset(c *child, i int) error {
	nc, err := c.dialFrom(i % workers)
	if err != nil {
		return err
	}
	_ = nc.(*net.TCPConn).SetLinger(0)
	return nc.Close()
}

func asks(c *child, i int) error {
	nc, err := c.dialFrom(i % workers)
	if err != nil {
		return err
	}
	defer func() { _ = nc.Close() }()
	_ = nc.SetDeadline(time.Now().Add(patience))
	status, err := exchange(nc, bufio.NewReaderSize(nc, 512), kubelet)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("answered %d", status)
	}
	return err
}

func shakes(c *child, i int) error {
	nc, err := c.dialFrom(i % workers)
	if err != nil {
		return err
	}
	defer func() { _ = nc.Close() }()
	_ = nc.SetDeadline(time.Now().Add(patience))
	return tls.Client(nc, anyCertificate).Handshake()
}

// probing does a probe many times. Concurrent probes fit into the listener's queue. At
// the end a page is requested: when it is answered, all earlier probes have been
// accepted.
type probing struct {
	c  *child
	do load
}

const page = "GET /app HTTP/1.1\r\nHost: localhost\r\n\r\n"

func (p probing) run(n int) error {
	const most = 1000
	for ; n > 0; n -= most {
		if err := p.do.run(min(n, most)); err != nil {
			return err
		}
		last, err := p.c.requests(1, page)
		if err != nil {
			return err
		}
		last.close()
	}
	return nil
}

func (probing) close() {}

func (p probe) open(_ *bench, c *child) (load, error) {
	return probing{c, connects(func(i int) error { return p.do(c, i) })}, nil
}

func probes(b *bench) (rows []row, err error) {
	for _, f := range []string{"nethttp", "fiber"} {
		for _, p := range bareProbes {
			servers := ordinary(f, quiet)
			for i := range servers {
				servers[i].TLS = p.tls
			}
			limit := 1.02
			if p.tls && f == "nethttp" {
				limit = 1
			}
			more, err := b.rowsOf(trial{servers: servers, n: 1000, open: p.open}, "bare TCP probe, "+p.String()+", CPU of the server", f, limit)
			if err != nil {
				return rows, err
			}
			more[0].with = "Listener, Attach"
			rows = append(rows, more...)
		}
	}
	more, err := b.bytesLogged()
	return append(rows, more...), err
}

// bytesLogged compares the bytes that 100,000 probes of a kind log with those that as
// many probes ending with FIN log on bare net/http on a TLS port.
func (b *bench) bytesLogged() (rows []row, err error) {
	n := b.few(100_000)
	base, err := b.loggedBy(server{Framework: "nethttp", Variant: bare, TLS: true}, probe{do: fin}, n)
	if err != nil {
		return nil, err
	}
	for _, f := range []string{"nethttp", "fiber"} {
		all := bareProbes
		if f == "nethttp" {
			all = append(all, moreProbes...)
		}
		for _, p := range all {
			bytes, err := b.loggedBy(server{Framework: f, Variant: quiet, TLS: p.tls}, p, n)
			if err != nil {
				return rows, fmt.Errorf("%v: %w", p, err)
			}
			rows = append(rows, row{
				what: fmt.Sprintf("bytes logged for %d probes, %v", n, p), on: f, with: "Listener, Attach", base: fmt.Sprint(base),
				got: fmt.Sprintf("%d, %s", bytes, ratio(float64(bytes)/float64(base))), target: "≤ 0.001", met: float64(bytes) <= 0.001*float64(base),
			})
		}
	}
	return rows, nil
}

func (b *bench) loggedBy(s server, p probe, n int) (int, error) {
	c, err := b.start(s)
	if err != nil {
		return 0, err
	}
	defer c.stop()
	l, err := p.open(b, c)
	if err != nil {
		return 0, err
	}
	if err := l.run(n); err != nil {
		return 0, err
	}
	return c.logged()
}
