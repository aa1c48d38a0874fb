package conn

import (
	"bytes"
	"encoding/binary"
	"time"
)

// The signatures of other protocols. Each counts only when all of it has come.
const (
	proxyV1   = "PROXY "                 // begins a PROXY v1 line
	proxyV2   = "\r\n\r\n\x00\r\nQUIT\n" // begins a PROXY v2 header
	H2Preface = "PRI * HTTP/2.0"         // begins an HTTP/2 connection (RFC 9113 §3.4)
)

// proxyV1Max is the length of the longest PROXY v1 line (HAProxy's
// proxy-protocol.txt §2.1).
const proxyV1Max = 107

// mayBeProxyV1 reports whether p is the start of a PROXY v1 line, or could become one.
func mayBeProxyV1(p []byte) bool {
	n := min(len(p), len(proxyV1))
	return string(p[:n]) == proxyV1[:n]
}

// proxyV2Length is the length of the PROXY v2 header in head, with its addresses.
func proxyV2Length(head []byte) int64 {
	return 16 + int64(binary.BigEndian.Uint16(head[14:16]))
}

// preambleAlone reports whether a connection that began with head sent a PROXY preamble,
// or the start of one, and no byte after it. tail holds its last bytes.
func preambleAlone(head []byte, in int64, tail uint64) bool {
	switch {
	case bytes.HasPrefix(head, []byte(proxyV1)):
		return in <= proxyV1Max && tail != tailMore
	case !bytes.HasPrefix(head, []byte(proxyV2)):
		return false
	}
	return len(head) < headSize || in <= proxyV2Length(head)
}

// tailMore is Conn.tail if more came after a PROXY line.
const tailMore = 1

// noteLine keeps the last bytes of what may be a PROXY line, or tailMore.
func (c *Conn) noteLine(p []byte) {
	tail := c.tail.Load()
	for _, b := range p[:min(len(p), proxyV1Max)] {
		if tail == tailMore || tail&0xff == '\n' {
			tail = tailMore
			break
		}
		tail = tail<<8 | uint64(b)
	}
	c.tail.Store(tail)
}

// lastLook waits up to 100 ms for the peer's FIN before this side closes a connection
// that sent only a PROXY preamble, or the start of one. A health check of a proxy leaves
// as soon as the server refuses the preamble; a proxy that serves clients sends a request
// after it.
func (c *Conn) lastLook() {
	head := c.head[:c.headLen.Load()]
	if len(head) < len(proxyV1) || head[0] != proxyV1[0] && head[0] != proxyV2[0] || c.end(readEnd) != endNone ||
		c.Saw(Closed|Drained) || c.Had(AnyRequest) || !preambleAlone(head, c.In.Load(), c.tail.Load()) {
		return
	}
	// A server that stops closes its connections one after the other under its lock. So
	// after one peer that stayed, lastLook does not wait again for lookPause.
	w := c.source.Watch
	if last := w.waitedAt.Load(); last != 0 && int64(w.Now()) < last+int64(lookPause) {
		return
	}
	if w.Stopped.Load() {
		return
	}
	if c.Conn.SetReadDeadline(time.Now().Add(lastLooks)) != nil {
		return
	}
	var more [1]byte
	n, err := c.Conn.Read(more[:])
	switch end := endOf(err); {
	case n > 0 || end == endEOF || end == endReset:
		c.noteRead(more[:n], int64(n), err)
	case end == endTimeout:
		w.waitedAt.Store(int64(w.Now()))
	}
}

// lastLooks is how long lastLook waits for a peer that may be leaving: longer than a
// round trip to another zone, and than a busy machine takes to send a FIN.
const lastLooks = 100 * time.Millisecond

// lookPause is how long lastLook does not wait after a peer that stayed.
const lookPause = time.Second
