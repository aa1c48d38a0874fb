package probetest

import (
	"crypto/tls"
	"testing"
)

func TestTargetDefaults(t *testing.T) {
	for _, row := range []struct {
		rule, got, want string
	}{
		{"the WebSocket path is /ws", Target{}.path(), "/ws"},
		{"or what the caller says", Target{Path: "/live"}.path(), "/live"},
		{"the health path is /healthz", Target{}.health(), "/healthz"},
		{"or what the caller says", Target{Health: "/readyz"}.health(), "/readyz"},
		{"the server's name is the address's host", Target{Addr: "[::1]:443"}.config().ServerName, "::1"},
		{"or what the caller says", Target{Addr: "[::1]:443", TLS: &tls.Config{ServerName: "a.example"}}.config().ServerName, "a.example"},
	} {
		if row.got != row.want {
			t.Errorf("%s: got %q, want %q", row.rule, row.got, row.want)
		}
	}
}

func TestTargetKeepsTheCallersConfig(t *testing.T) {
	own := &tls.Config{NextProtos: []string{"h2"}, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	got := Target{Addr: "localhost:1", TLS: own}.config()
	if got.NextProtos != nil || got.ClientSessionCache != nil {
		t.Error("a protocol or a session is offered")
	}
	if own.NextProtos == nil || own.ClientSessionCache == nil || own.ServerName != "" {
		t.Error("the caller's config was changed")
	}
}
