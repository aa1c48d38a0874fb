package fiberws

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/utils/v2"
	"github.com/valyala/fasthttp"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/kit"
)

// message is the core.Message of a request of fasthttp. Its strings share the
// request's buffers: they are valid until the handler returns.
type message struct{ *fasthttp.RequestCtx }

func (m message) Method() string  { return utils.UnsafeString(m.RequestCtx.Method()) }
func (m message) Path() string    { return utils.UnsafeString(m.URI().PathOriginal()) }
func (m message) Query() string   { return utils.UnsafeString(m.URI().QueryString()) }
func (m message) Host() string    { return utils.UnsafeString(m.RequestCtx.Host()) }
func (m message) Proto() string   { return utils.UnsafeString(m.Request.Header.Protocol()) }
func (m message) TLS() bool       { return m.IsTLS() }
func (m message) Head() core.Head { return m }

func (m message) Remote() netip.AddrPort { return kit.AddrPort(m.RemoteAddr()) }
func (m message) Status() int            { return m.Response.StatusCode() }

func (m message) Field(name string) string {
	return kit.Field(&m.Request.Header, name, utils.UnsafeString)
}

func (m message) Streams() bool               { return m.Request.IsBodyStream() }
func (m message) SetConnection(value string)  { m.Request.Header.Set(fiber.HeaderConnection, value) }
func (m message) SetField(name, value string) { m.Response.Header.Set(name, value) }
func (m message) AnswerField(n string) string { return utils.UnsafeString(m.Response.Header.Peek(n)) }
func (m message) Reset()                      { m.Hijack(nil); m.Response.Reset() }

// attach wraps srv's handler and hooks.
func attach(a core.Adapter, srv *fasthttp.Server) {
	srv.Handler = kit.Handler(a, srv.Handler, func(ctx *fasthttp.RequestCtx) core.Message { return message{ctx} }, srv.DisableKeepalive, true)
	srv.ErrorHandler = unread(a, kit.Chain(srv.ErrorHandler))
	srv.HeaderReceived = kit.Received(srv.HeaderReceived)
	srv.ConnState = kit.Chain(srv.ConnState, func(nc net.Conn, state fasthttp.ConnState) {
		if srv.MaxConnsPerIP == 0 { // with it fasthttp may have reused nc for another client
			a.ConnState(nc, http.ConnState(state))
		}
	})
	srv.Logger = kit.QuietPrinter(srv.Logger, "error when serving connection")
	srv.DisableKeepalive = false // or no hijack runs
}

// unread handles requests that fasthttp could not read.
func unread(a core.Adapter, refused func(*fasthttp.RequestCtx, error)) func(*fasthttp.RequestCtx, error) {
	return func(ctx *fasthttp.RequestCtx, err error) {
		head := errors.As(err, new(*fasthttp.ErrSmallBuffer))
		body := errors.Is(err, fasthttp.ErrBodyTooLarge) || errors.Is(err, fasthttp.ErrGetOnly) ||
			errors.As(err, new(fasthttp.ErrBrokenChunk)) || strings.HasPrefix(err.Error(), "cannot read multipart/form-data body")
		a.Unread(message{ctx}, err, core.ReadError{Head: head, Body: body}, func() { refused(ctx, err) })
	}
}
