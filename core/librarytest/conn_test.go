package librarytest

import (
	"errors"
	"net"
	"testing"

	"golang.org/x/net/nettest"

	"github.com/quietws/quietws/core"
)

// only is a listener of one connection.
type only struct{ nc net.Conn }

func (l *only) Accept() (net.Conn, error) {
	if l.nc == nil {
		return nil, net.ErrClosed
	}
	nc := l.nc
	l.nc = nil
	return nc, nil
}
func (l *only) Close() error   { return nil }
func (l *only) Addr() net.Addr { return new(net.TCPAddr) }

// A conn.Conn behaves like every net.Conn.
func TestConnIsANetConn(t *testing.T) {
	for name, pair := range map[string]func() (net.Conn, net.Conn, error){
		"pipe": func() (net.Conn, net.Conn, error) { a, b := net.Pipe(); return a, b, nil },
		"tcp": func() (net.Conn, net.Conn, error) {
			ln, err := nettest.NewLocalListener("tcp")
			if err != nil {
				return nil, nil, err
			}
			defer func() { _ = ln.Close() }()
			a, err := net.Dial("tcp", ln.Addr().String())
			if err != nil {
				return nil, nil, err
			}
			b, err := ln.Accept()
			return a, b, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := quietGuard(t, core.Config{})
			nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
				a, b, err := pair()
				if err != nil {
					return nil, nil, nil, err
				}
				c, err := g.Listener(&only{a}).Accept()
				d, err2 := g.Listener(&only{b}).Accept()
				return c, d, func() { _, _ = c.Close(), d.Close() }, errors.Join(err, err2)
			})
			if s := g.Snapshot(); s.Open != 0 || s.Accepted == 0 {
				t.Errorf("accepted %d, open %d", s.Accepted, s.Open)
			}
		})
	}
}
