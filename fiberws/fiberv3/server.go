package fiberws

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"

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
	switch {
	case name == fiber.HeaderUserAgent: // fasthttp keeps only one line of it, separately
		return utils.UnsafeString(m.Request.Header.UserAgent())
	case name == fiber.HeaderConnection && m.Request.Header.ConnectionClose(): // PeekAll then returns only "close"
		return kit.JoinField(name, fields(&m.Request.Header))
	}
	return kit.JoinLines(m.Request.Header.PeekAll(name), utils.UnsafeString)
}

// fields visits the lines of a header.
func fields(h *fasthttp.RequestHeader) func(func(name, value []byte)) {
	return func(visit func(name, value []byte)) {
		for name, value := range h.All() {
			visit(name, value)
		}
	}
}

func (m message) Streams() bool               { return m.Request.IsBodyStream() }
func (m message) SetConnection(value string)  { m.Request.Header.Set(fiber.HeaderConnection, value) }
func (m message) SetField(name, value string) { m.Response.Header.Set(name, value) }
func (m message) AnswerField(n string) string { return utils.UnsafeString(m.Response.Header.Peek(n)) }
func (m message) Reset()                      { m.Hijack(nil); m.Response.Reset() }

// attach wraps srv's handler and hooks.
func attach(a core.Adapter, srv *fasthttp.Server) {
	srv.Handler = handler(a, srv.Handler, srv.DisableKeepalive)
	srv.ErrorHandler = unread(a, kit.Chain(srv.ErrorHandler))
	srv.HeaderReceived = received(srv.HeaderReceived)
	srv.ConnState = kit.Chain(srv.ConnState, func(nc net.Conn, state fasthttp.ConnState) {
		if srv.MaxConnsPerIP == 0 { // with it fasthttp may have reused nc for another client
			a.ConnState(nc, http.ConnState(state))
		}
	})
	srv.Logger = kit.QuietPrinter(srv.Logger, "error when serving connection")
	srv.DisableKeepalive = false // or no hijack runs
}

func handler(a core.Adapter, next fasthttp.RequestHandler, closes bool) fasthttp.RequestHandler {
	var started sync.Once
	return func(ctx *fasthttp.RequestCtx) {
		started.Do(func() { a.ShuttingDownAfter(ctx.Done()) }) // Fiber's own hook comes when the shutdown is through
		m := message{ctx}
		returned := false
		defer a.Recover(m, &returned)
		q := a.BeginMessage(m)
		_ = q.Around(m, func() error { next(ctx); return nil }, nil)
		hold(&q, ctx)
		if closes && !ctx.Hijacked() {
			ctx.SetConnectionClose()
		}
		returned = true
	}
}

// hold lets the core close a hijacked connection when its handler has returned.
// fasthttp closes user values at that moment; the connection itself contrib leaves
// open.
func hold(q *core.Request, ctx *fasthttp.RequestCtx) {
	if ctx.Hijacked() {
		if h := q.Held(ctx.Conn()); h != nil {
			ctx.SetUserValue(core.MessageKey+"/held", h)
		}
	}
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

// received runs when a head has been read. If any line of Connection, or the last, is
// "close", fasthttp does not run a hijack. received removes the "close" from a request
// with an Upgrade.
func received(next func(*fasthttp.RequestHeader) fasthttp.RequestConfig) func(*fasthttp.RequestHeader) fasthttp.RequestConfig {
	return func(h *fasthttp.RequestHeader) (config fasthttp.RequestConfig) {
		if h.IsHTTP11() && h.ConnectionClose() && len(h.Peek(fiber.HeaderUpgrade)) > 0 {
			h.Set(fiber.HeaderConnection, kit.OnlyUpgrade(kit.JoinField(fiber.HeaderConnection, fields(h))))
		}
		if next != nil {
			config = next(h)
		}
		return config
	}
}
