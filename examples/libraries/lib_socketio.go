package main

import (
	"net/http"

	"github.com/zishang520/socket.io/servers/socket/v3"
	"github.com/zishang520/socket.io/v3/pkg/types"
)

func socketioApp(deflate bool) (http.Handler, error) {
	options := socket.DefaultServerOptions()
	options.SetMaxHttpBufferSize(2 * longest)
	if deflate {
		options.SetPerMessageDeflate(&types.PerMessageDeflate{Threshold: 1})
	}
	server := socket.NewServer(nil, options)
	err := server.On("connection", func(clients ...any) {
		c := clients[0].(*socket.Socket)
		t := talkOver(wire{
			send: func(_ bool, p []byte) error { return c.Emit("m", string(p)) },
			end: func(int) error { // the code is the server's affair
				go c.Disconnect(true)
				return nil
			},
		})
		failed("listener", c.On("m", func(args ...any) {
			if p, ok := args[0].(string); ok {
				failed("message", t.message(true, []byte(p)))
			}
		}))
		failed("listener", c.On("disconnect", func(...any) { t.over() }))
	})
	return server.ServeHandler(options), err
}
