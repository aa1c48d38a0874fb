package main

import (
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"

	fast "github.com/fasthttp/websocket"
	contrib "github.com/gofiber/contrib/websocket"
	"github.com/gofiber/fiber/v2"
	gorilla "github.com/gorilla/websocket"
)

// gorillaConn is what gorilla's and fasthttp's connections have.
type gorillaConn interface {
	ReadMessage() (kind int, p []byte, err error)
	WriteMessage(kind int, p []byte) error
	NextWriter(kind int) (io.WriteCloser, error)
	WriteControl(kind int, p []byte, deadline time.Time) error
	Close() error
}

// bufferSize is that of a writer: messages above it are fragmented.
const bufferSize = 4096

func gorillaApp(deflate bool) (http.Handler, error) {
	upgrader := gorilla.Upgrader{WriteBufferSize: bufferSize, EnableCompression: deflate}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			failed("upgrade", err)
			return
		}
		serveGorilla(c)
	}), nil
}

func contribApp(deflate bool) fiber.Handler {
	return contrib.New(func(c *contrib.Conn) { serveGorilla(c.Conn) }, contrib.Config{WriteBufferSize: bufferSize, EnableCompression: deflate})
}

func fasthttpApp(deflate bool) fiber.Handler {
	upgrader := fast.FastHTTPUpgrader{WriteBufferSize: bufferSize, EnableCompression: deflate}
	return func(c *fiber.Ctx) error {
		return upgrader.Upgrade(c.Context(), func(c *fast.Conn) { serveGorilla(c) })
	}
}

// serveGorilla is the application on one connection: a lock around the writes, as
// "one concurrent writer" has it.
func serveGorilla(c gorillaConn) {
	var mu sync.Mutex
	kind := func(text bool) int {
		if text {
			return gorilla.TextMessage
		}
		return gorilla.BinaryMessage
	}
	t := talkOver(wire{
		send: func(text bool, p []byte) error {
			mu.Lock()
			defer mu.Unlock()
			return c.WriteMessage(kind(text), p)
		},
		fragments: func(text bool, p []byte) error {
			mu.Lock()
			defer mu.Unlock()
			w, err := c.NextWriter(kind(text))
			if err != nil {
				return err
			}
			if err := inParts(w, p); err != nil {
				return err
			}
			return w.Close()
		},
		end: func(code int) error {
			body := binary.BigEndian.AppendUint16(nil, uint16(code))
			return c.WriteControl(gorilla.CloseMessage, body, time.Now().Add(time.Second))
		},
	})
	defer t.end()
	defer func() { _ = c.Close() }()
	for {
		kind, p, err := c.ReadMessage()
		if err != nil {
			return
		}
		if err := t.message(kind == gorilla.TextMessage, p); err != nil {
			return
		}
	}
}

// proxyApp is a ReverseProxy, in front of the application on a server without
// quietws.
func proxyApp(deflate bool) (http.Handler, error) {
	backend, err := gorillaApp(deflate)
	if err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	srv := &http.Server{Handler: backend, ReadHeaderTimeout: patience}
	go func() { failed("backend", srv.Serve(ln)) }()
	return httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: ln.Addr().String()}), nil
}
