package fiberws

import (
	"net"
	"net/netip"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/utils"
	"github.com/valyala/fasthttp"
)

// head is the core.Head of a request of fasthttp. Its strings are those of the
// request's buffers.
type head struct{ ctx *fasthttp.RequestCtx }

func (h head) Method() string { return utils.UnsafeString(h.ctx.Method()) }
func (h head) Path() string   { return utils.UnsafeString(h.ctx.URI().PathOriginal()) }
func (h head) Query() string  { return utils.UnsafeString(h.ctx.URI().QueryString()) }
func (h head) Host() string   { return utils.UnsafeString(h.ctx.Host()) }
func (h head) Proto() string  { return utils.UnsafeString(h.ctx.Request.Header.Protocol()) }
func (h head) TLS() bool      { return h.ctx.IsTLS() }

func (h head) Field(name string) string {
	header := &h.ctx.Request.Header
	if name == fiber.HeaderConnection && header.ConnectionClose() { // PeekAll then knows of "close" alone
		var lines []string
		header.VisitAll(func(key, value []byte) {
			if string(key) == name {
				lines = append(lines, string(value))
			}
		})
		return strings.Join(lines, ", ")
	}
	switch lines := header.PeekAll(name); len(lines) {
	case 0:
		return ""
	case 1:
		return utils.UnsafeString(lines[0])
	default:
		var all strings.Builder
		for i, line := range lines {
			if i > 0 {
				all.WriteString(", ")
			}
			all.Write(line)
		}
		return all.String()
	}
}

func (h head) Remote() netip.AddrPort {
	a, ok := h.ctx.RemoteAddr().(*net.TCPAddr)
	if !ok || a == nil || a.Port == 0 {
		return netip.AddrPort{}
	}
	ap := a.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
