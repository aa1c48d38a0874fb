package strict

import (
	"bufio"
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/quietws/quietws/core/probetest"
)

// frame is one of a server, with the shortest length.
func frame(head byte, payload string) string {
	switch n := len(payload); {
	case n < 126:
		return string([]byte{head, byte(n)}) + payload
	case n < 1<<16:
		return string([]byte{head, 126, byte(n >> 8), byte(n)}) + payload
	default:
		return string([]byte{head, 127, 0, 0, 0, 0, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}) + payload
	}
}

// deflatedMessages are messages of one compressor, which keeps its context.
func deflatedMessages(t *testing.T, messages ...string) []string {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, 6)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range messages {
		b.Reset()
		if _, err := io.WriteString(w, m); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		out = append(out, strings.TrimSuffix(b.String(), "\x00\x00\xff\xff"))
	}
	return out
}

// all reads a stream to its end.
func all(stream string, d Deflate) (got []Message, err error) {
	r := NewReader(bufio.NewReader(iotest.OneByteReader(strings.NewReader(stream))), d)
	for {
		m, err := r.Next()
		if err != nil {
			return got, err
		}
		m.Payload = bytes.Clone(m.Payload)
		got = append(got, m)
	}
}

func TestFaults(t *testing.T) {
	on := Deflate{On: true}
	packed := deflatedMessages(t, "hello")[0]
	goodbye := frame(0x88, "\x03\xe9")
	for _, row := range []struct {
		name, stream string
		deflate      Deflate
		fault        string
	}{
		{"a masked frame", "\x81\x81\x00\x00\x00\x00a", Deflate{}, "masked"},
		{"RSV1 without deflate", frame(0xc1, "a"), Deflate{}, "RSV1 without"},
		{"RSV1 in a ping", frame(0xc9, ""), on, "RSV1 in"},
		{"RSV1 in a close frame", frame(0xc8, ""), on, "RSV1 in"},
		{"RSV1 in a continuation", frame(0x41, packed[:2]) + frame(0xc0, packed[2:]), on, "RSV1 in"},
		{"RSV2", frame(0xa1, "a"), on, "reserved"},
		{"RSV3", frame(0x91, "a"), on, "reserved"},
		{"a reserved data opcode", frame(0x83, "a"), Deflate{}, "opcode 0x3"},
		{"a reserved control opcode", frame(0x8b, "a"), Deflate{}, "opcode 0xb"},
		{"a fragmented ping", frame(0x09, ""), Deflate{}, "fragmented control"},
		{"a long ping", frame(0x89, strings.Repeat("x", 126)), Deflate{}, "control frame of 126"},
		{"a continuation of nothing", frame(0x80, "a"), Deflate{}, "continuation of nothing"},
		{"a continuation after the end", frame(0x01, "a") + frame(0x80, "b") + frame(0x80, "c"), Deflate{}, "continuation of nothing"},
		{"a message inside a message", frame(0x01, "a") + frame(0x81, "b"), Deflate{}, "inside a fragmented"},
		{"a length of 16 bits for 7", "\x81\x7e\x00\x05hello", Deflate{}, "more bytes than"},
		{"a length of 64 bits for 16", "\x81\x7f\x00\x00\x00\x00\x00\x00\xff\xff", Deflate{}, "more bytes than"},
		{"a negative length", "\x81\x7f\x80\x00\x00\x00\x00\x00\x00\x00", Deflate{}, "highest bit"},
		{"a length beyond all bounds", "\x81\x7f\x00\x00\x00\x00\x7f\x00\x00\x00", Deflate{}, "more than"},
		{"what does not inflate", frame(0xc1, "\xff\xff\xff"), on, "inflate"},
		{"a context that was not negotiated", frame(0xc1, deflatedMessages(t, "hello hello", "hello hello")[0]) +
			frame(0xc1, deflatedMessages(t, "hello hello", "hello hello")[1]), on, "inflate"},
		{"a close frame of one byte", frame(0x88, "\x03"), Deflate{}, "one byte"},
		{"close code 999", frame(0x88, "\x03\xe7"), Deflate{}, "close code 999"},
		{"close code 1005", frame(0x88, "\x03\xed"), Deflate{}, "close code 1005"},
		{"close code 2000", frame(0x88, "\x07\xd0"), Deflate{}, "close code 2000"},
		{"a reason that is no text", frame(0x88, "\x03\xe9\xff"), Deflate{}, "UTF-8"},
		{"a message after the close frame", goodbye + frame(0x81, "a"), Deflate{}, "after the close frame"},
		{"a second close frame", goodbye + goodbye, Deflate{}, "after the close frame"},
		{"one byte after the close frame", goodbye + "\x00", Deflate{}, "after the close frame"},
		{"a close frame in the middle of a frame", "\x81\x05he" + goodbye + "llo", Deflate{}, "reserved bits in 0xe9"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := all(row.stream, row.deflate)
			if f := new(Fault); !errors.As(err, &f) || !strings.Contains(f.What, row.fault) {
				t.Errorf("%v, want a fault with %q", err, row.fault)
			}
		})
	}
}

func TestEnds(t *testing.T) {
	for _, row := range []struct {
		name, stream string
		want         error
	}{
		{"nothing", "", io.EOF},
		{"between messages", frame(0x81, "a"), io.EOF},
		{"after the close frame", frame(0x88, ""), io.EOF},
		{"in the head", "\x81", io.ErrUnexpectedEOF},
		{"in the length", "\x81\x7e\x01", io.ErrUnexpectedEOF},
		{"in the payload", "\x81\x05he", io.ErrUnexpectedEOF},
		{"before the payload", "\x81\x05", io.ErrUnexpectedEOF},
		{"in a ping", "\x89\x05he", io.ErrUnexpectedEOF},
		{"between fragments", frame(0x01, "a"), io.ErrUnexpectedEOF},
	} {
		if _, err := all(row.stream, Deflate{}); !errors.Is(err, row.want) {
			t.Errorf("%s: %v, want %v", row.name, err, row.want)
		}
	}
}

func TestMessages(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", 1<<13)
	twice := deflatedMessages(t, "hello hello", "hello hello", long)
	for _, row := range []struct {
		name, stream string
		deflate      Deflate
		want         []Message
	}{
		{"text", frame(0x81, "a"), Deflate{}, []Message{{1, []byte("a"), 1, false}}},
		{"an empty one", frame(0x82, ""), Deflate{}, []Message{{2, nil, 1, false}}},
		{"126", frame(0x82, long[:126]), Deflate{}, []Message{{2, []byte(long[:126]), 1, false}}},
		{"65536", frame(0x82, long[:1<<16]), Deflate{}, []Message{{2, []byte(long[:1<<16]), 1, false}}},
		{"fragments", frame(0x01, "a") + frame(0x00, "") + frame(0x80, "b"), Deflate{}, []Message{{1, []byte("ab"), 3, false}}},
		{"a ping between fragments", frame(0x01, "a") + frame(0x89, "!") + frame(0x80, "b"), Deflate{}, []Message{{9, []byte("!"), 1, false}, {1, []byte("ab"), 2, false}}},
		{"a close frame between fragments", frame(0x01, "a") + frame(0x88, "\x03\xe9"), Deflate{}, []Message{{8, []byte("\x03\xe9"), 1, false}}},
		{"deflated, fragmented", frame(0x41, twice[0][:3]) + frame(0x80, twice[0][3:]), Deflate{On: true}, []Message{{1, []byte("hello hello"), 2, true}}},
		{"deflate that was not used", frame(0x81, "a"), Deflate{On: true}, []Message{{1, []byte("a"), 1, false}}},
		{"deflated in one context", frame(0xc1, twice[0]) + frame(0xc1, twice[1]) + frame(0xc1, twice[2]), Deflate{On: true, Takeover: true},
			[]Message{{1, []byte("hello hello"), 1, true}, {1, []byte("hello hello"), 1, true}, {1, []byte(long), 1, true}}},
	} {
		got, err := all(row.stream, row.deflate)
		if f := new(Fault); errors.As(err, &f) {
			t.Errorf("%s: %v", row.name, err)
		}
		if len(got) != len(row.want) {
			t.Errorf("%s: %d messages, want %d", row.name, len(got), len(row.want))
			continue
		}
		for i, m := range got {
			if w := row.want[i]; m.Opcode != w.Opcode || !bytes.Equal(m.Payload, w.Payload) || m.Fragments != w.Fragments || m.Compressed != w.Compressed {
				t.Errorf("%s: message %d is %.100v, want %.100v", row.name, i, m, w)
			}
		}
	}
	if code := (Message{Opcode: probetest.OpClose, Payload: []byte("\x03\xe9")}).Code(); code != 1001 {
		t.Errorf("code %d, want 1001", code)
	}
}
