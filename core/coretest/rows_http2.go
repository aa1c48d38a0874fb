package coretest

import (
	"bufio"
	"encoding/binary"
	"io"
	"strings"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/probetest"
)

// http2Rows: handshakes over HTTP/2 that no handler sees.
func http2Rows() []row {
	fails := func(name, rule, sends string, answer byte) row {
		return row{
			name: "http2/" + name, rule: rule, layers: attached, ports: secure, needs: HTTP2,
			sees: []kind{{event.HandshakeRefused, event.ReasonHTTP2}},
			run: func(e *env) {
				const n = 3
				for range n {
					c := e.dial("h2")
					if _, err := io.WriteString(c, h2Hello+sends); err != nil {
						e.Fatal(err)
					}
					e.awaitFrame(c, answer)
					_ = c.Close()
				}
				e.became(refused(event.ReasonHTTP2, 0), n)
			},
		}
	}
	extended := h2Headers(":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":path", "/ws", ":authority", "app.example",
		"sec-websocket-version", "13", "sec-websocket-key", probetest.Key)
	upgrade := h2Headers(":method", "GET", ":scheme", "https", ":path", "/ws", ":authority", "app.example",
		"upgrade", "websocket", "connection", "Upgrade", "sec-websocket-key", probetest.Key)
	return []row{
		fails("extended connect", "an extended CONNECT that the server did not offer (RFC 8441 §3) is a failed handshake, not a probe", extended, h2Reset),
		fails("upgrade", "Upgrade over HTTP/2 (RFC 9113 §8.2.2), which the server answers itself, is one too", upgrade, h2HeadersType),
		fails("reset", "HAProxy's reset of a stream that it never opened, which ends the connection, is one too", h2Frame(h2Reset, 0, 1, "\x00\x00\x00\x02"), h2GoAway),
	}
}

// The types of frames (RFC 9113 §6).
const (
	h2HeadersType  = 1
	h2Reset        = 3
	h2SettingsType = 4
	h2GoAway       = 7
)

// h2Hello is a client's preface with settings and the acknowledgement.
var h2Hello = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + h2Frame(h2SettingsType, 0, 0, "") + h2Frame(h2SettingsType, 1, 0, "")

func h2Frame(typ, flags byte, stream uint32, payload string) string {
	b := []byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), typ, flags}
	return string(binary.BigEndian.AppendUint32(b, stream)) + payload
}

// h2Headers is the header of stream 1 in literal fields (RFC 7541 §6.2.2), from names and
// values in turn.
func h2Headers(fields ...string) string {
	var b strings.Builder
	for i, s := range fields {
		if i%2 == 0 {
			b.WriteByte(0)
		}
		b.WriteByte(byte(len(s)))
		b.WriteString(s)
	}
	return h2Frame(h2HeadersType, 4, 1, b.String())
}

// awaitFrame reads frames until one of that type has come.
func (e *env) awaitFrame(c io.Reader, typ byte) {
	e.Helper()
	br := bufio.NewReader(c)
	for {
		var head [9]byte
		if _, err := io.ReadFull(br, head[:]); err != nil {
			e.Fatalf("no frame of type %d: %v", typ, err)
		}
		if _, err := br.Discard(int(head[0])<<16 | int(head[1])<<8 | int(head[2])); err != nil {
			e.Fatal(err)
		}
		if head[3] == typ {
			return
		}
	}
}
