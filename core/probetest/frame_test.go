package probetest

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestReadFrame(t *testing.T) {
	for _, row := range []struct {
		rule, in, err string
		want          Frame
	}{
		{"a server does not mask", "\x81\x81\x00\x00\x00\x00a", "masked", Frame{}},
		{"a reserved bit needs an extension", "\xc1\x01a", "reserved bit", Frame{}},
		{"too long", "\x82\x7f\x00\x00\x00\x00\x00\x10\x00\x01", "at most", Frame{}},
		{"nothing", "", "EOF", Frame{}},
		{"cut in the head", "\x81", "unexpected EOF", Frame{}},
		{"cut in the length", "\x81\x7e\x00", "unexpected EOF", Frame{}},
		{"cut before the payload", "\x81\x05", "unexpected EOF", Frame{}},
		{"cut in the payload", "\x81\x05he", "unexpected EOF", Frame{}},
		{"the text of RFC 6455 §5.7", "\x81\x05Hello", "", Frame{Opcode: OpText, Payload: []byte("Hello")}},
		{"a fragment", "\x01\x03Hel", "", Frame{Opcode: OpText, More: true, Payload: []byte("Hel")}},
		{"a length of 16 bits", "\x82\x7e\x01\x00" + strings.Repeat("x", 256), "", Frame{Opcode: OpBinary, Payload: bytes.Repeat([]byte("x"), 256)}},
		{"a length of 64 bits", "\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00" + strings.Repeat("x", 65536), "", Frame{Opcode: OpBinary, Payload: bytes.Repeat([]byte("x"), 65536)}},
	} {
		got, err := readFrame(bufio.NewReader(strings.NewReader(row.in)))
		switch {
		case row.err != "":
			if err == nil || !strings.Contains(err.Error(), row.err) {
				t.Errorf("%s: error is %v, want %q", row.rule, err, row.err)
			}
		case err != nil || got.Opcode != row.want.Opcode || got.More != row.want.More || !bytes.Equal(got.Payload, row.want.Payload):
			t.Errorf("%s: got %+v, %v", row.rule, got, err)
		}
	}
}

func TestFrameBytes(t *testing.T) {
	// RFC 6455 §5.7 has this example, with this mask.
	if got := string(Frame{Opcode: OpText, Payload: []byte("Hello")}.Bytes()); got != "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58" {
		t.Errorf("got % x", got)
	}
	for _, n := range []int{0, 125, 126, 65535, 65536} {
		payload := bytes.Repeat([]byte("ab"), n/2+1)[:n]
		op, got, err := readMasked(bufio.NewReader(bytes.NewReader(Frame{Opcode: OpBinary, Payload: payload}.Bytes())))
		if err != nil || op != OpBinary || !bytes.Equal(got, payload) {
			t.Errorf("%d bytes: opcode %d, %d bytes, %v", n, op, len(got), err)
		}
	}
	if got := (Frame{Opcode: OpText, More: true}).Bytes()[0]; got != OpText {
		t.Errorf("a fragment begins with %#x", got)
	}
}

func TestCloseCodes(t *testing.T) {
	for _, row := range []struct {
		rule string
		f    Frame
		code int
		size int
	}{
		{"a frame that is not a close frame has no code", Frame{Opcode: OpText, Payload: []byte("\x03\xe8")}, 0, 2},
		{"a code and a reason", CloseFrame(1001, "bye"), 1001, 5},
		{"0 is no code", CloseFrame(0, ""), 1005, 0},
		{"1005 is never sent", CloseFrame(1005, ""), 1005, 0},
		{"one byte is no code", Frame{Opcode: OpClose, Payload: []byte{3}}, 1005, 1},
	} {
		if row.f.Code() != row.code || len(row.f.Payload) != row.size {
			t.Errorf("%s: code %d, payload %q", row.rule, row.f.Code(), row.f.Payload)
		}
	}
}

func FuzzReadFrame(f *testing.F) {
	for _, s := range []string{"", "\x81\x05Hello", "\x82\x7e\x01\x00", "\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00", "\x88\x02\x03\xe8", "\xff\xff"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := readFrame(bufio.NewReader(bytes.NewReader(in)))
		if err != nil {
			if len(in) > 2 && errors.Is(err, io.EOF) {
				t.Error("a cut frame counts as the end of the stream")
			}
			return
		}
		op, payload, err := readMasked(bufio.NewReader(bytes.NewReader(got.Bytes())))
		if err != nil || op != got.Opcode || !bytes.Equal(payload, got.Payload) {
			t.Errorf("%+v comes back as %d %q, %v", got, op, payload, err)
		}
	})
}
