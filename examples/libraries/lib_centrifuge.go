package main

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/centrifugal/centrifuge"
)

func centrifugeApp(deflate bool) (http.Handler, error) {
	node, err := centrifuge.New(centrifuge.Config{ClientQueueMaxSize: 256 << 20})
	if err != nil {
		return nil, err
	}
	node.OnConnecting(func(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		return centrifuge.ConnectReply{Credentials: &centrifuge.Credentials{UserID: "anybody"}}, nil
	})
	node.OnConnect(func(c *centrifuge.Client) {
		t := talkOver(wire{
			send: func(_ bool, p []byte) error {
				b, err := json.Marshal(string(p))
				if err != nil {
					return err
				}
				return c.Send(b)
			},
			end: func(code int) error {
				go c.Disconnect(centrifuge.Disconnect{Code: uint32(code)})
				return nil
			},
		})
		c.OnMessage(func(e centrifuge.MessageEvent) {
			var p string
			if err := json.Unmarshal(e.Data, &p); err != nil {
				failed("message", err)
				return
			}
			failed("message", t.message(true, []byte(p)))
		})
		c.OnDisconnect(func(centrifuge.DisconnectEvent) { t.over() })
	})
	if err := node.Run(); err != nil {
		return nil, err
	}
	return centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{
		MessageSizeLimit: 2 * longest, WriteTimeout: patience, Compression: deflate,
	}), nil
}
