// Package head describes a request before any handler has run ([Head]), and decides
// whether it is a WebSocket handshake ([AsksToUpgrade]). Who sent it, package prober says
// by the same head; what is answered, package core decides.
package head

import (
	"net/netip"
	"strings"
)

// Head is the head of a request; core.Head documents what its methods return. It is an
// alias of an unnamed interface, so that packages need no conversion between their own.
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

// The header fields of a handshake, in the canonical form of net/textproto, as
// core.Head.Field expects it.
const (
	FieldUpgrade    = "Upgrade"
	FieldConnection = "Connection"
	FieldKey        = "Sec-Websocket-Key"
	FieldVersion    = "Sec-Websocket-Version"
	FieldOrigin     = "Origin"
)

// AsksToUpgrade reports whether h is a WebSocket handshake, or the rest of one after a
// proxy. Such a request is never a probe. Extended CONNECT is RFC 8441.
func AsksToUpgrade(h Head) bool {
	return h.Field(FieldKey) != "" ||
		ListsToken(h.Field(FieldUpgrade), "websocket") ||
		h.Method() == "CONNECT" && h.Field(":protocol") == "websocket"
}

// IsHTTP1 reports whether h came over HTTP/1.0 or HTTP/1.1.
func IsHTTP1(h Head) bool { return strings.HasPrefix(h.Proto(), "HTTP/1.") }

// ListsToken reports whether list, the value of a comma-separated header field
// (RFC 9110 §5.6.1), contains token in any letter case. token must be in lower case. An
// item of Upgrade may have a version: "websocket/13" (RFC 9110 §7.8) names a protocol
// other than the registered one, so it does not count.
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
