package coretest

import (
	"testing"

	"github.com/quietws/quietws/core/event"
)

// uncovered are the classes and reasons that no row expects, and why. A key is a word, or
// a word on a port, on a framework, or on a port of a framework.
var uncovered = map[string]string{
	"status_unknown": "needs an error handler without an answer, with only the middleware",
	"limit":          "needs a limit of connections that the server itself answers, such as fasthttp's MaxConnsPerIP",
	"shutdown":       "needs the server's Close without its Shutdown, which Start cannot do",

	"plain tls_failed":         "there is no TLS",
	"plain tls_probe":          "there is no TLS",
	"plain version":            "there is no TLS",
	"plain client_certificate": "there is no TLS",
	"plain aborted":            "there is no TLS",
	"plain http_on_tls":        "there is no TLS",
	"plain http_2":             "HTTP/2 is negotiated under TLS",
	"tls tls_on_plain":         "the port is not plain",
	"Fiber http_2":             "fasthttp speaks HTTP/1.1",
	"Fiber unknown":            "fasthttp reports why it could not read a request",
	"Fiber nothing_written":    "fasthttp/websocket always answers after a hijack",
	"Fiber plain refused":      "fasthttp serves what net/http refuses itself, or calls it malformed",

	"Echo tls malformed":     "net/http does not report why it refused bytes inside TLS",
	"Echo tls too_large":     "net/http does not report why it refused bytes inside TLS",
	"Gin tls malformed":      "net/http does not report why it refused bytes inside TLS",
	"Gin tls too_large":      "net/http does not report why it refused bytes inside TLS",
	"net/http tls malformed": "net/http does not report why it refused bytes inside TLS",
	"net/http tls too_large": "net/http does not report why it refused bytes inside TLS",
}

// kinds are the events of r with the limit l.
func (r row) kinds(l *Limit) []kind {
	switch {
	case l.skips():
		return nil
	case r.fact == nil:
		return r.sees
	}
	w := *r.fact
	if l != nil && l.Instead != nil {
		w = l.Instead(w)
	}
	return []kind{{w.Class, w.Reason}}
}

// Some row expects every class and every reason, in plain text and under TLS on each
// framework. Exceptions are in uncovered.
func TestEveryClassAndReasonHasARow(t *testing.T) {
	needed := make(map[string]bool)
	for _, f := range []Framework{Echo(), Gin(), Fiber(), NetHTTP()} {
		expected := make(map[port]map[string]bool)
		for _, p := range []port{plain, secure} {
			expected[p] = make(map[string]bool)
		}
		for _, r := range rows() {
			r.variants(func(layer Layer, p port) {
				for _, k := range r.kinds(f.limit(r, layer, p)) {
					expected[p][k.class.String()], expected[p][k.reason.String()] = true, true
				}
			})
		}
		var words []string
		for _, c := range event.Classes() {
			words = append(words, c.String())
		}
		for r := event.NoReason + 1; r.String() != ""; r++ {
			words = append(words, r.String())
		}
		for p, has := range expected {
			for _, word := range words {
				if has[word] {
					continue
				}
				listed := false
				for _, key := range []string{word, p.String() + " " + word, f.Name + " " + word, f.Name + " " + p.String() + " " + word} {
					listed = listed || uncovered[key] != ""
					needed[key] = true
				}
				if !listed {
					t.Errorf("%s, %s: no row expects %s", f.Name, p, word)
				}
			}
		}
	}
	for key := range uncovered {
		if !needed[key] {
			t.Errorf("%q is covered but listed in uncovered", key)
		}
	}
}
