package probetest

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"strconv"
	"strings"
)

// Junk is bytes that are not a request, or a request that a server must refuse.
type Junk struct {
	// Name is the part of the row's name in [Scenarios] after "junk-".
	Name string
	// Who sends this, and what it is.
	Who string
	// Bytes are sent to t, inside TLS if the target has it.
	Bytes func(t Target) []byte
	// End says how the connection ends after them. With FIN the answer is read first.
	End End
}

// Junks returns every kind of junk.
func Junks() []Junk {
	get := func(r Request) func(Target) []byte {
		return func(t Target) []byte { return r.Bytes(t) }
	}
	lines := func(s string) func(Target) []byte {
		return func(t Target) []byte { return []byte(strings.ReplaceAll(s, "ADDR", t.Addr)) }
	}
	return []Junk{
		{"random", "a port scanner sends bytes of a protocol that it guesses", func(Target) []byte { return randomBytes(512) }, HalfClose},
		{"huge-header", "an attack, or a client with runaway cookies: a header of more than 1 MiB", hugeHeader, FIN},
		{"many-fields", "an attack on header parsing: 10,000 header lines", manyFields, FIN},
		{"nul", "a broken client or a scanner puts NUL bytes into a header", get(Request{Header: []Field{{"X-Nul", "a\x00b"}}}), FIN},
		{"bad-host", "a scanner sends a Host that is not a host", get(Request{Host: "not a host"}), FIN},
		{"two-hosts", "a request smuggler, or a proxy that adds a Host instead of replacing it", get(Request{Header: []Field{{"Host", "other.example"}}}), FIN},
		{"no-host", "a script written for HTTP/1.0 says HTTP/1.1 without the Host that RFC 9112 §3.2 requires", get(Request{NoHost: true}), FIN},
		{"transfer-encoding", "a request smuggler sends an unknown transfer coding", get(Request{Method: "POST", Header: []Field{{"Transfer-Encoding", "foo"}}}), FIN},
		{"expect", "a client expects what no server supports (417, RFC 9110 §10.1.1)", get(Request{Header: []Field{{"Expect", "foo"}}}), FIN},
		{"http-3-0", "a scanner or a script writes HTTP/3.0 into an HTTP/1 request line", get(Request{Proto: "HTTP/3.0"}), FIN},
		{"http-0-9", "the default HTTP monitor of F5 BIG-IP sends a request line without a version", lines("GET /\r\n\r\n"), FIN},
		{"method", "a WebDAV client tries PROPFIND, a method that Fiber does not know", get(Request{Method: "PROPFIND"}), FIN},
	}
}

// Send sends the junk to t and reads the answer.
func (j Junk) Send(ctx context.Context, t Target) (Result, error) {
	if j.End == FIN {
		return Exchange(ctx, t, j.Bytes(t), FIN)
	}
	return Send(ctx, t, j.Bytes(t), j.End)
}

// OptionsStar sends "OPTIONS *", which asks about the server and not a resource (RFC 9110
// §9.3.7). HAProxy's check is often configured like this by hand.
func OptionsStar(ctx context.Context, t Target) (Result, error) {
	return Do(ctx, t, Request{Method: "OPTIONS", Path: "*"})
}

// H2Preface speaks HTTP/2 with prior knowledge (RFC 9113 §3.4): it sends the preface and
// empty SETTINGS, and reads an HTTP/1 answer or the server's own SETTINGS, which are then
// in [Result.Body]. gRPC probes do this, and proxies configured for an HTTP/2 server.
func H2Preface(ctx context.Context, t Target) (Result, error) {
	return Exchange(ctx, t, []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"+"\x00\x00\x00\x04\x00\x00\x00\x00\x00"), FIN)
}

// randomBytes are the same each time. Their first byte begins no known protocol.
func randomBytes(n int) []byte {
	src := rand.NewChaCha8([32]byte{'q'})
	b := make([]byte, 0, n+8)
	for b = append(b, 0xff, 0xfe); len(b) < n; {
		b = binary.LittleEndian.AppendUint64(b, src.Uint64())
	}
	return b[:n]
}

func hugeHeader(t Target) []byte {
	return Request{Header: []Field{{"Cookie", strings.Repeat("a", 1<<20+64<<10)}}}.Bytes(t)
}

func manyFields(t Target) []byte {
	fields := make([]Field, 10_000)
	for i := range fields {
		fields[i] = Field{"X-" + strconv.Itoa(i), "1"}
	}
	return Request{Header: fields}.Bytes(t)
}
