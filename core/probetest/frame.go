package probetest

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The opcodes of RFC 6455 §5.2.
const (
	OpContinuation byte = 0x0
	OpText         byte = 0x1
	OpBinary       byte = 0x2
	OpClose        byte = 0x8
	OpPing         byte = 0x9
	OpPong         byte = 0xA
)

// noCode stands for a close frame without a code (RFC 6455 §7.1.5).
const noCode = 1005

// Frame is one WebSocket frame (RFC 6455 §5.2).
type Frame struct {
	Opcode byte
	// More is true if another fragment follows: the FIN bit is not set.
	More    bool
	Payload []byte
}

// Code returns the code of a close frame, 1005 if it carries none, and 0 if f
// is not a close frame.
func (f Frame) Code() int {
	switch {
	case f.Opcode != OpClose:
		return 0
	case len(f.Payload) < 2:
		return noCode
	}
	return int(binary.BigEndian.Uint16(f.Payload))
}

// mask is the same for every frame, so that the bytes are the same each time.
var mask = [4]byte{0x37, 0xfa, 0x21, 0x3d}

// Bytes returns f as a client sends it, masked.
func (f Frame) Bytes() []byte {
	first := f.Opcode
	if !f.More {
		first |= 0x80
	}
	b := []byte{first}
	switch n := len(f.Payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	b = append(b, mask[:]...)
	for i, c := range f.Payload {
		b = append(b, c^mask[i%4])
	}
	return b
}

// CloseFrame is a close frame with this code (RFC 6455 §5.5.1). It has no code if code is
// 0 or 1005.
func CloseFrame(code int, reason string) Frame {
	if code == 0 || code == noCode {
		return Frame{Opcode: OpClose}
	}
	return Frame{Opcode: OpClose, Payload: append(binary.BigEndian.AppendUint16(nil, uint16(code)), reason...)}
}

// readFrame reads a frame of at most 1 MiB from a server, which must not mask it
// (RFC 6455 §5.1).
func readFrame(br *bufio.Reader) (Frame, error) {
	var head [2]byte
	if _, err := io.ReadFull(br, head[:]); err != nil {
		return Frame{}, err
	}
	if head[1]&0x80 != 0 {
		return Frame{}, errors.New("probetest: the server masked a frame (RFC 6455 §5.1)")
	}
	if head[0]&0x70 != 0 {
		return Frame{}, errors.New("probetest: the server set a reserved bit without an extension (RFC 6455 §5.2)")
	}
	n := uint64(head[1])
	if extended := map[uint64]int{126: 2, 127: 8}[n]; extended > 0 {
		var size [8]byte
		if _, err := io.ReadFull(br, size[8-extended:]); err != nil {
			return Frame{}, unexpected(err)
		}
		n = binary.BigEndian.Uint64(size[:])
	}
	if n > maxAnswer {
		return Frame{}, fmt.Errorf("probetest: a frame of %d bytes; at most %d are read", n, maxAnswer)
	}
	f := Frame{Opcode: head[0] & 0x0f, More: head[0]&0x80 == 0, Payload: make([]byte, n)}
	_, err := io.ReadFull(br, f.Payload)
	return f, unexpected(err)
}

// unexpected turns an EOF inside a frame into io.ErrUnexpectedEOF.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
