package librarytest

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	coder "github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"

	"github.com/quietws/quietws/core"
)

const goodKey = "dGhlIHNhbXBsZSBub25jZQ==" // RFC 6455 §1.3

// handshake is a good handshake of RFC 6455 §4.1, with some fields replaced.
func handshake(change http.Header) *http.Request {
	r := httptest.NewRequest("GET", "/ws", nil)
	r.Host = "example.com"
	r.Header = http.Header{
		"Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Sec-Websocket-Key": {goodKey}, "Sec-Websocket-Version": {"13"},
	}
	for name, lines := range change {
		r.Header[name] = lines
	}
	return r
}

func quietGuard(tb testing.TB, config core.Config) *core.Guard {
	tb.Helper()
	config.Logger = discard
	g, err := core.New(config)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = g.Close() })
	return g
}

// answered is the status that the guard's Handler answers r with, 0 if it passes r on.
func answered(g *core.Guard, r *http.Request, origins core.Origins) int {
	w := httptest.NewRecorder()
	q := g.Adapter().AtEndpoint(r, "/ws", &origins)
	defer q.Done(0, nil)
	if !q.Answer(w, r) {
		return 0
	}
	return w.Code
}

// coderLets reports whether coder/websocket would upgrade r, from any origin.
// It then fails with 501, because there is no connection to hijack.
func coderLets(r *http.Request) bool {
	w := httptest.NewRecorder()
	_, _ = coder.Accept(w, r, &coder.AcceptOptions{InsecureSkipVerify: true})
	return w.Code == http.StatusNotImplemented
}

// gorillaLets is coderLets for gorilla/websocket, which then fails with 500.
func gorillaLets(r *http.Request) bool {
	w := httptest.NewRecorder()
	up := gorilla.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	_, _ = up.Upgrade(w, r, nil)
	return w.Code == http.StatusInternalServerError
}

// Every legal handshake, however odd, is accepted by core and by coder/websocket.
func TestOddHandshakes(t *testing.T) {
	g := quietGuard(t, core.Config{})
	for rule, change := range map[string]http.Header{
		"letter case":                    {"Upgrade": {"WebSocket"}, "Connection": {"upgrade"}},
		"capitals":                       {"Upgrade": {"WEBSOCKET"}, "Connection": {"UPGRADE"}},
		"Firefox's list":                 {"Connection": {"keep-alive, Upgrade"}},
		"a list of protocols":            {"Upgrade": {"h2c, websocket"}},
		"websocket first":                {"Upgrade": {"websocket,h2c"}},
		"Connection on two lines":        {"Connection": {"keep-alive", "Upgrade"}},
		"Upgrade on two lines":           {"Upgrade": {"h2c", "websocket"}},
		"Connection: close, Upgrade":     {"Connection": {"close, Upgrade"}},
		"tabs and spaces":                {"Connection": {"keep-alive\t,\t Upgrade \t"}},
		"empty items of a list":          {"Connection": {", ,Upgrade,"}},
		"a key with bits in its padding": {"Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZR=="}},
		"a key of zeros":                 {"Sec-Websocket-Key": {"AAAAAAAAAAAAAAAAAAAAAA=="}},
		"the version twice":              {"Sec-Websocket-Version": {"13", "13"}},
		"subprotocols and extensions":    {"Sec-Websocket-Protocol": {"chat", "superchat"}, "Sec-Websocket-Extensions": {"permessage-deflate; client_max_window_bits"}},
	} {
		r := handshake(change)
		if status := answered(g, r, core.Origins{}); status != 0 {
			t.Errorf("%s: refused with %d", rule, status)
		}
		if !coderLets(r) {
			t.Errorf("%s: coder/websocket refuses it; the row is wrong", rule)
		}
	}
}

// What only some libraries accept is for the library to refuse.
func TestHandshakesLeftToTheLibrary(t *testing.T) {
	g := quietGuard(t, core.Config{})
	for _, version := range []string{"13, 13", "8, 13"} {
		r := handshake(http.Header{"Sec-Websocket-Version": {version}})
		if status := answered(g, r, core.Origins{}); status != 0 || !gorillaLets(r) {
			t.Errorf("version %s: answered %d; gorilla/websocket lets it pass: %v", version, status, gorillaLets(r))
		}
	}
}

// plainList is a list of tokens in the usual form. On other forms libraries differ:
// gorilla/websocket refuses an empty item, which RFC 9110 §5.6.1.2 allows, and a quote,
// which is not a token.
var plainList = regexp.MustCompile(`^[A-Za-z0-9-]+(, ?[A-Za-z0-9-]+)*$`)

// FuzzHandshake: coder/websocket accepts what core accepts, and so does gorilla/websocket
// if the lists are plain.
func FuzzHandshake(f *testing.F) {
	f.Add("GET", byte(1), "websocket", "Upgrade", "13", goodKey, "", "")
	f.Add("GET", byte(0), "websocket", "Upgrade", "13", goodKey, "", "")
	f.Add("POST", byte(1), "h2c, websocket", "keep-alive", "8", "x", "Upgrade", goodKey)
	f.Add("GET", byte(1), "WebSocket", "close, Upgrade", "13", "dGhlIHNhbXBsZSBub25jZR==", "", "")
	g := quietGuard(f, core.Config{})
	f.Fuzz(func(t *testing.T, method string, version byte, upgrade, connection, wsVersion, key, connection2, key2 string) {
		r := handshake(http.Header{"Upgrade": {upgrade}, "Sec-Websocket-Version": {wsVersion}})
		r.Method = method
		for name, lines := range map[string][]string{"Connection": {connection, connection2}, "Sec-Websocket-Key": {key, key2}} {
			if lines[1] == "" {
				lines = lines[:1]
			}
			r.Header[name] = lines
		}
		for _, lines := range r.Header {
			for _, line := range lines {
				// No server passes on a line with these, or with white space around it.
				if strings.ContainsAny(line, "\r\n\x00") || strings.TrimSpace(line) != line {
					return
				}
			}
		}
		switch version % 3 {
		case 0:
			r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/1.0", 1, 0
		case 2:
			r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/2.0", 2, 0
		}
		if answered(g, r, core.Origins{}) != 0 {
			return
		}
		plain := true
		for _, name := range []string{"Connection", "Upgrade"} {
			for _, line := range r.Header[name] {
				plain = plain && plainList.MatchString(line)
			}
		}
		if !coderLets(r) || plain && !gorillaLets(r) {
			t.Fatalf("let pass, and a library refuses it: coder %v, gorilla %v: %q", coderLets(r), gorillaLets(r), r.Header)
		}
	})
}

// coderAllows reports whether coder/websocket allows this origin.
func coderAllows(origin, host string, patterns []string) bool {
	r := handshake(http.Header{"Origin": {origin}})
	r.Host = host
	w := httptest.NewRecorder()
	_, _ = coder.Accept(w, r, &coder.AcceptOptions{OriginPatterns: patterns})
	return w.Code != http.StatusForbidden
}

// FuzzOrigin compares Handler with coder/websocket: both allow the same origins, except
// that Handler also allows a default port and a pattern that is the whole Origin. A bad
// pattern is not compared, because coder stops at it and logs it.
func FuzzOrigin(f *testing.F) {
	for _, row := range [][3]string{
		{"https://evil.example", "example.com", ""}, {"https://example.com:8443", "example.com", ""}, {"null", "example.com", ""},
		{"file://", "example.com", ""}, {"http://[::1", "example.com", ""}, {"https://example.com.evil.example", "example.com", ""},
		{"https://example.com@evil.example", "example.com", ""}, {"https://example.com", "api.example.com", "*.example.com"},
		{"http://app.example.com", "api.example.com", "https://app.example.com"}, {"https://app.example.com:444", "api.example.com", "app.example.com"},
		{"", "example.com", ""}, {"https://example.com", "example.com", ""}, {"http://example.com", "example.com", ""},
		{"https://EXAMPLE.com", "example.COM", ""}, {"http://localhost:8080", "localhost:8080", ""}, {"http://[::1]:8080", "[::1]:8080", ""},
		{"https://a.b.example.com", "api.example.com", "*.example.com"}, {"https://app.example.com", "api.example.com", "https://*.example.com"},
		{"chrome-extension://abcdef", "api.example.com", "*://abcdef"}, {"https://App.Example.com", "api.example.com", "HTTPS://app.EXAMPLE.com"},
		{"file://", "example.com", "file://*"}, {"null", "example.com", "*"},
	} {
		f.Add(row[0], row[1], row[2])
	}
	g := quietGuard(f, core.Config{})
	f.Fuzz(func(t *testing.T, origin, host, pattern string) {
		if host == "" || strings.ContainsAny(pattern, `[\`) || strings.EqualFold(pattern, origin) {
			return
		}
		patterns := []string{pattern}
		if pattern == "" {
			patterns = nil
		}
		r := handshake(http.Header{"Origin": {origin}})
		r.Host = host
		got := answered(g, r, core.Origins{Patterns: patterns}) == 0
		want := coderAllows(origin, host, patterns)
		if bare := strings.NewReplacer(":80", "", ":443", ""); got && !want { // as a default port
			want = coderAllows(bare.Replace(origin), bare.Replace(host), patterns)
		}
		if got != want {
			t.Errorf("an origin of %q at %q with %q: let in %v, by coder/websocket %v", origin, host, patterns, got, want)
		}
	})
}
