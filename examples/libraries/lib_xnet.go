package main

import (
	"net/http"

	"golang.org/x/net/websocket"
)

// xnetMessage is a message with its kind, which websocket.Message loses.
type xnetMessage struct {
	text bool
	p    []byte
}

var xnetCodec = websocket.Codec{
	Marshal: func(v any) ([]byte, byte, error) {
		m := v.(xnetMessage)
		if m.text {
			return m.p, websocket.TextFrame, nil
		}
		return m.p, websocket.BinaryFrame, nil
	},
	Unmarshal: func(p []byte, kind byte, v any) error {
		*v.(*xnetMessage) = xnetMessage{kind == websocket.TextFrame, p}
		return nil
	},
}

func xnetApp(bool) (http.Handler, error) {
	return websocket.Server{Handler: func(c *websocket.Conn) {
		closing := false
		t := talkOver(wire{
			send: func(text bool, p []byte) error { return xnetCodec.Send(c, xnetMessage{text, p}) },
			end:  func(code int) error { closing = true; return c.WriteClose(code) },
		})
		defer t.end()
		defer func() {
			if !closing { // Close sends another close frame; the connection is closed in any case
				_ = c.Close()
			}
		}()
		for {
			var m xnetMessage
			if err := xnetCodec.Receive(c, &m); err != nil {
				return
			}
			if err := t.message(m.text, m.p); err != nil {
				return
			}
		}
	}}, nil
}
