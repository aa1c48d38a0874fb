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

// Method implements core.Head.
func (h *Head) Method() string { return "GET" }

// Path implements core.Head.
func (h *Head) Path() string { return "/" }

// Query implements core.Head.
func (h *Head) Query() string { return "" }

// Host implements core.Head.
func (h *Head) Host() string { return "example.com" }

// Proto implements core.Head.
func (h *Head) Proto() string { return "HTTP/1.1" }

// Remote implements core.Head.
func (h *Head) Remote() netip.AddrPort { return netip.AddrPort{} }

// TLS implements core.Head.
func (h *Head) TLS() bool { return false }

// Field implements core.Head.
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
