package conn

import (
	"testing"

	"github.com/quietws/quietws/core/internal/conn/conntest"
)

// The first bytes that a server writes show what it answered without a handler.
func TestConnNotesTheFirstAnswer(t *testing.T) {
	g := newRecorder(t)
	for _, row := range []struct {
		rule   string
		writes []string
		status int
		more   uint32
	}{
		{"nothing", nil, 0, 0},
		{"an empty write", []string{""}, 0, 0},
		{"a status", []string{"HTTP/1.1 400 Bad Request\r\n"}, 400, 0},
		{"an empty write, then a status", []string{"", "HTTP/1.0 431 Too Large\r\n"}, 431, 0},
		{"the first of two", []string{"HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 500 Oh\r\n\r\n"}, 200, 0},
		{"net/http says why", []string{"HTTP/1.1 400 Bad Request: missing required Host header\r\n"}, 400, answerExplained},
		{"a text that begins the same way", []string{"HTTP/1.1 400 Bad Requests\r\n"}, 400, 0},
		{"no explanation on another status", []string{"HTTP/1.1 501 Not Impleme: x\r\n"}, 501, 0},
		{"a TLS handshake record", []string{"\x16\x03\x03\x00\x7a\x02"}, 0, answerTLS},
		{"a TLS alert", []string{"\x15\x03\x01\x00\x02\x02\x46"}, 0, answerTLS},
		{"a status out of range", []string{"HTTP/1.1 999 Oh\r\n"}, 0, answerOther},
		{"letters for a status", []string{"HTTP/1.1 abc Oh\r\n"}, 0, answerOther},
		{"another protocol", []string{"SSH-2.0-OpenSSH_9.2\r\n"}, 0, answerOther},
		{"less than a status line", []string{"HTTP/1.1 40"}, 0, answerOther},
		{"HTTP/2 frames", []string{"\x00\x00\x12\x04\x00\x00\x00\x00\x00"}, 0, answerOther},
	} {
		c := recorded(g, &conntest.Script{})
		for _, w := range row.writes {
			if _, err := c.Write([]byte(w)); err != nil {
				t.Fatal(err)
			}
		}
		f := c.evidence()
		flags := f.answer &^ uint32(answerStatus)
		if row.more == answerTLS { // the alert may be noted as well
			flags &= answerTLS
		} else if f.status() != row.status {
			t.Errorf("%s: status %d, want %d", row.rule, f.status(), row.status)
		}
		if flags != row.more {
			t.Errorf("%s: %#x, want %#x", row.rule, flags, row.more)
		}
		_ = c.Close()
	}
}
