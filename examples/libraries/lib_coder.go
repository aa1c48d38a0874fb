package main

import (
	"net/http"

	coder "github.com/coder/websocket"
)

func coderApp(deflate bool) (http.Handler, error) {
	options := &coder.AcceptOptions{CompressionThreshold: 1}
	if deflate {
		options.CompressionMode = coder.CompressionContextTakeover
	}
	kind := func(text bool) coder.MessageType {
		if text {
			return coder.MessageText
		}
		return coder.MessageBinary
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := coder.Accept(w, r, options)
		if err != nil {
			failed("upgrade", err)
			return
		}
		c.SetReadLimit(-1)
		ctx := r.Context()
		t := talkOver(wire{
			send: func(text bool, p []byte) error { return c.Write(ctx, kind(text), p) },
			fragments: func(text bool, p []byte) error {
				w, err := c.Writer(ctx, kind(text))
				if err != nil {
					return err
				}
				if err := inParts(w, p); err != nil {
					return err
				}
				return w.Close()
			},
			end: func(code int) error { return c.Close(coder.StatusCode(code), "") },
		})
		defer t.end()
		defer func() { _ = c.CloseNow() }()
		for {
			kind, p, err := c.Read(ctx)
			if err != nil {
				return
			}
			if err := t.message(kind == coder.MessageText, p); err != nil {
				return
			}
		}
	}), nil
}
