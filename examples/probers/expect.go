package main

import (
	"bytes"
	"slices"
	"strings"

	"github.com/quietws/quietws/core/probetest"
)

// cut is the beginning of what is sent to a server, and how it ends.
type cut struct {
	what    *stream
	n       int
	end     probetest.End
	tls     bool // to a TLS port
	nethttp bool // to a server of net/http
}

// stream is what is cut.
type stream struct {
	name   string
	raw    []byte
	inside bool // the TLS that a TLS port has
}

func (c cut) sent() []byte { return c.what.raw[:c.n] }
func (c cut) whole() bool  { return c.n == len(c.what.raw) }

// outcome is a class and its reason, as a log has it: "bad_request/truncated".
type outcome = string

// judged says what the server did with what was sent, before the client left or anything
// else happened.
type judged uint8

const (
	waited  judged = iota // it did nothing
	refused               // it closed at once, with an error or without
)

// expect is the table of classes of the design, for connections that never had a
// request and for those whose request is whole: which class a connection has on
// which this came, and which reasons. It is a function of what was sent, of how
// it ended, and of whether the server had closed before the end of a silence.
// There are two reasons where the server may be the first to judge, and two
// classes where a client may be gone before its handshake was answered.
func (c cut) expect(did judged) []outcome {
	sent, left := c.sent(), c.end != probetest.Silence
	inside := c.tls && c.what.inside
	switch {
	case c.what.name == handshakeStream && c.whole() && c.reads() && c.end == probetest.RST:
		return []outcome{"session", "http"} // gone before it had left HTTP, or after
	case c.what.name == handshakeStream && c.whole() && c.reads():
		return []outcome{"session"}
	case c.what.name == healthStream && c.whole() && c.reads():
		return []outcome{"http_probe"}
	case !left && did == waited && !c.nethttp: // only the drain ends it
		return []outcome{"server_closed/drain"}
	case !inside && signed(sent):
		if left || bytes.HasPrefix(sent, localV2) {
			return []outcome{"proxy_probe"}
		}
		return []outcome{"wrong_protocol/proxy_preamble"}
	case !c.tls && c.what.name == helloStream && c.n >= 3: // type and version of a TLS record
		return []outcome{"wrong_protocol/tls_on_plain"}
	case c.n == 0 && !left:
		return []outcome{"idle_connect"}
	case c.n == 0 && inside:
		return []outcome{"tls_probe"}
	case c.n == 0:
		return []outcome{"tcp_probe"}
	case c.tls && !inside && c.what.name != helloStream && c.n >= 5: // a whole header, and not of a TLS record
		return []outcome{"tls_failed/aborted"}
	case c.tls && !inside && left:
		return []outcome{"tls_failed/truncated"}
	case c.tls && !inside:
		return []outcome{"tls_failed/timeout"}
	case !left && did == refused:
		return []outcome{"bad_request/malformed"}
	case !left:
		return []outcome{"bad_request/timeout"}
	case inside && c.nethttp: // which does not report why
		return []outcome{"bad_request/unknown"}
	case sent[0] == '\r': // an empty line before a request may be refused at once: RFC 9112 §2.2
		return []outcome{"bad_request/truncated", "bad_request/malformed"}
	}
	return []outcome{"bad_request/truncated"}
}

// reads reports whether what was sent is a request to the port it was sent to.
func (c cut) reads() bool { return c.tls == c.what.inside || !c.tls }

// localV2 is a PROXY v2 header with the command LOCAL.
var localV2 = []byte("\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00")

// signed reports whether p begins with all of a PROXY protocol signature: "A
// prefix that fits several signatures" is none.
func signed(p []byte) bool {
	return bytes.HasPrefix(p, []byte("PROXY ")) || bytes.HasPrefix(p, localV2[:12])
}

// classOf is the class of an outcome.
func classOf(o outcome) string {
	class, _, _ := strings.Cut(o, "/")
	return class
}

// quiet reports whether connections of a class write no line of their own:
// requests, probes, sessions, and what this server closed.
func quiet(class string) bool {
	return slices.Contains([]string{"session", "http", "http_probe", "proxy_probe", "tls_probe", "tcp_probe", "server_closed"}, class)
}
