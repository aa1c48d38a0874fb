package probetest

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"
)

// Each scenario must send what its name says.
func TestScenariosOnTheWire(t *testing.T) {
	const (
		answer = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
		v2     = "\r\n\r\n\x00\r\nQUIT\n"
	)
	request := func(r Request) func(Target) string {
		return func(t Target) string { return string(r.Bytes(t)) }
	}
	half := func(t Target) string { b := WebSocket("/ws").Bytes(t); return string(b[:len(b)/2]) }
	text := func(s string) func(Target) string { return func(Target) string { return s } }
	for _, row := range []struct {
		name   string
		prefix func(Target) string // of what arrives; all of it if more is false
		more   bool
		end    error
	}{
		{"tcp-connect-fin", text(""), false, io.EOF},
		{"tcp-connect-rst", text(""), false, syscall.ECONNRESET},
		{"http-on-tls", request(Request{Path: "/ws"}), false, io.EOF},
		{"tls-hello-cut-fin", text("\x16\x03\x01"), true, io.EOF},
		{"tls-hello-cut-rst", text("\x16\x03\x01"), true, syscall.ECONNRESET},
		{"tls-on-plain", text("\x16\x03\x01"), true, io.EOF},
		{"proxy-v1-fin", text("PROXY TCP4 127.0.0.1 127.0.0.1 "), true, io.EOF},
		{"proxy-v1-rst", text("PROXY TCP4 127.0.0.1 127.0.0.1 "), true, syscall.ECONNRESET},
		{"proxy-v1-unknown-fin", text("PROXY UNKNOWN\r\n"), false, io.EOF},
		{"proxy-v1-unknown-rst", text("PROXY UNKNOWN\r\n"), false, syscall.ECONNRESET},
		{"proxy-v2-local-fin", text(v2 + "\x20\x00\x00\x00"), false, io.EOF},
		{"proxy-v2-local-rst", text(v2 + "\x20\x00\x00\x00"), false, syscall.ECONNRESET},
		{"proxy-v2-fin", text(v2 + "\x21\x11\x00\x0c\x7f\x00\x00\x01\x7f\x00\x00\x01"), true, io.EOF},
		{"proxy-v1-request", text("PROXY TCP4 127.0.0.1 127.0.0.1 "), true, io.EOF},
		{"proxy-v2-request", text(v2 + "\x21\x11\x00\x0c\x7f\x00\x00\x01\x7f\x00\x00\x01"), true, io.EOF},
		{"request-cut-fin", half, false, io.EOF},
		{"request-cut-half-close", half, false, io.EOF},
		{"request-cut-rst", half, false, syscall.ECONNRESET},
		{"health-kubelet", request(Kubelet("/healthz")), false, io.EOF},
		{"health-alb", request(ALB("/healthz")), false, io.EOF},
		{"health-google", request(GoogleHC("/healthz")), false, io.EOF},
		{"health-route53", request(Route53("/healthz")), false, io.EOF},
		{"health-front-door-head", request(FrontDoor("/healthz")), false, io.EOF},
		{"health-haproxy-options", request(HAProxy("/healthz")), false, syscall.ECONNRESET},
		{"health-tengine", request(Tengine("/healthz")), false, io.EOF},
		{"health-keepalived", request(Keepalived("/healthz")), false, io.EOF},
		{"health-consul", request(Consul("/healthz")), false, io.EOF},
		{"health-envoy", request(Envoy("/healthz")), false, io.EOF},
		{"health-curl", request(Curl("/healthz")), false, io.EOF},
		{"websocket-path-alb", request(ALB("/ws")), false, io.EOF},
		{"websocket-path-front-door-head", request(FrontDoor("/ws")), false, io.EOF},
		{"junk-random", text("\xff\xfe"), true, io.EOF},
		{"handshake-valid", request(WebSocket("/ws")), false, io.EOF},
		{"handshake-split-connection", request(SplitConnection("/ws")), false, io.EOF},
		{"handshake-odd-case", request(OddCase("/ws")), false, io.EOF},
		{"handshake-token-lists", request(TokenLists("/ws")), false, io.EOF},
		{"handshake-empty-item", request(EmptyItem("/ws")), false, io.EOF},
		{"handshake-early-data", request(WebSocket("/ws")), true, io.EOF},
		{"handshake-no-upgrade", request(NoUpgrade("/ws")), false, io.EOF},
		{"handshake-no-connection", request(NoConnection("/ws")), false, io.EOF},
		{"handshake-through-nginx", request(ThroughNginx("/ws")), false, io.EOF},
		{"handshake-through-apache", request(ThroughApache("/ws")), false, io.EOF},
		{"handshake-through-varnish", request(ThroughVarnish("/ws")), false, io.EOF},
		{"handshake-http-1-0", request(HTTP10("/ws")), false, io.EOF},
		{"handshake-post", request(ByMethod("POST", "/ws")), false, io.EOF},
		{"handshake-head", request(ByMethod("HEAD", "/ws")), false, io.EOF},
		{"handshake-plain-get", request(PlainGet("/ws")), false, io.EOF},
		{"handshake-version-8", request(Version8("/ws")), false, io.EOF},
		{"handshake-no-key", request(NoKey("/ws")), false, io.EOF},
		{"handshake-two-keys", request(TwoKeys("/ws")), false, io.EOF},
		{"handshake-bad-key", request(BadKey("/ws")), false, io.EOF},
		{"handshake-foreign-origin", request(Foreign("/ws")), false, io.EOF},
	} {
		t.Run(row.name, func(t *testing.T) {
			reply := answer
			if row.end != io.EOF && row.name != "health-haproxy-options" {
				reply = "" // a scenario that resets does not read it
			}
			target, got := record(t, reply)
			s, ok := Find(row.name)
			if !ok {
				t.Fatal("no such scenario")
			}
			if _, err := s.Run(patient(t), target); err != nil {
				t.Fatal(err)
			}
			saw, want := <-got, row.prefix(target)
			if !strings.HasPrefix(string(saw.bytes), want) || !row.more && len(saw.bytes) != len(want) {
				t.Errorf("the server read\n%q, want\n%q", saw.bytes, want)
			}
			if !errors.Is(saw.err, row.end) {
				t.Errorf("the server saw %v at the end, want %v", saw.err, row.end)
			}
		})
	}
	for name, want := range map[string]error{"session-vanish-fin": io.EOF, "session-vanish-rst": syscall.ECONNRESET} {
		target, got := record(t, accepted)
		s, _ := Find(name)
		if res, err := s.Run(patient(t), target); err != nil || res.Status != 101 {
			t.Fatal(name, res, err)
		}
		if saw := <-got; !errors.Is(saw.err, want) || !bytes.Equal(saw.bytes, WebSocket("/ws").Bytes(target)) {
			t.Errorf("%s: the server read %q and saw %v, want %v", name, saw.bytes, saw.err, want)
		}
	}
}
