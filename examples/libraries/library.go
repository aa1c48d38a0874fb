package main

import (
	"io"
	"log/slog"
	"net/http"

	"github.com/gofiber/fiber/v2"
)

// library is a WebSocket library and the application on it, which knows nothing
// of quietws.
type library struct {
	name string
	// path is where it is served, "/ws" if empty.
	path, query string
	// handler makes the application for net/http, Echo and Gin.
	handler func(deflate bool) (http.Handler, error)
	// fiber makes it for Fiber.
	fiber func(deflate bool) fiber.Handler

	dialect dialect
	// What it and its subprotocol have.
	deflate, fragmentsIn, fragmentsOut bool
	// npm: the clients are those of npm's socket.io-client, in one process of node.
	npm bool
	// codes are the close codes which the application can send: those of serverCodes
	// if nil.
	codes []int
}

func (l *library) route() string {
	if l.path == "" {
		return "/ws"
	}
	return l.path
}

// libraries are all, in the order of the table.
var libraries = []*library{
	{name: "gorilla/websocket", handler: gorillaApp, dialect: plain{}, deflate: true, fragmentsIn: true, fragmentsOut: true},
	{name: "coder/websocket", handler: coderApp, dialect: plain{}, deflate: true, fragmentsIn: true, fragmentsOut: true},
	{name: "gobwas/ws", handler: gobwasApp, dialect: plain{}, deflate: true, fragmentsIn: true, fragmentsOut: true},
	{name: "lxzan/gws", handler: gwsApp, dialect: plain{}, deflate: true, fragmentsIn: true, fragmentsOut: true},
	{name: "olahol/melody", handler: melodyApp, dialect: plain{}, deflate: true, fragmentsIn: true},
	{name: "centrifuge", handler: centrifugeApp, dialect: centrifugal{}, deflate: true, fragmentsIn: true},
	{name: "gqlgen, graphql-ws", handler: gqlgenApp, dialect: graphQL{subprotocol: "graphql-ws", start: "start", data: "data"}, deflate: true, fragmentsIn: true},
	{name: "gqlgen, graphql-transport-ws", handler: gqlgenApp, dialect: graphQL{subprotocol: "graphql-transport-ws", start: "subscribe", data: "next"}, deflate: true, fragmentsIn: true},
	{name: "socket.io", path: "/socket.io/", query: "?EIO=4&transport=websocket", handler: socketioApp, dialect: socketIO{}, deflate: true, fragmentsIn: true, codes: []int{}},
	{name: "socket.io, npm's client", path: "/socket.io/", handler: socketioApp, dialect: socketIO{}, npm: true, codes: []int{}},
	{name: "x/net/websocket", handler: xnetApp, dialect: plain{}},
	{name: "httputil.ReverseProxy", handler: proxyApp, dialect: plain{}, deflate: true, fragmentsIn: true, fragmentsOut: true},
	{name: "contrib/websocket", fiber: contribApp, dialect: plain{}, deflate: true, fragmentsIn: true, fragmentsOut: true},
	{name: "fasthttp/websocket", fiber: fasthttpApp, dialect: plain{}, deflate: true, fragmentsIn: true, fragmentsOut: true},
}

func libraryOf(name string) *library {
	for _, l := range libraries {
		if l.name == name {
			return l
		}
	}
	return nil
}

// inParts writes p to w in three parts.
func inParts(w io.Writer, p []byte) error {
	for n := 3; n > 0; n-- {
		part := p[:len(p)/n]
		p = p[len(part):]
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return nil
}

// failed logs what an application does when something goes wrong that should not.
func failed(what string, err error) {
	if err != nil {
		slog.Error(what, "err", err)
	}
}
