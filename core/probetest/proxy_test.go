package probetest

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

func TestPreambleBytes(t *testing.T) {
	v4 := [2]netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:4660"), netip.MustParseAddrPort("198.51.100.2:80")}
	v6 := [2]netip.AddrPort{netip.MustParseAddrPort("[2001:db8::1]:4660"), netip.MustParseAddrPort("[2001:db8::2]:80")}
	mapped := [2]netip.AddrPort{netip.MustParseAddrPort("[::ffff:192.0.2.1]:4660"), v4[1]}
	mixed := [2]netip.AddrPort{v4[0], v6[1]}
	const signature = "\r\n\r\n\x00\r\nQUIT\n"
	for _, row := range []struct {
		rule string
		p    Preamble
		of   [2]netip.AddrPort
		want string
	}{
		{"v1 with IPv4", ProxyV1, v4, "PROXY TCP4 192.0.2.1 198.51.100.2 4660 80\r\n"},
		{"v1 with IPv6", ProxyV1, v6, "PROXY TCP6 2001:db8::1 2001:db8::2 4660 80\r\n"},
		{"a mapped address is IPv4", ProxyV1, mapped, "PROXY TCP4 192.0.2.1 198.51.100.2 4660 80\r\n"},
		{"one family for both", ProxyV1, mixed, "PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 4660 80\r\n"},
		{"v1 UNKNOWN has no addresses", ProxyV1Unknown, v4, "PROXY UNKNOWN\r\n"},
		{"v2 LOCAL is 16 bytes: version 2, command 0, UNSPEC, length 0", ProxyV2Local, v4, signature + "\x20\x00\x00\x00"},
		{"v2 PROXY, AF_INET and STREAM, 12 bytes", ProxyV2, v4, signature + "\x21\x11\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x02\x12\x34\x00\x50"},
		{"v2 PROXY, AF_INET6 and STREAM, 36 bytes", ProxyV2, v6, signature + "\x21\x21\x00\x24" +
			"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" +
			"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x12\x34\x00\x50"},
	} {
		for range 2 { // the signature is shared and must stay as it is
			if got := string(row.p.Bytes(row.of[0], row.of[1])); got != row.want {
				t.Errorf("%s:\ngot  %q\nwant %q", row.rule, got, row.want)
			}
		}
	}
}

func TestPreamblesOnTheWire(t *testing.T) {
	target, got := record(t, "")
	res, err := SendPreamble(patient(t), target, ProxyV1, FIN)
	if err != nil {
		t.Fatal(err)
	}
	own := fmt.Sprintf("PROXY TCP4 127.0.0.1 127.0.0.1 %d %s\r\n", res.Local.Port(), strings.TrimPrefix(target.Addr, "127.0.0.1:"))
	if s := <-got; string(s.bytes) != own {
		t.Errorf("the server read %q, want the connection's own addresses %q", s.bytes, own)
	}

	target, got = record(t, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
	req := Request{Path: "/ws", Host: "x"}
	if res, err = PreambleRequest(patient(t), target, ProxyV2Local, req); err != nil || res.Status != 400 {
		t.Fatal(res.Status, err)
	}
	want := "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00GET /ws HTTP/1.1\r\nHost: x\r\n\r\n"
	if s := <-got; string(s.bytes) != want {
		t.Errorf("the server read %q, want %q", s.bytes, want)
	}
}
