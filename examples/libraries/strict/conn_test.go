package strict

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	coder "github.com/coder/websocket"

	"github.com/quietws/quietws/core/probetest"
)

func TestDeflated(t *testing.T) {
	for _, row := range []struct {
		answer string
		want   Deflate
		limits bool
		bad    bool
	}{
		{"", Deflate{}, false, false},
		{"permessage-deflate", Deflate{On: true, Takeover: true}, false, false},
		{"permessage-deflate; server_no_context_takeover; client_no_context_takeover", Deflate{On: true}, false, false},
		{"permessage-deflate; client_no_context_takeover; server_max_window_bits=10", Deflate{On: true, Takeover: true}, false, false},
		{"permessage-deflate; client_max_window_bits=10", Deflate{On: true, Takeover: true}, true, false},
		{"permessage-deflate; lzma", Deflate{}, false, true},
		{"x-webkit-deflate-frame", Deflate{}, false, true},
		{"permessage-deflate, permessage-deflate", Deflate{}, false, true},
	} {
		if d, limited, err := deflated(row.answer); (err != nil) != row.bad || err == nil && (d != row.want || limited != row.limits) {
			t.Errorf("%q: %+v, %v, %v", row.answer, d, limited, err)
		}
	}
}

// What a client sends comes back as it was, and ends with the code that it sent.
func TestConn(t *testing.T) {
	for _, mode := range []coder.CompressionMode{coder.CompressionDisabled, coder.CompressionContextTakeover, coder.CompressionNoContextTakeover} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ws, err := coder.Accept(w, r, &coder.AcceptOptions{CompressionMode: mode, CompressionThreshold: 1})
			if err != nil {
				return
			}
			ws.SetReadLimit(MaxMessage)
			for {
				kind, p, err := ws.Read(r.Context())
				if err != nil {
					return
				}
				if err := ws.Write(r.Context(), kind, p); err != nil {
					return
				}
			}
		}))
		c, err := Dial(context.Background(), server.Listener.Addr().String(), nil, Handshake{Path: "/", Deflate: true})
		if err != nil {
			t.Fatal(err)
		}
		if want := mode != coder.CompressionDisabled; c.Compresses() != want {
			t.Errorf("mode %d: compresses %v", mode, c.Compresses())
		}
		text := []byte(strings.Repeat("all work and no play ", 1<<14))
		for i, n := range []int{1, 7, 125, 126, 1 << 16, len(text)} {
			if err := c.Send(probetest.OpText, text[:n], 1+i%3); err != nil {
				t.Fatal(err)
			}
			if m, err := c.Next(); err != nil || m.Opcode != probetest.OpText || !bytes.Equal(m.Payload, text[:n]) {
				t.Fatalf("mode %d: %d bytes come back as %d, %v", mode, n, len(m.Payload), err)
			}
		}
		if err := c.Control(probetest.OpPing, []byte("!")); err != nil {
			t.Fatal(err)
		}
		if m, err := c.Next(); err != nil || m.Opcode != probetest.OpPong || string(m.Payload) != "!" {
			t.Errorf("mode %d: a ping is answered by %v, %v", mode, m, err)
		}
		if err := c.Goodbye(4001); err != nil {
			t.Fatal(err)
		}
		if m, err := c.Next(); err != nil || m.Code() != 4001 {
			t.Errorf("mode %d: the close frame is answered by %v, %v", mode, m, err)
		}
		if _, err := c.Next(); err != io.EOF {
			t.Errorf("mode %d: after the close frame: %v", mode, err)
		}
		if err := c.Send(probetest.OpText, nil, 1); err != ErrClosed {
			t.Errorf("mode %d: a message after the close frame: %v", mode, err)
		}
		_ = c.Close()
		server.Close()
	}
}

func TestMask(t *testing.T) {
	for n := range 20 {
		b := slices.Repeat([]byte{0}, n)
		mask(b, 0x3d21fa37)
		for i, c := range b {
			if want := [4]byte{0x37, 0xfa, 0x21, 0x3d}[i%4]; c != want {
				t.Fatalf("%d bytes: byte %d is %#x, want %#x", n, i, c, want)
			}
		}
	}
}
