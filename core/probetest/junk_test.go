package probetest

import (
	"bytes"
	"strings"
	"testing"
)

func TestJunkBytes(t *testing.T) {
	target := Target{Addr: "h:1"}
	got := map[string]string{}
	for _, j := range Junks() {
		got[j.Name] = string(j.Bytes(target))
		if !bytes.Equal(j.Bytes(target), j.Bytes(target)) {
			t.Errorf("%s differs from call to call", j.Name)
		}
	}
	for name, want := range map[string]string{
		"nul":               "GET / HTTP/1.1\r\nHost: h:1\r\nX-Nul: a\x00b\r\n\r\n",
		"bad-host":          "GET / HTTP/1.1\r\nHost: not a host\r\n\r\n",
		"two-hosts":         "GET / HTTP/1.1\r\nHost: h:1\r\nHost: other.example\r\n\r\n",
		"no-host":           "GET / HTTP/1.1\r\n\r\n",
		"transfer-encoding": "POST / HTTP/1.1\r\nHost: h:1\r\nTransfer-Encoding: foo\r\n\r\n",
		"expect":            "GET / HTTP/1.1\r\nHost: h:1\r\nExpect: foo\r\n\r\n",
		"http-3-0":          "GET / HTTP/3.0\r\nHost: h:1\r\n\r\n",
		"http-0-9":          "GET /\r\n\r\n",
		"method":            "PROPFIND / HTTP/1.1\r\nHost: h:1\r\n\r\n",
	} {
		if got[name] != want {
			t.Errorf("%s:\ngot  %q\nwant %q", name, got[name], want)
		}
	}
	if n := len(got["random"]); n != 512 {
		t.Errorf("random is %d bytes", n)
	}
	if got["random"][0] < 0x80 {
		t.Error("random begins like text or TLS")
	}
	if n := len(got["huge-header"]); n < 1<<20+4096 { // net/http allows 1 MiB and 4096 bytes
		t.Errorf("the huge header is %d bytes", n)
	}
	if n := strings.Count(got["many-fields"], "\r\nX-"); n != 10_000 {
		t.Errorf("%d fields", n)
	}
}

func TestH2PrefaceReadsEitherAnswer(t *testing.T) {
	for _, row := range []struct {
		rule, reply, body string
		status            int
	}{
		{"an HTTP/1 server refuses", "HTTP/1.1 505 HTTP Version Not Supported\r\nContent-Length: 0\r\n\r\n", "", 505},
		{"an HTTP/2 server sends SETTINGS", "\x00\x00\x00\x04\x00\x00\x00\x00\x00", "\x00\x00\x00\x04\x00\x00\x00\x00\x00", 0},
	} {
		t.Run(row.rule, func(t *testing.T) {
			target, got := record(t, row.reply)
			res, err := H2Preface(patient(t), target)
			if err != nil || res.Status != row.status || res.Body != row.body {
				t.Errorf("got %d %q, %v", res.Status, res.Body, err)
			}
			const want = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
			if s := <-got; string(s.bytes) != want {
				t.Errorf("the server read %q", s.bytes)
			}
		})
	}
}

func TestOptionsStarOnTheWire(t *testing.T) {
	target, got := record(t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	if res, err := OptionsStar(patient(t), target); err != nil || res.Status != 200 {
		t.Error(res, err)
	}
	if s := <-got; string(s.bytes) != "OPTIONS * HTTP/1.1\r\nHost: "+target.Addr+"\r\n\r\n" {
		t.Errorf("the server read %q", s.bytes)
	}
}
