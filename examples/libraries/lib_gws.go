package main

import (
	"bytes"
	"net/http"

	"github.com/lxzan/gws"
)

// gwsEvents are the callbacks of gws.
type gwsEvents struct{ gws.BuiltinEventHandler }

func gwsApp(deflate bool) (http.Handler, error) {
	upgrader := gws.NewUpgrader(gwsEvents{}, &gws.ServerOption{
		// ServerContextTakeover breaks the client's inflating after a pong, which 1.8.9
		// takes into its window too.
		PermessageDeflate: gws.PermessageDeflate{Enabled: deflate, ClientContextTakeover: true, Threshold: 1},
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := upgrader.Upgrade(w, r)
		if err != nil {
			failed("upgrade", err)
			return
		}
		go c.ReadLoop() // as its README has it: the handler returns
	}), nil
}

func gwsKind(text bool) gws.Opcode {
	if text {
		return gws.OpcodeText
	}
	return gws.OpcodeBinary
}

func (gwsEvents) OnOpen(c *gws.Conn) {
	c.Session().Store("talk", talkOver(wire{
		send: func(text bool, p []byte) error { return c.WriteMessage(gwsKind(text), p) },
		fragments: func(text bool, p []byte) error {
			return c.WriteFile(gwsKind(text), bytes.NewReader(p)) // frames of 128 KiB
		},
		end: func(code int) error { return c.WriteClose(uint16(code), nil) },
	}))
}

func talkOf(c *gws.Conn) *talk {
	t, _ := c.Session().Load("talk")
	return t.(*talk)
}

func (gwsEvents) OnClose(c *gws.Conn, _ error) { talkOf(c).over() }

func (gwsEvents) OnPing(c *gws.Conn, p []byte) { _ = c.WritePong(p) }

func (gwsEvents) OnMessage(c *gws.Conn, m *gws.Message) {
	defer func() { _ = m.Close() }()
	if err := talkOf(c).message(m.Opcode == gws.OpcodeText, m.Bytes()); err != nil {
		_ = c.NetConn().Close()
	}
}
