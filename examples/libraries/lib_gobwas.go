package main

import (
	"compress/flate"
	"io"
	"net"
	"net/http"
	"sync"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsflate"
	"github.com/gobwas/ws/wsutil"
)

func gobwasApp(deflate bool) (http.Handler, error) {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		extension := wsflate.Extension{Parameters: wsflate.Parameters{ServerNoContextTakeover: true, ClientNoContextTakeover: true}}
		var upgrader ws.HTTPUpgrader
		if deflate {
			upgrader.Negotiate = extension.Negotiate
		}
		nc, _, _, err := upgrader.Upgrade(r, w)
		if err != nil {
			failed("upgrade", err)
			return
		}
		_, accepted := extension.Accepted()
		c := &gobwasConn{nc: nc, deflate: accepted}
		t := talkOver(wire{send: c.send, fragments: c.fragments, end: func(code int) error {
			c.closing = true
			return c.frames(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusCode(code), "")))
		}})
		defer t.end()
		defer func() { _ = nc.Close() }()
		c.read(t)
	}), nil
}

// gobwasConn has a lock around the writes of whole frames: gobwas/ws writes into
// the connection as it is.
type gobwasConn struct {
	nc      net.Conn
	mu      sync.Mutex
	deflate bool
	closing bool // the close frame which comes is an answer; of the reader's
}

func (c *gobwasConn) frames(frames ...ws.Frame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range frames {
		if err := ws.WriteFrame(c.nc, f); err != nil {
			return err
		}
	}
	return nil
}

// Write is for the answers of wsutil's control handler, a frame each.
func (c *gobwasConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nc.Write(p)
}

func (c *gobwasConn) frame(text bool, p []byte) (ws.Frame, error) {
	f := ws.NewBinaryFrame(p)
	if text {
		f = ws.NewTextFrame(p)
	}
	if !c.deflate {
		return f, nil
	}
	return wsflate.CompressFrame(f)
}

func (c *gobwasConn) send(text bool, p []byte) error {
	f, err := c.frame(text, p)
	if err != nil {
		return err
	}
	return c.frames(f)
}

func (c *gobwasConn) fragments(text bool, p []byte) error {
	f, err := c.frame(text, p)
	if err != nil {
		return err
	}
	half := len(f.Payload) / 2
	first, second := f, ws.NewFrame(ws.OpContinuation, true, f.Payload[half:])
	first.Payload, first.Header.Length, first.Header.Fin = f.Payload[:half], int64(half), false
	return c.frames(first, second)
}

// read reads messages until the session ends.
func (c *gobwasConn) read(t *talk) {
	var compressed wsflate.MessageState
	control := wsutil.ControlFrameHandler(c, ws.StateServerSide)
	rd := wsutil.Reader{Source: c.nc, State: ws.StateServerSide, OnIntermediate: control}
	if c.deflate {
		rd.State |= ws.StateExtended
		rd.Extensions = []wsutil.RecvExtension{&compressed}
	}
	inflate := wsflate.NewReader(nil, func(r io.Reader) wsflate.Decompressor { return flate.NewReader(r) })
	for {
		h, err := rd.NextFrame()
		if err != nil {
			return
		}
		if h.OpCode == ws.OpClose && c.closing {
			return
		}
		if h.OpCode.IsControl() {
			if err := control(h, &rd); err != nil {
				return
			}
			continue
		}
		var message io.Reader = &rd
		if compressed.IsCompressed() {
			inflate.Reset(&rd)
			message = inflate
		}
		p, err := io.ReadAll(message)
		if err != nil {
			return
		}
		if err := t.message(h.OpCode == ws.OpText, p); err != nil {
			return
		}
	}
}
