package core

import (
	"net/netip"
	"strings"
)

// head is what is known of a request; core.head says what its methods return. It has
// no name of its own, so that one room's is another's without a conversion.
type head = interface {
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
	fieldUpgrade    = "Upgrade"
	fieldConnection = "Connection"
	fieldKey        = "Sec-Websocket-Key"
	fieldVersion    = "Sec-Websocket-Version"
	fieldOrigin     = "Origin"
)

// asksToUpgrade reports whether h is a WebSocket handshake, or what a proxy
// left of one. Such a request is never a probe. Extended CONNECT is RFC 8441.
func asksToUpgrade(h head) bool {
	return h.Field(fieldKey) != "" ||
		listsToken(h.Field(fieldUpgrade), "websocket") ||
		h.Method() == "CONNECT" && h.Field(":protocol") == "websocket"
}

func isHTTP1(h head) bool { return strings.HasPrefix(h.Proto(), "HTTP/1.") }

// listsToken reports whether list, the value of a comma-separated header field
// (RFC 9110 §5.6.1), has token in it, in any letter case. token is in lower
// case. For Upgrade a version may follow it: "websocket/13" (RFC 9110 §7.8)
// names another protocol than the registered one, so it does not count.
func listsToken(list, token string) bool {
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
