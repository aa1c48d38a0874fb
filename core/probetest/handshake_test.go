package probetest

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
)

func TestHandshakeBytes(t *testing.T) {
	const (
		key  = "Sec-WebSocket-Key: " + Key + "\r\n"
		v13  = "Sec-WebSocket-Version: 13\r\n"
		ua   = "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n"
		line = "GET /ws HTTP/1.1\r\nHost: h:1\r\n"
	)
	for _, row := range []struct {
		rule string
		r    Request
		want string
	}{
		{"valid", WebSocket("/ws"), line + "Upgrade: websocket\r\nConnection: Upgrade\r\n" + key + v13},
		{"Upgrade stripped, the key stays", NoUpgrade("/ws"), line + key + v13 + "Connection: keep-alive\r\n"},
		{"Connection stripped", NoConnection("/ws"), line + "Upgrade: websocket\r\n" + key + v13},
		{"as nginx sends it", ThroughNginx("/ws"), "GET /ws HTTP/1.0\r\nHost: h:1\r\nConnection: close\r\n" + key + v13 + "Origin: https://app.example\r\n" + ua},
		{"as Apache sends it", ThroughApache("/ws"), line + key + v13 + "Origin: https://app.example\r\n" + ua + "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Host: app.example\r\nX-Forwarded-Server: app.example\r\nConnection: Keep-Alive\r\n"},
		{"as Varnish sends it", ThroughVarnish("/ws"), line + key + v13 + "Origin: https://app.example\r\n" + ua + "X-Forwarded-For: 192.0.2.7\r\nAccept-Encoding: gzip\r\nX-Varnish: 3\r\n"},
		{"HTTP/1.0", HTTP10("/ws"), "GET /ws HTTP/1.0\r\nHost: h:1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" + key + v13},
		{"POST", ByMethod("POST", "/ws"), "POST /ws HTTP/1.1\r\nHost: h:1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" + key + v13 + "Content-Length: 0\r\n"},
		{"HEAD", ByMethod("HEAD", "/ws"), "HEAD /ws HTTP/1.1\r\nHost: h:1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" + key + v13},
		{"a browser", PlainGet("/ws"), line + ua + "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\nUpgrade-Insecure-Requests: 1\r\nConnection: keep-alive\r\n"},
		{"version 8", Version8("/ws"), line + "Upgrade: websocket\r\nConnection: Upgrade\r\n" + key + "Sec-WebSocket-Version: 8\r\n"},
		{"no key", NoKey("/ws"), line + "Upgrade: websocket\r\nConnection: Upgrade\r\n" + v13},
		{"two keys", TwoKeys("/ws"), line + "Upgrade: websocket\r\nConnection: Upgrade\r\n" + key + v13 + key},
		{"bad key", BadKey("/ws"), line + "Upgrade: websocket\r\nConnection: Upgrade\r\n" + v13 + "Sec-WebSocket-Key: c2hvcnQ=\r\n"},
		{"foreign origin", Foreign("/ws"), line + "Upgrade: websocket\r\nConnection: Upgrade\r\n" + key + v13 + "Origin: https://attacker.example\r\n" + ua},
		{"split", SplitConnection("/ws"), line + "Upgrade: websocket\r\n" + key + v13 + "Connection: keep-alive\r\nConnection: Upgrade\r\n"},
		{"odd case", OddCase("/ws"), line + "uPGRADE: WebSocket\r\nCONNECTION: uPGRADE\r\nsec-websocket-KEY: " + Key + "\r\nSEC-WEBSOCKET-VERSION: 13\r\n"},
		{"lists", TokenLists("/ws"), line + key + v13 + "Connection: keep-alive , Upgrade\r\nUpgrade: h2c, websocket\r\n"},
		{"an empty item", EmptyItem("/ws"), line + "Upgrade: websocket\r\n" + key + v13 + "Connection: keep-alive, ,Upgrade\r\n"},
	} {
		if got := string(row.r.Bytes(Target{Addr: "h:1"})); got != row.want+"\r\n" {
			t.Errorf("%s:\ngot  %q\nwant %q", row.rule, got, row.want+"\r\n")
		}
	}
}

func TestKeyIsOne(t *testing.T) {
	if raw, err := base64.StdEncoding.DecodeString(Key); err != nil || len(raw) != 16 {
		t.Errorf("%q, %v: the key is base64 of 16 bytes (RFC 6455 §4.1 item 7)", raw, err)
	}
}

func TestCheckAccept(t *testing.T) {
	// The key and the accept value are those of RFC 6455 §1.3.
	r := NoKey("/").With(Field{"sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="})
	offer := r.With(Field{"Sec-WebSocket-Protocol", "chat, superchat"}, Field{"Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"})
	const accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
	header := func(more ...string) http.Header {
		h := http.Header{"Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Sec-Websocket-Accept": {accept}}
		for i := 0; i < len(more); i += 2 {
			h.Del(more[i])
			if more[i+1] != "" {
				h.Set(more[i], more[i+1])
			}
		}
		return h
	}
	for _, row := range []struct {
		rule  string
		r     Request
		h     http.Header
		fault string
	}{
		{"nothing at all", r, http.Header{}, "Upgrade is"},
		{"no Upgrade", r, header("Upgrade", ""), "Upgrade is"},
		{"another Upgrade", r, header("Upgrade", "h2c"), "Upgrade is"},
		{"no Connection", r, header("Connection", ""), "Connection is"},
		{"another Connection", r, header("Connection", "close"), "Connection is"},
		{"no accept", r, header("Sec-Websocket-Accept", ""), "Sec-WebSocket-Accept is"},
		{"the accept of another key", WebSocket("/"), header(), "Sec-WebSocket-Accept is"},
		{"a subprotocol that was not offered", r, header("Sec-Websocket-Protocol", "chat"), "not offered"},
		{"another subprotocol than offered", offer, header("Sec-Websocket-Protocol", "cha"), "not offered"},
		{"an extension that was not offered", r, header("Sec-Websocket-Extensions", "permessage-deflate; x"), "not offered"},
		{"right", r, header(), ""},
		{"right in any case, in a list", r, header("Upgrade", "WebSocket", "Connection", "keep-alive, upgrade"), ""},
		{"what was offered", offer, header("Sec-Websocket-Protocol", "superchat", "Sec-Websocket-Extensions", "permessage-deflate; server_no_context_takeover"), ""},
	} {
		err := CheckAccept(row.r, row.h)
		if (err == nil) != (row.fault == "") || err != nil && !strings.Contains(err.Error(), row.fault) {
			t.Errorf("%s: %v, want %q", row.rule, err, row.fault)
		}
	}
}

func TestHandshakeReportsAWrongAccept(t *testing.T) {
	target, _ := record(t, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: no\r\n\r\n")
	res, err := Handshake(patient(t), target, WebSocket("/ws"))
	if err != nil || res.Status != 101 || res.Err == nil || !strings.Contains(res.Err.Error(), "Sec-WebSocket-Accept") {
		t.Errorf("got %d, Err %v, error %v", res.Status, res.Err, err)
	}
}

func TestEarlyDataIsInTheSamePacket(t *testing.T) {
	target, got := record(t, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
	if _, err := Handshake(patient(t), target, WebSocket("/ws"), Frame{Opcode: OpText, Payload: []byte("Hello")}); err != nil {
		t.Fatal(err)
	}
	if s := <-got; !strings.HasSuffix(string(s.bytes), "\r\n\r\n\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58") {
		t.Errorf("the server read %q", s.bytes)
	}
}
