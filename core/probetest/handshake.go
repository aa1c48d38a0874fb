package probetest

import (
	"context"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Key is the Sec-WebSocket-Key of every handshake here: base64 of 16 bytes.
const Key = "cXVpZXR3cy1wcm9iZS0xNg=="

// ForeignOrigin is the Origin of a page that does not belong to the server.
const ForeignOrigin = "https://attacker.example"

// WebSocket is a handshake as in RFC 6455 §4.1, without Origin, so not from a browser.
// [Request.With] and [Request.Without] change it.
func WebSocket(path string) Request {
	return Request{Path: path, Header: []Field{
		{"Upgrade", "websocket"}, {"Connection", "Upgrade"},
		{"Sec-WebSocket-Key", Key}, {"Sec-WebSocket-Version", "13"},
	}}
}

// Handshake sends r and the frames of follow in the same packet, and reads the answer. If
// the server accepts, [CheckAccept] verifies the answer, its error is [Result.Err], and
// the session is closed with code 1000. If the server refuses, the connection ends as
// [Request.End] says.
func Handshake(ctx context.Context, t Target, r Request, follow ...Frame) (Result, error) {
	w, err := open(ctx, t)
	if err != nil {
		return Result{}, err
	}
	defer w.close()
	if err := w.upgrade(t, r, follow); err != nil {
		return w.res, err
	}
	switch {
	case w.res.Err != nil:
		return w.res, nil
	case w.res.Status != http.StatusSwitchingProtocols:
		return w.finish(r.End)
	}
	return w.goodbye(1000)
}

// upgrade sends a handshake and reads and verifies the answer.
func (w *wire) upgrade(t Target, r Request, follow []Frame) error {
	raw := r.Bytes(t)
	for _, f := range follow {
		raw = append(raw, f.Bytes()...)
	}
	if err := w.write(raw); err != nil {
		return err
	}
	if err := w.answer(r.method()); err != nil {
		return err
	}
	if w.res.Status == http.StatusSwitchingProtocols {
		w.res.Err = CheckAccept(r, w.res.Header)
	}
	return nil
}

// CheckAccept verifies the header of a 101 answer to r, as RFC 6455 §4.1 requires of a
// client: Upgrade, Connection, Sec-WebSocket-Accept (computed as in §4.2.2
// item 5.4), and no extension or subprotocol that was not offered.
func CheckAccept(r Request, h http.Header) error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("probetest: "+format, args...)) }
	offered := http.Header{}
	for _, f := range r.Header {
		offered.Add(f.Name, f.Value)
	}
	if got := h.Values("Upgrade"); len(got) != 1 || !strings.EqualFold(got[0], "websocket") {
		bad("Upgrade is %q in the answer, not websocket", got)
	}
	if !lists(h.Values("Connection"), "upgrade") {
		bad("Connection is %q in the answer and does not list Upgrade", h.Values("Connection"))
	}
	sum := sha1.Sum([]byte(offered.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	if want, got := base64.StdEncoding.EncodeToString(sum[:]), h.Values("Sec-WebSocket-Accept"); len(got) != 1 || got[0] != want {
		bad("Sec-WebSocket-Accept is %q, not %q", got, want)
	}
	for _, name := range []string{"Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol"} {
		for _, v := range h.Values(name) {
			token, _, _ := strings.Cut(v, ";")
			if !lists(offered.Values(name), strings.TrimSpace(token)) {
				bad("%s is %q, which was not offered", name, v)
			}
		}
	}
	return errors.Join(errs...)
}

// lists reports whether one of the comma-separated lists has token, in any
// letter case; parameters after a semicolon do not count.
func lists(values []string, token string) bool {
	for item := range strings.SplitSeq(strings.Join(values, ","), ",") {
		item, _, _ = strings.Cut(item, ";")
		if strings.EqualFold(strings.TrimSpace(item), token) {
			return true
		}
	}
	return false
}

// Handshakes that a proxy has changed, or that RFC 6455 §4.2.1 forbids. Each changes one
// thing of [WebSocket].

// NoUpgrade is a handshake through a proxy that removed Upgrade, a hop-by-hop field
// (RFC 9110 §7.6.1), and its name in Connection.
func NoUpgrade(path string) Request {
	r := WebSocket(path).Without("Upgrade", "Connection")
	return r.With(Field{"Connection", "keep-alive"})
}

// NoConnection is a handshake through a proxy that removed Connection only.
func NoConnection(path string) Request { return WebSocket(path).Without("Connection") }

// ThroughNginx is a browser's handshake as nginx passes it on with only proxy_pass set:
// HTTP/1.0, Connection: close, no Upgrade, and the Host of the upstream instead of the
// browser's.
func ThroughNginx(path string) Request {
	r := WebSocket(path).Without("Upgrade", "Connection")
	r.Proto = "HTTP/1.0"
	r.Header = append([]Field{{"Connection", "close"}}, r.Header...)
	return r.With(Field{"Origin", "https://app.example"}, Field{"User-Agent", browser})
}

// ThroughApache is a browser's handshake as Apache's ProxyPass passes it on
// without upgrade=websocket (seen with 2.4.71).
func ThroughApache(path string) Request {
	return WebSocket(path).Without("Upgrade", "Connection").With(
		Field{"Origin", "https://app.example"}, Field{"User-Agent", browser}, Field{"X-Forwarded-For", "192.0.2.7"},
		Field{"X-Forwarded-Host", "app.example"}, Field{"X-Forwarded-Server", "app.example"}, Field{"Connection", "Keep-Alive"})
}

// ThroughVarnish is a browser's handshake as Varnish passes it on without pipe (seen
// with 7.1).
func ThroughVarnish(path string) Request {
	return WebSocket(path).Without("Upgrade", "Connection").With(
		Field{"Origin", "https://app.example"}, Field{"User-Agent", browser}, Field{"X-Forwarded-For", "192.0.2.7"},
		Field{"Accept-Encoding", "gzip"}, Field{"X-Varnish", "3"})
}

// HTTP10 is a handshake over HTTP/1.0 with its Upgrade still there.
func HTTP10(path string) Request {
	r := WebSocket(path)
	r.Proto = "HTTP/1.0"
	return r
}

// ByMethod is a handshake with a method other than GET.
func ByMethod(method, path string) Request {
	r := WebSocket(path)
	r.Method = method
	if method == "POST" {
		r = r.With(Field{"Content-Length", "0"})
	}
	return r
}

// PlainGet is a browser that opens the address as a page.
func PlainGet(path string) Request {
	return Request{Path: path, Header: []Field{
		{"User-Agent", browser}, {"Accept", "text/html,application/xhtml+xml,*/*;q=0.8"},
		{"Upgrade-Insecure-Requests", "1"}, {"Connection", "keep-alive"},
	}}
}

// Version8 is a handshake of a draft of 2011 (RFC 6455 §4.4).
func Version8(path string) Request {
	return WebSocket(path).Without("Sec-WebSocket-Version").With(Field{"Sec-WebSocket-Version", "8"})
}

// NoKey is a handshake without Sec-WebSocket-Key.
func NoKey(path string) Request { return WebSocket(path).Without("Sec-WebSocket-Key") }

// TwoKeys is a handshake with Sec-WebSocket-Key twice (RFC 6455 §11.3.1).
func TwoKeys(path string) Request {
	return WebSocket(path).With(Field{"Sec-WebSocket-Key", Key})
}

// BadKey is a handshake whose key is not base64 of 16 bytes.
func BadKey(path string) Request {
	return NoKey(path).With(Field{"Sec-WebSocket-Key", "c2hvcnQ="})
}

// Foreign is a handshake from a page of [ForeignOrigin].
func Foreign(path string) Request {
	return WebSocket(path).With(Field{"Origin", ForeignOrigin}, Field{"User-Agent", browser})
}

// Handshakes that look unusual but are legal.

// SplitConnection has two Connection lines (RFC 9110 §5.3).
func SplitConnection(path string) Request {
	return WebSocket(path).Without("Connection").With(Field{"Connection", "keep-alive"}, Field{"Connection", "Upgrade"})
}

// OddCase has names and tokens in odd letter case (RFC 6455 §4.2.1 items 3, 4).
func OddCase(path string) Request {
	return Request{Path: path, Header: []Field{
		{"uPGRADE", "WebSocket"}, {"CONNECTION", "uPGRADE"},
		{"sec-websocket-KEY", Key}, {"SEC-WEBSOCKET-VERSION", "13"},
	}}
}

// TokenLists has more tokens than needed, as Firefox and some proxies send them, and
// spaces where RFC 9110 §5.6.1 allows them.
func TokenLists(path string) Request {
	return WebSocket(path).Without("Connection", "Upgrade").With(
		Field{"Connection", "keep-alive , Upgrade"}, Field{"Upgrade", "h2c, websocket"})
}

// EmptyItem has an empty item in a list, which a recipient must ignore (RFC
// 9110 §5.6.1.2). gorilla/websocket 1.5.3 refuses it.
func EmptyItem(path string) Request {
	return WebSocket(path).Without("Connection").With(Field{"Connection", "keep-alive, ,Upgrade"})
}

const browser = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
