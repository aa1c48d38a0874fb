package fiberws

import (
	"bytes"
	"net/netip"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/utils"
	"github.com/valyala/fasthttp"

	"github.com/quietws/quietws/core"
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

func (h head) Remote() netip.AddrPort { return core.AddrPort(h.ctx.RemoteAddr()) }

func (h head) Field(name string) string {
	header := &h.ctx.Request.Header
	lines := header.PeekAll(name)
	if name == fiber.HeaderConnection && header.ConnectionClose() { // PeekAll then knows of "close" alone
		lines = nil
		header.VisitAll(func(key, value []byte) {
			if string(key) == name {
				lines = append(lines, bytes.Clone(value))
			}
		})
	}
	if len(lines) == 1 {
		return utils.UnsafeString(lines[0])
	}
	return string(bytes.Join(lines, []byte(", ")))
}
