package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// dialect is how a client says what the application understands.
type dialect interface {
	// protocol is the subprotocol, "" for none.
	protocol() string
	// window is how many echoes may be outstanding and still come in order.
	window() int
	// binary: messages need not be text.
	binary() bool
	// hello is what the client says first. Where code is not 0 and the dialect has
	// another way than a message for it, it makes the application close with code.
	hello(code int) []string
	// encode makes a message of a payload.
	encode(n int, payload []byte) []byte
	// decode takes a message apart.
	decode(m []byte) (heard, error)
}

// heard is what was in a message.
type heard struct {
	payloads [][]byte
	answers  []string // what the client must say to it
	ready    bool     // from now on the client may send payloads
}

// plain has no subprotocol: messages are what they are.
type plain struct{}

func (plain) protocol() string              { return "" }
func (plain) window() int                   { return 3 }
func (plain) binary() bool                  { return true }
func (plain) hello(int) []string            { return nil }
func (plain) encode(_ int, p []byte) []byte { return p }

func (plain) decode(m []byte) (heard, error) { return heard{payloads: [][]byte{m}, ready: true}, nil }

// centrifugal is centrifuge's JSON protocol: https://centrifugal.dev/docs/transports/client_protocol
type centrifugal struct{}

func (centrifugal) protocol() string   { return "" }
func (centrifugal) window() int        { return 3 }
func (centrifugal) binary() bool       { return false }
func (centrifugal) hello(int) []string { return []string{`{"id":1,"connect":{}}`} }

func (centrifugal) encode(_ int, p []byte) []byte {
	return fmt.Appendf(nil, `{"send":{"data":"%s"}}`, p)
}

func (centrifugal) decode(m []byte) (h heard, err error) {
	for line := range bytes.Lines(m) {
		var reply struct {
			ID    int
			Error json.RawMessage
			Push  *struct{ Message struct{ Data string } }
		}
		if err := json.Unmarshal(line, &reply); err != nil {
			return h, err
		}
		switch {
		case reply.Error != nil:
			return h, fmt.Errorf("centrifuge: %s", reply.Error)
		case reply.ID == 1:
			h.ready = true
		case reply.Push != nil && reply.Push.Message.Data != "":
			h.payloads = append(h.payloads, []byte(reply.Push.Message.Data))
		case reply.Push == nil:
			h.answers = append(h.answers, "{}")
		}
	}
	return h, nil
}

// graphQL is one of the two subprotocols of GraphQL.
type graphQL struct {
	subprotocol string
	start, data string // the types of messages that they call differently
}

func (g graphQL) protocol() string { return g.subprotocol }
func (graphQL) window() int        { return 1 } // operations run at the same time
func (graphQL) binary() bool       { return false }

func (g graphQL) hello(code int) []string {
	if code != 0 {
		return []string{fmt.Sprintf(`{"type":"connection_init","payload":{"code":%d}}`, code)}
	}
	return []string{`{"type":"connection_init"}`, fmt.Sprintf(`{"id":"pushes","type":%q,"payload":{"query":"subscription{m}"}}`, g.start)}
}

func (g graphQL) encode(n int, p []byte) []byte {
	return fmt.Appendf(nil, `{"id":"%d","type":%q,"payload":{"query":"query($m:String!){m(m:$m)}","variables":{"m":"%s"}}}`, n, g.start, p)
}

func (g graphQL) decode(m []byte) (h heard, err error) {
	var message struct {
		Type    string
		Payload json.RawMessage
	}
	if err := json.Unmarshal(m, &message); err != nil {
		return h, err
	}
	switch message.Type {
	case g.data:
		var payload struct{ Data struct{ M string } }
		if err := json.Unmarshal(message.Payload, &payload); err != nil {
			return h, err
		}
		if payload.Data.M == "" {
			return h, fmt.Errorf("%s: %s", g.subprotocol, message.Payload)
		}
		h.payloads = [][]byte{[]byte(payload.Data.M)}
	case "connection_ack":
		h.ready = true
	case "ping":
		h.answers = []string{`{"type":"pong"}`}
	case "ka", "complete", "pong", "connection_error": // the last comes before a close code of the application's
	default:
		return h, fmt.Errorf("%s: %.200s", g.subprotocol, m)
	}
	return h, nil
}

// socketIO is Socket.IO 5 over Engine.IO 4: https://socket.io/docs/v4/engine-io-protocol/
type socketIO struct{}

func (socketIO) protocol() string   { return "" }
func (socketIO) window() int        { return 3 }
func (socketIO) binary() bool       { return false }
func (socketIO) hello(int) []string { return nil } // the server speaks first

func (socketIO) encode(_ int, p []byte) []byte { return fmt.Appendf(nil, `42["m","%s"]`, p) }

func (socketIO) decode(m []byte) (h heard, err error) {
	text := string(m)
	switch {
	case strings.HasPrefix(text, "42"):
		var event []string
		if err := json.Unmarshal(m[2:], &event); err != nil {
			return h, err
		}
		if len(event) != 2 || event[0] != "m" {
			return h, fmt.Errorf("socket.io: %.200q", event)
		}
		h.payloads = [][]byte{[]byte(event[1])}
	case strings.HasPrefix(text, "0"):
		h.answers = []string{"40"}
	case strings.HasPrefix(text, "40"):
		h.ready = true
	case text == "2":
		h.answers = []string{"3"}
	case text == "1", text == "41", text == "6":
	default:
		return h, fmt.Errorf("socket.io: %.200s", m)
	}
	return h, nil
}
