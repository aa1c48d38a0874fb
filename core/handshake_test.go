package core

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/head"
)

const goodKey = "dGhlIHNhbXBsZSBub25jZQ==" // RFC 6455 §1.3

// handshake is a good handshake of RFC 6455 §4.1 with changes.
func handshake(change ...func(*http.Request)) *http.Request {
	r := httptest.NewRequest("GET", "/ws", nil)
	r.Host = "example.com"
	r.Header = http.Header{
		"Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Sec-Websocket-Key": {goodKey}, "Sec-Websocket-Version": {"13"},
	}
	for _, c := range change {
		c(r)
	}
	return r
}

// with sets the lines of a field; without lines it removes the field.
func with(name string, lines ...string) func(*http.Request) {
	return func(r *http.Request) {
		if len(lines) == 0 {
			delete(r.Header, name)
			return
		}
		r.Header[name] = lines
	}
}

func proto(p string, major, minor int) func(*http.Request) {
	return func(r *http.Request) { r.Proto, r.ProtoMajor, r.ProtoMinor = p, major, minor }
}

func method(m string) func(*http.Request) { return func(r *http.Request) { r.Method = m } }

var (
	http10 = proto("HTTP/1.0", 1, 0)
	http2  = proto("HTTP/2.0", 2, 0)
)

func TestCheckHandshake(t *testing.T) {
	for _, row := range []struct {
		rule   string
		r      *http.Request
		reason event.Reason
		field  string
	}{
		{"a proxy removed Upgrade", handshake(with("Upgrade")), event.ReasonUpgradeStripped, "Upgrade"},
		{"a proxy removed both", handshake(with("Upgrade"), with("Connection")), event.ReasonUpgradeStripped, "Upgrade"},
		{"a proxy removed Connection", handshake(with("Connection")), event.ReasonUpgradeStripped, "Connection"},
		{"a proxy made it Connection: close", handshake(with("Upgrade"), with("Connection", "close")), event.ReasonUpgradeStripped, "Upgrade"},
		{"nginx's default: HTTP/1.0 and neither", handshake(http10, with("Upgrade"), with("Connection", "close")), event.ReasonUpgradeStripped, "Upgrade"},
		{"an upgrade to something else, with a key", handshake(with("Upgrade", "h2c")), event.ReasonUpgradeStripped, "Upgrade"},
		{"HTTP/2 has no Upgrade: only the key came through", handshake(http2, with("Upgrade"), with("Connection")), event.ReasonHTTP2, ""},
		{"extended CONNECT, RFC 8441", handshake(http2, method("CONNECT"), with(":protocol", "websocket"), with("Upgrade"), with("Connection"), with("Sec-Websocket-Key")), event.ReasonHTTP2, ""},
		{"HTTP/3", handshake(proto("HTTP/3.0", 3, 0)), event.ReasonHTTP2, ""},
		{"§4.2.1 item 1: HTTP/1.1 or higher", handshake(http10), event.ReasonHTTP10, ""},
		{"HTTP/1.0 without a key", handshake(http10, with("Sec-Websocket-Key")), event.ReasonHTTP10, ""},
		{"§4.2.1 item 1: a GET", handshake(method("POST")), event.ReasonBadMethod, ""},
		{"§4.2.1 item 1: a GET, not HEAD", handshake(method("HEAD")), event.ReasonBadMethod, ""},
		{"methods are case-sensitive", handshake(method("get")), event.ReasonBadMethod, ""},
		{"CONNECT over HTTP/1.1", handshake(method("CONNECT")), event.ReasonBadMethod, ""},
		{"a browser", handshake(with("Upgrade"), with("Connection", "keep-alive"), with("Sec-Websocket-Key"), with("Sec-Websocket-Version")), event.ReasonNotUpgrade, "Upgrade"},
		{"over HTTP/2 too", handshake(http2, with("Upgrade"), with("Connection"), with("Sec-Websocket-Key")), event.ReasonNotUpgrade, "Upgrade"},
		{"over HTTP/1.0 too", handshake(http10, with("Upgrade"), with("Connection"), with("Sec-Websocket-Key")), event.ReasonNotUpgrade, "Upgrade"},
		{"Upgrade is not in Connection, without a key", handshake(with("Connection", "keep-alive"), with("Sec-Websocket-Key")), event.ReasonNotUpgrade, "Connection"},
		{"§4.2.1 item 6: version 13", handshake(with("Sec-Websocket-Version", "8")), event.ReasonBadVersion, "Sec-Websocket-Version"},
		{"§4.2.1 item 6: a version at all", handshake(with("Sec-Websocket-Version")), event.ReasonBadVersion, "Sec-Websocket-Version"},
		{"a list of other versions", handshake(with("Sec-Websocket-Version", "8, 7")), event.ReasonBadVersion, "Sec-Websocket-Version"},
		{"013 is not 13", handshake(with("Sec-Websocket-Version", "013")), event.ReasonBadVersion, "Sec-Websocket-Version"},
		{"§4.2.1 item 5: a key", handshake(with("Sec-Websocket-Key")), event.ReasonMissingKey, "Sec-Websocket-Key"},
		{"§4.2.1 item 5: an empty key is missing", handshake(with("Sec-Websocket-Key", "")), event.ReasonMissingKey, "Sec-Websocket-Key"},
		{"§11.3.1: not more than once", handshake(with("Sec-Websocket-Key", goodKey, goodKey)), event.ReasonDuplicateKey, "Sec-Websocket-Key"},
		{"§11.3.1: nor as a list", handshake(with("Sec-Websocket-Key", goodKey+","+goodKey)), event.ReasonDuplicateKey, "Sec-Websocket-Key"},
		{"§11.3.1: an empty line counts", handshake(with("Sec-Websocket-Key", "", goodKey)), event.ReasonDuplicateKey, "Sec-Websocket-Key"},
		{"15 bytes", handshake(with("Sec-Websocket-Key", base64.StdEncoding.EncodeToString(make([]byte, 15)))), event.ReasonBadKey, "Sec-Websocket-Key"},
		{"17 bytes", handshake(with("Sec-Websocket-Key", base64.StdEncoding.EncodeToString(make([]byte, 17)))), event.ReasonBadKey, "Sec-Websocket-Key"},
		{"18 bytes: 24 letters as well", handshake(with("Sec-Websocket-Key", base64.StdEncoding.EncodeToString(make([]byte, 18)))), event.ReasonBadKey, "Sec-Websocket-Key"},
		{"without padding", handshake(with("Sec-Websocket-Key", strings.TrimRight(goodKey, "="))), event.ReasonBadKey, "Sec-Websocket-Key"},
		{"base64url", handshake(with("Sec-Websocket-Key", "-_-_-_-_-_-_-_-_-_-_-w==")), event.ReasonBadKey, "Sec-Websocket-Key"},
		{"no base64", handshake(with("Sec-Websocket-Key", "please let me in please!")), event.ReasonBadKey, "Sec-Websocket-Key"},

		{"as in RFC 6455", handshake(), event.NoReason, ""},
	} {
		reason, field := faultOf(httpHead{row.r})
		if reason != row.reason || field != row.field {
			t.Errorf("%s: %q (%s), want %q (%s)", row.rule, reason, field, row.reason, row.field)
		}
	}
}

// Every legal handshake is accepted, however odd. The libraries accept it too:
// librarytest has the same rows.
func TestCheckHandshakeOddities(t *testing.T) {
	for rule, r := range map[string]*http.Request{
		"letter case":                    handshake(with("Upgrade", "WebSocket"), with("Connection", "upgrade")),
		"capitals":                       handshake(with("Upgrade", "WEBSOCKET"), with("Connection", "UPGRADE")),
		"Firefox's list":                 handshake(with("Connection", "keep-alive, Upgrade")),
		"a list of protocols":            handshake(with("Upgrade", "h2c, websocket")),
		"websocket first":                handshake(with("Upgrade", "websocket,h2c")),
		"Connection on two lines":        handshake(with("Connection", "keep-alive", "Upgrade")),
		"Upgrade on two lines":           handshake(with("Upgrade", "h2c", "websocket")),
		"Connection: close, Upgrade":     handshake(with("Connection", "close, Upgrade")),
		"tabs and spaces":                handshake(with("Connection", "keep-alive\t,\t Upgrade \t")),
		"empty items of a list":          handshake(with("Connection", ", ,Upgrade,")),
		"a key with bits in its padding": handshake(with("Sec-Websocket-Key", "dGhlIHNhbXBsZSBub25jZR==")),
		"a key of zeros":                 handshake(with("Sec-Websocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==")),
		"subprotocols and extensions":    handshake(with("Sec-Websocket-Protocol", "chat", "superchat"), with("Sec-Websocket-Extensions", "permessage-deflate; client_max_window_bits")),
		"a foreign Origin":               handshake(with("Origin", "https://elsewhere.example")),
		"the version twice":              handshake(with("Sec-Websocket-Version", "13", "13")),
		"another path and a query":       handshake(func(r *http.Request) { r.URL.Path, r.URL.RawQuery = "/a/b", "x=1" }),
	} {
		if reason, field := faultOf(httpHead{r}); reason != event.NoReason {
			t.Errorf("%s: refused as %q (%s)", rule, reason, field)
		}
	}
}

// What only some libraries accept is for the library to refuse: see librarytest.
func TestCheckHandshakeLeavesToTheLibrary(t *testing.T) {
	for rule, r := range map[string]*http.Request{
		"the version twice on one line": handshake(with("Sec-Websocket-Version", "13, 13")),
		"a list of versions":            handshake(with("Sec-Websocket-Version", "8, 13")),
	} {
		if reason, field := faultOf(httpHead{r}); reason != event.NoReason {
			t.Errorf("%s: refused as %q (%s)", rule, reason, field)
		}
	}
}

// A request with several faults has the first one in the list: faults of a proxy come
// before faults of the client.
func TestCheckHandshakeOrder(t *testing.T) {
	faults := []struct {
		reason event.Reason
		inject func(*http.Request)
	}{
		{event.ReasonUpgradeStripped, with("Upgrade")}, // needs the key
		{event.ReasonHTTP10, http10},
		{event.ReasonBadMethod, method("PUT")},
		{event.ReasonNotUpgrade, with("Connection", "close")}, // with a key it is upgrade_stripped
		{event.ReasonBadVersion, with("Sec-Websocket-Version", "7")},
		{event.ReasonDuplicateKey, with("Sec-Websocket-Key", "a", "b")},
		{event.ReasonBadKey, with("Sec-Websocket-Key", "x")},
	}
	for i, first := range faults {
		if first.reason == event.ReasonNotUpgrade {
			continue
		}
		for _, second := range faults[i+1:] {
			r := handshake(second.inject, first.inject)
			want := first.reason
			if second.reason == event.ReasonNotUpgrade {
				want = event.ReasonUpgradeStripped
			}
			if got, _ := faultOf(httpHead{r}); got != want {
				t.Errorf("%q and %q: %q, want %q", first.reason, second.reason, got, want)
			}
		}
	}
	r := handshake(with("Sec-Websocket-Key"), with("Connection"), http10)
	if got, _ := faultOf(httpHead{r}); got != event.ReasonHTTP10 {
		t.Errorf("HTTP/1.0 without key and Connection: %q, want http_1_0", got)
	}
	r = handshake(with("Sec-Websocket-Key"), with("Sec-Websocket-Version", "8"))
	if got, _ := faultOf(httpHead{r}); got != event.ReasonBadVersion {
		t.Errorf("another version, without a key: %q, want bad_version: older drafts have other keys", got)
	}
}

func TestAsksToUpgrade(t *testing.T) {
	bare := func(change ...func(*http.Request)) *http.Request {
		return handshake(append([]func(*http.Request){with("Upgrade"), with("Connection"), with("Sec-Websocket-Key"), with("Sec-Websocket-Version")}, change...)...)
	}
	for _, row := range []struct {
		rule string
		r    *http.Request
		want bool
	}{
		{"an ordinary request", bare(), false},
		{"an upgrade to something else", bare(with("Upgrade", "h2c"), with("Connection", "Upgrade, HTTP2-Settings")), false},
		{"a version alone", bare(with("Sec-Websocket-Version", "13")), false},
		{"websocket/13 names another protocol", bare(with("Upgrade", "websocket/13")), false},
		{"CONNECT to a host", bare(method("CONNECT")), false},
		{"a GET with a field of that name", bare(with(":protocol", "websocket")), false},
		{"extended CONNECT for something else", bare(http2, method("CONNECT"), with(":protocol", "connect-udp")), false},
		{"Upgrade lists websocket", bare(with("Upgrade", "h2c, WebSocket")), true},
		{"Upgrade alone", bare(with("Upgrade", "websocket")), true},
		{"what a proxy left: the key", bare(with("Sec-Websocket-Key", goodKey)), true},
		{"even a bad key counts", bare(with("Sec-Websocket-Key", "x")), true},
		{"extended CONNECT", bare(http2, method("CONNECT"), with(":protocol", "websocket")), true},
		{"a prober's User-Agent changes nothing", handshake(with("User-Agent", "kube-probe/1.30")), true},
	} {
		if got := head.AsksToUpgrade(httpHead{row.r}); got != row.want {
			t.Errorf("%s: %v", row.rule, got)
		}
		if got := IsUpgrade(row.r); got != row.want {
			t.Errorf("IsUpgrade, %s: %v", row.rule, got)
		}
	}
}

// plainCheck is checkHandshake, written in the order of the list of reasons.
func plainCheck(r *http.Request) event.Reason {
	list := func(name, token string) bool {
		for _, line := range r.Header[name] {
			for item := range strings.SplitSeq(line, ",") {
				if strings.EqualFold(strings.Trim(item, " \t"), token) {
					return true
				}
			}
		}
		return false
	}
	upgrade, connection := list("Upgrade", "websocket"), list("Connection", "upgrade")
	keys := strings.Join(r.Header["Sec-Websocket-Key"], ", ")
	decoded, err := base64.StdEncoding.DecodeString(keys)
	for _, reason := range event.HandshakeRefused.Reasons() {
		holds := false
		switch reason {
		case event.ReasonUpgradeStripped:
			holds = r.ProtoMajor == 1 && keys != "" && (!upgrade || !connection)
		case event.ReasonHTTP2:
			holds = r.ProtoMajor != 1 && (keys != "" || upgrade || r.Method == "CONNECT" && r.Header.Get(":protocol") == "websocket")
		case event.ReasonHTTP10:
			holds = r.Proto == "HTTP/1.0" && upgrade
		case event.ReasonBadMethod:
			holds = r.Method != "GET"
		case event.ReasonNotUpgrade:
			holds = !upgrade || !connection
		case event.ReasonBadVersion:
			holds = strings.Join(r.Header["Sec-Websocket-Version"], ", ") != "13"
		case event.ReasonMissingKey:
			holds = keys == ""
		case event.ReasonDuplicateKey:
			holds = len(strings.Split(keys, ",")) > 1
		case event.ReasonBadKey:
			holds = err != nil || len(decoded) != 16 || strings.ContainsAny(keys, "\r\n")
		}
		if holds {
			return reason
		}
	}
	return event.NoReason
}

// FuzzCheckHandshake: the check agrees with a simple implementation of its rules. In
// librarytest it is compared with the libraries.
func FuzzCheckHandshake(f *testing.F) {
	f.Add("GET", byte(1), "websocket", "Upgrade", "13", goodKey, "", "")
	f.Add("GET", byte(0), "websocket", "Upgrade", "13", goodKey, "", "")
	f.Add("POST", byte(1), "h2c, websocket", "keep-alive", "8", "x", "Upgrade", goodKey)
	f.Add("GET", byte(2), "", "", "13", goodKey, "", "")
	f.Add("CONNECT", byte(2), "", "", "", "", "", "")
	f.Add("GET", byte(1), "WebSocket", "close, Upgrade", "13", "dGhlIHNhbXBsZSBub25jZR==", "", "")
	f.Fuzz(func(t *testing.T, m string, version byte, upgrade, connection, wsVersion, key, connection2, key2 string) {
		r := handshake(method(m), with("Upgrade", upgrade), with("Sec-Websocket-Version", wsVersion))
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
			http10(r)
		case 2:
			http2(r)
			if m == "CONNECT" {
				r.Header[":protocol"] = []string{"websocket"}
			}
		}
		got, field := faultOf(httpHead{r})
		if want := plainCheck(r); got != want {
			t.Fatalf("%q (%s), the simple implementation says %q: %s %s %q", got, field, want, m, r.Proto, r.Header)
		}
		if got != event.NoReason {
			if text := (&event.HandshakeError{Reason: got, Field: field}).Error(); len(text) > 100 {
				t.Fatalf("an error of %d bytes: %s", len(text), text)
			}
		}
	})
}

var originRows = []struct {
	rule, origin, host string
	patterns           []string
	want               bool
}{
	{"another host", "https://evil.example", "example.com", nil, false},
	{"another port is another host", "https://example.com:8443", "example.com", nil, false},
	{"a sandboxed page", "null", "example.com", nil, false},
	{"a page from a file", "file://", "example.com", nil, false},
	{"no URL", "http://[::1", "example.com", nil, false},
	{"a host with the same beginning", "https://example.com.evil.example", "example.com", nil, false},
	{"a host with the same end", "https://notexample.com", "example.com", nil, false},
	{"a user name that equals the host", "https://example.com@evil.example", "example.com", nil, false},
	{"a star does not match a slash, nor an absent label", "https://example.com", "api.example.com", []string{"*.example.com"}, false},
	{"a pattern for another scheme", "http://app.example.com", "api.example.com", []string{"https://app.example.com"}, false},
	{"a pattern without the port", "https://app.example.com:444", "api.example.com", []string{"app.example.com"}, false},
	{"an invalid pattern matches nothing", "https://app.example.com", "api.example.com", []string{"[app.example.com"}, false},
	{"another scheme's default port", "http://example.com", "example.com:443", nil, false},
	{"a default port is not for patterns", "https://example.com:443", "api.example.com", []string{"example.com"}, false},
	{"no browser", "", "example.com", nil, true},
	{"the default port in Host", "https://example.com", "example.com:443", nil, true},
	{"the default port in Origin", "http://example.com:80", "example.com", nil, true},
	{"the default port of an IPv6 address", "https://[::1]", "[::1]:443", nil, true},
	{"the whole Origin as a pattern", "null", "example.com", []string{"null"}, true},
	{"the same host", "https://example.com", "example.com", nil, true},
	{"the same host over another scheme", "http://example.com", "example.com", nil, true},
	{"letter case", "https://EXAMPLE.com", "example.COM", nil, true},
	{"the same port", "http://localhost:8080", "localhost:8080", nil, true},
	{"IPv6", "http://[::1]:8080", "[::1]:8080", nil, true},
	{"a pattern", "https://app.example.com", "api.example.com", []string{"other.example", "app.example.com"}, true},
	{"a star", "https://app.example.com", "api.example.com", []string{"*.example.com"}, true},
	{"a star matches dots", "https://a.b.example.com", "api.example.com", []string{"*.example.com"}, true},
	{"a pattern with a scheme", "https://app.example.com", "api.example.com", []string{"https://*.example.com"}, true},
	{"any scheme", "chrome-extension://abcdef", "api.example.com", []string{"*://abcdef"}, true},
	{"a pattern in other letter case", "https://App.Example.com", "api.example.com", []string{"HTTPS://app.EXAMPLE.com"}, true},
	{"pages from files, if they are allowed", "file://", "example.com", []string{"file://*"}, true},
	{"a star alone allows sandboxed pages", "null", "example.com", []string{"*"}, true},
}

// Every refusal is a complete answer with a constant text.
func TestRefusals(t *testing.T) {
	want := map[event.Reason]int{
		event.ReasonDraining: 503, event.ReasonSaturated: 503, event.ReasonUpgradeStripped: 426, event.ReasonHTTP2: 501, event.ReasonHTTP10: 426, event.ReasonBadMethod: 405,
		event.ReasonNotUpgrade: 426, event.ReasonBadVersion: 400, event.ReasonMissingKey: 400, event.ReasonDuplicateKey: 400, event.ReasonBadKey: 400, event.ReasonOriginForbidden: 403,
	}
	for reason, status := range want {
		a := refusal(reason)
		if a.Status != status {
			t.Errorf("%v: status %d, want %d", reason, a.Status, status)
		}
		header := make(http.Header)
		for _, f := range a.Header {
			if http.CanonicalHeaderKey(f.Name) != f.Name || len(header[f.Name]) > 0 {
				t.Errorf("%v: field %q is not canonical, or there twice", reason, f.Name)
			}
			header[f.Name] = f.Values
		}
		if header.Get("Content-Length") != strconv.Itoa(len(a.Body)) || a.Body == "" || header.Get("Cache-Control") != "no-store" {
			t.Errorf("%v: header %v for a body of %d bytes", reason, header, len(a.Body))
		}
		for field, at := range map[string]bool{
			"Upgrade":               status == 426,                                   // RFC 9110 §15.5.22
			"Connection":            status == 426 || reason == event.ReasonDraining, // RFC 9112 §9.6
			"Allow":                 status == 405,                                   // RFC 9110 §15.5.6
			"Sec-Websocket-Version": reason == event.ReasonBadVersion,
			"Retry-After":           status == 503,
		} {
			if (header.Get(field) != "") != at {
				t.Errorf("%v: %s is %q", reason, field, header.Get(field))
			}
		}
	}
	spread := make(map[string]bool)
	for range 200 {
		for _, f := range refusal(event.ReasonDraining).Header {
			if f.Name == "Retry-After" {
				spread[f.Values[0]] = true
			}
		}
	}
	if len(spread) < 2 {
		t.Error("all clients that are refused at a drain are asked to come back at the same time")
	}
}

// faultOf returns the first fault of a handshake and the header field that has it.
func faultOf(h Head) (event.Reason, string) {
	reason, inConnection := checkHandshake(h)
	return reason, faultyField(reason, inConnection)
}
