// Package headtest has the head of a request, for tests of code that takes a head.
package headtest

import (
	"net/http"
	"net/netip"
	"strings"
)

// Head is a request with nothing but header fields. It keeps them as net/http does, so
// that benchmarks cost what a server pays.
type Head struct {
	header http.Header
	Asked  []string // the fields that were read, if not nil
}

func (h *Head) Method() string         { return "GET" }
func (h *Head) Path() string           { return "/" }
func (h *Head) Query() string          { return "" }
func (h *Head) Host() string           { return "example.com" }
func (h *Head) Proto() string          { return "HTTP/1.1" }
func (h *Head) Remote() netip.AddrPort { return netip.AddrPort{} }
func (h *Head) TLS() bool              { return false }
func (h *Head) Field(name string) string {
	if h.Asked != nil {
		h.Asked = append(h.Asked, name)
	}
	switch v := h.header[name]; len(v) {
	case 0:
		return ""
	case 1:
		return v[0]
	default:
		return strings.Join(v, ", ")
	}
}

// Of returns a GET of / with fields, which are names and values in turn, and with some
// fields that every client sends.
func Of(fields ...string) *Head {
	h := &Head{header: http.Header{"Accept": {"*/*"}, "Accept-Encoding": {"gzip, br"}, "X-Forwarded-For": {"192.0.2.7"}}}
	for i := 0; i+1 < len(fields); i += 2 {
		h.header.Add(fields[i], fields[i+1])
	}
	return h
}
