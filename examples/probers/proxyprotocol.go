package main

import (
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"time"

	"github.com/gorilla/websocket"
)

// behindProxyProtocol is a server behind HAProxy with send-proxy-v2 that learns the
// client's address from go-proxyproto. A silent client, which does not even send a PROXY
// header, is connected all the time.
func behindProxyProtocol(b *bench) group {
	var rows []row
	version := moduleOf(filepath.Join(b.dir, "proxied"), "github.com/pires/go-proxyproto")
	for _, overTLS := range []bool{false, true} {
		r := row{
			program: "HAProxy", version: asked("haproxy", "-v"), tls: overTLS, own: "proxied", do: throughProxyProtocol, verdict: up, session: "ok",
			way: "send-proxy-v2, go-proxyproto " + version + " below the guard",
			// A reader below the guard removes the header, so the guard does not see it.
			classes: []string{"session", "tcp_probe unknown"}, lines: 1,
		}
		rows = append(rows, r)
		r.way = "the same above the guard, ExpectProxy"
		r.flags, r.classes, r.lines = []string{"-above"}, []string{"proxy_probe unknown", "session", "tcp_probe unknown"}, 2
		rows = append(rows, r)
	}
	return group{rows: rows, programs: []debian{{"haproxy", "haproxy"}}}
}

func throughProxyProtocol(t *trial) error {
	silent, err := net.DialTimeout("tcp", t.server.addr, patience)
	if err != nil {
		return err
	}
	defer func() { _ = silent.Close() }()
	fronts, err := freeAddrs(1)
	if err != nil {
		return err
	}
	proxy, err := t.startHAProxy(fmt.Sprintf("listen all\n  mode tcp\n  bind %s\n  server s %s send-proxy-v2 check inter 200ms\n", fronts[0], t.server.addr))
	if err != nil {
		return err
	}
	defer proxy.kill()
	if err := proxy.await("all", "s", "UP"); err != nil {
		return err
	}
	front := &server{addr: fronts[0], tls: t.tls}
	for range asks {
		if err := t.comesThrough(front); err != nil {
			return err
		}
	}
	<-time.After(time.Second) // for more checks
	stats, err := proxy.stats()
	if err != nil {
		return err
	}
	t.verdict = down
	if got := stats["all/s"]; got.status == "UP" && got.failed == "0" {
		t.verdict = up
	}
	t.session = "ok"
	return nil
}

// comesThrough opens a session, which must not wait for the silent client, and
// whose address is the client's and not the proxy's.
func (t *trial) comesThrough(front *server) error {
	const soon = 2 * time.Second
	dialer := websocket.Dialer{HandshakeTimeout: soon, TLSClientConfig: anyCertificate}
	ws, res, err := dialer.Dial(front.url("ws")+"/ws", nil)
	if err != nil {
		return err
	}
	_ = res.Body.Close()
	defer func() { _ = ws.Close() }()
	if err := echoes(ws); err != nil {
		return err
	}
	want := ws.LocalAddr().String()
	for end := time.Now().Add(soon); ; <-time.After(20 * time.Millisecond) { // its log comes a little later
		_, access, err := t.server.lines(t.before)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(access, func(l line) bool { return l.Remote == want }) {
			return over(ws)
		}
		if time.Now().After(end) {
			return fmt.Errorf("the server saw %+v, want %s", access, want)
		}
	}
}
