// Package head is what is known of a request before any handler has run, and what of
// that makes it a WebSocket handshake.
package head

import (
	"net/netip"
	"strings"
)

// Head is what is known of a request; core.head says what its methods return. It has
// no name of its own, so that one room's is another's without a conversion.
type Head = interface {
	Method() string
	Path() string
	Query() string
	Host() string
	Proto() string
	Field(name string) string
	Remote() netip.AddrPort
	TLS() bool
}

// The header fields of a handshake, in the canonical form of net/textproto,
// which is the form that core.Head.Field takes.
const (
	FieldUpgrade    = "Upgrade"
	FieldConnection = "Connection"
	FieldKey        = "Sec-Websocket-Key"
	FieldVersion    = "Sec-Websocket-Version"
	FieldOrigin     = "Origin"
)

// AsksToUpgrade reports whether h is a WebSocket handshake, or what a proxy
// left of one. Such a request is never a probe. Extended CONNECT is RFC 8441.
func AsksToUpgrade(h Head) bool {
	return h.Field(FieldKey) != "" ||
		ListsToken(h.Field(FieldUpgrade), "websocket") ||
		h.Method() == "CONNECT" && h.Field(":protocol") == "websocket"
}

func IsHTTP1(h Head) bool { return strings.HasPrefix(h.Proto(), "HTTP/1.") }

// ListsToken reports whether list, the value of a comma-separated header field
// (RFC 9110 §5.6.1), has token in it, in any letter case. token is in lower
// case. For Upgrade a version may follow it: "websocket/13" (RFC 9110 §7.8)
// names another protocol than the registered one, so it does not count.
func ListsToken(list, token string) bool {
	for list != "" {
		var item string
		item, list, _ = strings.Cut(list, ",")
		item = strings.Trim(item, " \t")
		if len(item) == len(token) && strings.EqualFold(item, token) {
			return true
		}
	}
	return false
}
