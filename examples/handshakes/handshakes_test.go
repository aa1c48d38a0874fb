// Package handshakes sends odd but legal handshakes to WebSocket libraries, with and
// without quietws: what a library serves, it serves behind a guard too.
package handshakes

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/quietws/quietws/core"
)

// row is a handshake, described by how it differs from that of RFC 6455 §1.2.
type row struct {
	name   string
	target string   // "": /ws
	host   string   // "": app.example
	set    []string // whole lines; each replaces those with its name
	more   []string // lines to add
	change func(string) string
}

var rows = []row{
	{name: "as RFC 6455 has it"},
	{name: "names in lower case", change: lowerNames},
	{name: "names in upper case", change: upperNames},
	{name: "tokens in upper case", set: []string{"Upgrade: WEBSOCKET", "Connection: UPGRADE"}},
	{name: "a browser's list", set: []string{"Connection: keep-alive, Upgrade"}},
	{name: "Connection on two lines", set: []string{"Connection: keep-alive"}, more: []string{"Connection: Upgrade"}},
	{name: "Connection on two lines, Upgrade first", more: []string{"Connection: keep-alive"}},
	{name: "close, Upgrade", set: []string{"Connection: close, Upgrade"}},
	{name: "empty items", set: []string{"Connection: , ,Upgrade,"}},
	{name: "tabs and spaces", set: []string{"Connection: \tkeep-alive\t,\t Upgrade \t", "Upgrade: \twebsocket\t"}},
	{name: "no space after the colon", set: []string{"Connection:Upgrade", "Upgrade:websocket", "Sec-WebSocket-Version:13"}},
	{name: "a list of protocols", set: []string{"Upgrade: websocket, h2c"}},
	{name: "a list of protocols, websocket last", set: []string{"Upgrade: h2c, websocket"}},
	{name: "Upgrade on two lines", set: []string{"Upgrade: h2c"}, more: []string{"Upgrade: websocket"}},
	{name: "with HTTP2-Settings", set: []string{"Connection: Upgrade, HTTP2-Settings"}, more: []string{"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"}},
	{name: "the version twice", more: []string{"Sec-WebSocket-Version: 13"}},
	{name: "the version twice on one line", set: []string{"Sec-WebSocket-Version: 13, 13"}},
	{name: "a list of versions", set: []string{"Sec-WebSocket-Version: 8, 13"}},
	{name: "spaces around the version", set: []string{"Sec-WebSocket-Version:   13  "}},
	{name: "spaces around the key", set: []string{"Sec-WebSocket-Key: \t dGhlIHNhbXBsZSBub25jZQ==  "}},
	{name: "a key with bits in its padding", set: []string{"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR=="}},
	{name: "a key of zeros", set: []string{"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="}},
	{name: "a long host", host: strings.Repeat("a.", 120) + "example"},
	{name: "an IPv6 host", host: "[::1]:8080", more: []string{"Origin: http://[::1]:8080"}},
	{name: "a host with a dot at its end", host: "app.example.", more: []string{"Origin: https://app.example."}},
	{name: "the same origin", more: []string{"Origin: https://app.example"}},
	{name: "the same origin in capitals", host: "App.Example", more: []string{"Origin: https://APP.example"}},
	{name: "another origin", more: []string{"Origin: https://elsewhere.example"}},
	{name: "a sandboxed page", more: []string{"Origin: null"}},
	{name: "the default port of https", host: "app.example:443", more: []string{"Origin: https://app.example"}},
	{name: "the default port of http", host: "app.example:80", more: []string{"Origin: http://app.example"}},
	{name: "another port", host: "app.example:8443", more: []string{"Origin: https://app.example"}},
	{name: "two lines of subprotocols", more: []string{"Sec-WebSocket-Protocol: other", "Sec-WebSocket-Protocol: chat"}},
	{name: "a list of subprotocols", more: []string{"Sec-WebSocket-Protocol: other,chat , more"}},
	{name: "two lines of extensions", more: []string{"Sec-WebSocket-Extensions: x-own", "Sec-WebSocket-Extensions: permessage-deflate"}},
	{name: "an extension with parameters", more: []string{`Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits="10"; x=1, permessage-deflate`}},
	{name: "a query", target: "/ws?token=a%2Fb&x=%00&y=;"},
	{name: "an empty query", target: "/ws?"},
	{name: "an encoded letter in the path", target: "/%77s"},
	{name: "a slash at the end", target: "/ws/"},
	{name: "two slashes", target: "//ws"},
	{name: "an absolute target", target: "http://app.example/ws"},
	{name: "an absolute target of another host", target: "http://other.example/ws", more: []string{"Origin: https://other.example"}},
	{name: "a folded line", set: []string{"Connection: keep-alive,\r\n Upgrade"}},
	{name: "no body, and its length", more: []string{"Content-Length: 0"}},
	{name: "a long cookie", more: []string{"Cookie: c=" + strings.Repeat("x", 2000)}},
	{name: "an empty field", more: []string{"X-Empty:"}},
	{name: "a blank line first", change: func(s string) string { return "\r\n" + s }},
	{name: "lines that end in LF", change: func(s string) string { return strings.ReplaceAll(s, "\r\n", "\n") }},
	{name: "a prober's name", more: []string{"User-Agent: kube-probe/1.30"}},
	{name: "through a proxy", more: []string{"X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: https", "Via: 1.1 nearby"}},
	{name: "an expectation", more: []string{"Expect: 100-continue"}},
}

func lowerNames(s string) string {
	return regexp.MustCompile(`(?m)^[A-Za-z-]+:`).ReplaceAllStringFunc(s, strings.ToLower)
}

func upperNames(s string) string {
	return regexp.MustCompile(`(?m)^[A-Za-z-]+:`).ReplaceAllStringFunc(s, strings.ToUpper)
}

// bytes returns the request.
func (r row) bytes() []byte {
	target, host := r.target, r.host
	if target == "" {
		target = "/ws"
	}
	if host == "" {
		host = "app.example"
	}
	lines := []string{
		"GET " + target + " HTTP/1.1", "Host: " + host, "Upgrade: websocket", "Connection: Upgrade",
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13",
	}
	for _, line := range r.set {
		name, _, _ := strings.Cut(line, ":")
		for i := range lines {
			if strings.HasPrefix(lines[i], name+":") {
				lines[i] = line
			}
		}
	}
	s := strings.Join(append(lines, r.more...), "\r\n") + "\r\n\r\n"
	if r.change != nil {
		s = r.change(s)
	}
	return []byte(s)
}

// outcome is the result of a handshake: the answer without its date, and whether a
// message came back.
type outcome struct {
	status int
	answer string
	echoes bool
}

// ask sends raw, and a message if the answer is 101.
func ask(t *testing.T, addr string, raw []byte) (o outcome) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.Write(raw); err != nil {
		t.Fatal(err)
	}
	br := bufio.NewReader(c)
	var head bytes.Buffer
	res, err := http.ReadResponse(bufio.NewReader(io.TeeReader(oneByOne{br}, &head)), nil)
	if err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) { // its text has the client's port
			err = os.ErrDeadlineExceeded
		}
		return outcome{answer: err.Error()}
	}
	o.status = res.StatusCode
	o.answer = regexp.MustCompile(`(?i)\r\nDate: [^\r]*`).ReplaceAllString(head.String(), "")
	if o.status != http.StatusSwitchingProtocols {
		body, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10))
		o.answer += string(body)
		return o
	}
	// A masked text frame; its echo is the same frame without the mask.
	if _, err := c.Write([]byte{0x81, 0x82, 1, 2, 3, 4, 'h' ^ 1, 'i' ^ 2}); err != nil {
		t.Fatal(err)
	}
	frame := make([]byte, 4)
	_, err = io.ReadFull(br, frame)
	o.echoes = err == nil && frame[0]&0x8f == 0x81
	return o
}

// oneByOne reads no more than it is asked for.
type oneByOne struct{ *bufio.Reader }

func (r oneByOne) Read(p []byte) (int, error) { return r.Reader.Read(p[:min(len(p), 1)]) }

// better are the handshakes that open a session with quietws but not with the bare
// library, by the names of server and row.
var better = map[string]string{
	"Handler/echo/the default port of https":   "a port that is the scheme's own is no other host",
	"Handler/echo/the default port of http":    "the same",
	"Handler/gin/the default port of https":    "the same",
	"Handler/gin/the default port of http":     "the same",
	"Endpoint/contrib/Connection on two lines": "contrib reads the first line of Connection alone",
	"Handler/fiber/Connection on two lines":    "the same",
	"Endpoint/contrib/empty items":             "contrib stops at an empty item",
	"Handler/fiber/empty items":                "the same",
}

// betterOnNewer are those that some versions of the library's server serve and others do
// not: with quietws all do.
var betterOnNewer = map[string]string{
	"Endpoint/contrib/close, Upgrade": "fasthttp 1.78.0 answers 101 and does not hand the connection over, 1.52.0 does",
	"Handler/fiber/close, Upgrade":    "the same",
}

// ours are the handshakes that Handler refuses, on a route of its own, but
// contrib/websocket serves: it allows every page unless it is given a list.
var ours = map[string]bool{
	"Handler/fiber/another origin": true, "Handler/fiber/a sandboxed page": true, "Handler/fiber/another port": true,
}

// What a library serves, it serves behind Endpoint with the same bytes, and Handler
// serves what its own library does.
func TestOddHandshakes(t *testing.T) {
	for name, s := range servers {
		t.Run(name, func(t *testing.T) {
			bare, guarded := s(t, nil), s(t, newGuard(t))
			for _, r := range rows {
				full := name + "/" + r.name
				want, got := ask(t, bare, r.bytes()), ask(t, guarded, r.bytes())
				switch why := better[full]; {
				case why != "":
					if want.echoes || !got.echoes {
						t.Errorf("%s (%s): bare %d, with us %d", full, why, want.status, got.status)
					}
				case betterOnNewer[full] != "":
					if want.status != http.StatusSwitchingProtocols || !got.echoes {
						t.Errorf("%s (%s): bare %d, with us %d", full, betterOnNewer[full], want.status, got.status)
					}
				case ours[full]:
					if !want.echoes || got.status != http.StatusForbidden {
						t.Errorf("%s: bare %d, with us %d", full, want.status, got.status)
					}
				case got.status != want.status || got.echoes != want.echoes:
					t.Errorf("%s: bare %d, with us %d\n%q\n%q", full, want.status, got.status, want.answer, got.answer)
				case (want.echoes || strings.HasPrefix(name, "Endpoint/")) && got.answer != want.answer:
					t.Errorf("%s: bare\n%q\nwith us\n%q", full, want.answer, got.answer)
				}
			}
		})
	}
}

func newGuard(t *testing.T) *core.Guard {
	t.Helper()
	guard, err := core.New(core.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = guard.Close() })
	return guard
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}
