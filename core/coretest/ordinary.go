package coretest

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/quietws/quietws/core/probetest"
)

// Ask is one of [Ordinary]: the bytes of one request, or of several sent at once.
type Ask struct{ Name, Raw string }

// endless reports whether some servers do not see the end of the head of a: fasthttp waits
// for it as long as the client does.
func (a Ask) endless() bool { return !strings.Contains(a.Raw, "\r\n\r\n") }

// Ordinary returns ordinary and odd requests that an application answers byte for byte the
// same with and without quietws, except for Date. None is for a path of the guard.
// [Ask.Answer] sends one of them to a server. The application should have
//
//	GET  /          a short text
//	GET  /page      a text of some hundred bytes, with an ETag
//	any  /echo      the body of the request
//	POST /form      the fields of the form, and the size of its file
//	GET  /redirect  302 to /page
//	GET  /stream    three flushed lines
//	GET  /error     the framework's own way to answer 500
//	GET  /panic     a panic
//	GET  /ws        WebSocket: it echoes
//
// and no other route, so that its answers to unknown requests are compared too.
func Ordinary() []Ask {
	get := func(target string, fields ...string) string { return ask("GET "+target+" HTTP/1.1", "", fields...) }
	post := func(target, body string, fields ...string) string {
		return ask("POST "+target+" HTTP/1.1", body, fields...)
	}
	handshake := func(target string, fields ...string) string {
		return get(target, append([]string{"Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}, fields...)...)
	}
	const chunked = "Transfer-Encoding: chunked"
	multipart := "--b\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nhello\r\n" +
		"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f.txt\"\r\nContent-Type: text/plain\r\n\r\n" +
		strings.Repeat("x", 3000) + "\r\n--b--\r\n"
	return []Ask{
		{"a page", get("/page")},
		{"the root", get("/")},
		{"HEAD", ask("HEAD /page HTTP/1.1", "")},
		{"a query", get("/page?q=a&q=b%20c;d")},
		{"no such page", get("/no/such/page")},
		{"HEAD of no such page", ask("HEAD /no/such/page HTTP/1.1", "")},
		{"the wrong method", ask("DELETE /page HTTP/1.1", "")},
		{"OPTIONS", ask("OPTIONS /page HTTP/1.1", "")},
		{"OPTIONS of the server", ask("OPTIONS * HTTP/1.1", "")},
		{"TRACE", ask("TRACE /page HTTP/1.1", "")},
		{"CONNECT", ask("CONNECT localhost:443 HTTP/1.1", "")},
		{"a method of its own", ask("PURGE /page HTTP/1.1", "")},
		{"a method in lower case", ask("get /page HTTP/1.1", "")},
		{"a body", post("/echo", "a body", "Content-Length: 6")},
		{"an empty body", post("/echo", "", "Content-Length: 0")},
		{"a chunked body", post("/echo", "3\r\nabc\r\n4;ext=1\r\ndefg\r\n0\r\n\r\n", chunked)},
		{"a trailer", post("/echo", "3\r\nabc\r\n0\r\nX-Sum: 6\r\n\r\n", chunked, "Trailer: X-Sum")},
		{"a large body", post("/echo", strings.Repeat("0123456789", 10_000), "Content-Length: 100000")},
		{"Expect: 100-continue", post("/echo", "a body", "Content-Length: 6", "Expect: 100-continue")},
		{"PUT", ask("PUT /echo HTTP/1.1", "a body", "Content-Length: 6")},
		{"GET with a body", get("/echo", "Content-Length: 6") + "a body"},
		{"a form", post("/form", "note=hello&x=%26", "Content-Type: application/x-www-form-urlencoded", "Content-Length: 16")},
		{"a multipart form", post("/form", multipart, "Content-Type: multipart/form-data; boundary=b",
			"Content-Length: "+strconv.Itoa(len(multipart)))},
		{"half a multipart form", post("/form", "--b\r\nContent-Dis", "Content-Type: multipart/form-data; boundary=b", "Content-Length: 16")},
		{"HTTP/1.0", "GET /page HTTP/1.0\r\n\r\n"},
		{"HTTP/1.0 that stays", "GET /page HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"},
		{"Connection: close", get("/page", "Connection: close")},
		{"two at once", get("/page") + get("/echo")},
		{"the absolute form", get("http://localhost/page")},
		{"two slashes", get("//page")},
		{"a slash at the end", get("/page/")},
		{"dots", get("/no/../page")},
		{"an escaped letter", get("/%70age")},
		{"an escaped slash", get("/pa%2Fge")},
		{"a bad escape", get("/pa%zzge")},
		{"a semicolon", get("/page;v=1")},
		{"a condition", get("/page", `If-None-Match: "1"`)},
		{"a range", get("/page", "Range: bytes=0-3")},
		{"Accept-Encoding", get("/page", "Accept-Encoding: gzip, br")},
		{"a preflight", ask("OPTIONS /echo HTTP/1.1", "", "Origin: https://other.example", "Access-Control-Request-Method: PUT")},
		{"what browsers send", get("/page", "User-Agent: Mozilla/5.0", "Accept: */*", "Cookie: a=1; b=2", "Authorization: Basic Og==", "DNT: 1")},
		{"what proxies add", get("/page", "X-Forwarded-For: 192.0.2.7, 10.0.0.1", "X-Forwarded-Proto: https", "Forwarded: for=192.0.2.7", "Via: 1.1 x")},
		{"a long field", get("/page", "X-Long: "+strings.Repeat("x", 3000))},
		{"a redirect", get("/redirect")},
		{"a stream", get("/stream")},
		{"an error", get("/error")},
		{"a panic", get("/panic")},
		{"a prober on a page", get("/page", "User-Agent: kube-probe/1.30")},
		{"a prober on no page", get("/no/such/page", "User-Agent: ELB-HealthChecker/2.0")},
		{"no Host", "GET /page HTTP/1.1\r\n\r\n"},
		{"two Hosts", get("/page", "Host: other.example")},
		{"an invalid Content-Length", post("/echo", "a body", "Content-Length: six")},
		{"two lengths", post("/echo", "a body", "Content-Length: 6", "Content-Length: 5")},
		{"a folded field", get("/page", "X-Fold: a\r\n b")},
		{"bare line feeds", "GET /page HTTP/1.1\nHost: localhost\n\n"},
		{"Upgrade: h2c", get("/page", "Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABkAAQAAP__")},
		{"a session", handshake("/ws")},
		{"a session of a browser", handshake("/ws", "Origin: http://localhost", "Accept-Encoding: gzip, deflate",
			"Sec-WebSocket-Protocol: other, chat", "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits")},
		{"a page of another origin", handshake("/ws", "Origin: https://other.example")},
		{"a handshake for a page", handshake("/page")},
		{"a handshake for no page", handshake("/no/such/page")},
		{"a browser on the WebSocket route", get("/ws", "User-Agent: Mozilla/5.0")},
		{"POST on the WebSocket route", post("/ws", "a body", "Content-Length: 6")},
		{"a handshake without its Upgrade", get("/ws", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")},
		{"version 8", strings.Replace(handshake("/ws"), "Version: 13", "Version: 8", 1)},
	}
}

func ask(line, body string, fields ...string) string {
	return strings.Join(append([]string{line, "Host: localhost"}, fields...), "\r\n") + "\r\n\r\n" + body
}

// dateLine is the only line in which two answers may differ.
var dateLine = regexp.MustCompile(`(?m)^Date: [^\r\n]*\r\n`)

// Answer sends a on nc and returns all that the server answers until it closes, without
// Date. After an accepted handshake it also sends a text and a close frame. It closes nc.
func (a Ask) Answer(nc net.Conn) ([]byte, error) {
	defer func() { _ = nc.Close() }()
	if err := nc.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return nil, err
	}
	go func() { // a refusal may come before all is sent
		_, _ = io.WriteString(nc, a.Raw)
		if a.endless() {
			closeWrite(nc)
		}
	}()
	var all bytes.Buffer
	back := bufio.NewReader(io.TeeReader(nc, &all))
	method, _, _ := strings.Cut(a.Raw, " ")
	res, err := http.ReadResponse(back, &http.Request{Method: method})
	for err == nil && res.StatusCode == http.StatusContinue {
		res, err = http.ReadResponse(back, &http.Request{Method: method})
	}
	switch {
	case err != nil: // it closed, or the answer is not HTTP: the rest is read either way
	case res.StatusCode == http.StatusSwitchingProtocols:
		frames := append(probetest.Frame{Opcode: probetest.OpText, Payload: []byte("to and fro")}.Bytes(),
			probetest.CloseFrame(1000, "").Bytes()...)
		if _, err := nc.Write(frames); err != nil {
			return nil, err
		}
	default:
		// Only after the full answer: to a server the end of the stream is a client that
		// left, and Gin's Stream stops then.
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		closeWrite(nc)
	}
	_, err = io.Copy(io.Discard, back)
	return dateLine.ReplaceAll(all.Bytes(), nil), ended(err)
}

func closeWrite(nc net.Conn) {
	if cw, ok := nc.(interface{ CloseWrite() error }); ok {
		_ = cw.CloseWrite()
	}
}

// ended is nil if the server has closed, in whatever way.
func ended(err error) error {
	if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
		return err
	}
	return nil
}

// SameAnswers sends each of [Ordinary] to the server at the address bare and to those of
// with, whose keys are names, and compares the answers. OPTIONS * is left out: from this
// machine it is a health check of the platform, which the guard answers.
func SameAnswers(t testing.TB, bare string, with map[string]string) {
	t.Helper()
	answer := func(a Ask, addr string) []byte {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		got, err := a.Answer(nc)
		if err != nil {
			t.Errorf("%s: %v after %.400q", a.Name, err, got)
		}
		return got
	}
	for _, a := range Ordinary() {
		if strings.HasPrefix(a.Raw, "OPTIONS * ") {
			continue
		}
		want := answer(a, bare)
		for name, addr := range with {
			if got := answer(a, addr); !bytes.Equal(got, want) {
				t.Errorf("%s, %s: answered\n%.600q\nwithout quietws\n%.600q", a.Name, name, got, want)
			}
		}
	}
}
