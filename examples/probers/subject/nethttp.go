package main

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/coder/websocket"

	"github.com/quietws/quietws/core"
)

func onNetHTTP(g *core.Guard) serves {
	mux := http.NewServeMux()
	for path, h := range plain {
		if path == "/" {
			path = "/{$}"
		}
		mux.Handle("GET "+path, h)
	}
	if g == nil {
		mux.HandleFunc("/ws", echoes)
		return alone(mux)
	}
	mux.Handle("/ws", g.Endpoint(http.HandlerFunc(echoes)))
	mux.HandleFunc("/panic", func(http.ResponseWriter, *http.Request) { panic(fault) })
	mux.Handle("/ws/panic", g.Endpoint(http.HandlerFunc(panics)))
	mux.Handle("/own/panic", g.Endpoint(http.HandlerFunc(panics)))
	return func(ctx context.Context, ln net.Listener) error {
		return g.Serve(ctx, &http.Server{Handler: g.Wrap(mux)}, ln)
	}
}

// alone serves a handler without quietws, with the timeout that Serve would set.
func alone(h http.Handler) serves {
	return func(_ context.Context, ln net.Listener) error {
		return (&http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}).Serve(ln)
	}
}

// fault is the handlers' panic value. None of it may reach a client.
const fault = "the handler's secret"

// echoes sends every message back until the client leaves or the server drains.
func echoes(w http.ResponseWriter, r *http.Request) {
	ws, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer func() { _ = ws.CloseNow() }()
	core.SessionOf(r.Context()).OnDrain(func() { _ = ws.Close(websocket.StatusGoingAway, "") })
	_ = echo(r.Context(), ws)
}

func echo(ctx context.Context, ws *websocket.Conn) error {
	for {
		kind, data, err := ws.Read(ctx)
		if err != nil {
			return err
		}
		if err := ws.Write(ctx, kind, data); err != nil {
			return err
		}
	}
}

// panics panics at the first message.
func panics(w http.ResponseWriter, r *http.Request) {
	ws, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	await(r.Context(), ws)
	panic(fault)
}

func await(ctx context.Context, ws *websocket.Conn) { _, _, _ = ws.Read(ctx) }
