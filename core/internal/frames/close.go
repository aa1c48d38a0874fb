package frames

import (
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"unicode/utf8"
)

// NoCode is the code of a close frame without one (RFC 6455 §7.4.1). It is never
// on the wire.
const NoCode = 1005

// maxReason is how many bytes of a close frame the code leaves for the reason.
const maxReason = maxControl - 2

// ErrAfterClose is the error of a Write after the session's close frame. It is a
// [net.ErrClosed].
var ErrAfterClose = fmt.Errorf("quietws: the close frame has been sent: %w", net.ErrClosed)

// CheckCode returns an error where a close frame may not carry the code: all but
// 1000 to 1003, 1007 to 1014 and 3000 to 4999 (RFC 6455 §7.4 and the registry of
// §11.7).
func CheckCode(code int) error {
	switch {
	case code >= 1000 && code <= 1003, code >= 1007 && code <= 1014, code >= 3000 && code <= 4999:
		return nil
	}
	return fmt.Errorf("quietws: a close frame cannot carry the code %d", code)
}

// CutReason returns reason as valid UTF-8, cut between two characters to the 123
// bytes that a close frame has for it (§5.5, §5.5.1).
func CutReason(reason string) string {
	reason = strings.ToValidUTF8(reason, string(utf8.RuneError))
	if len(reason) <= maxReason {
		return reason
	}
	n := maxReason
	for !utf8.RuneStart(reason[n]) {
		n--
	}
	return strings.Clone(reason[:n])
}

// AppendClose appends a server's close frame with a code of CheckCode's and a
// reason of CutReason's.
func AppendClose(b []byte, code uint16, reason string) []byte {
	b = append(b, finBit|opClose, byte(2+len(reason)))
	b = binary.BigEndian.AppendUint16(b, code)
	return append(b, reason...)
}

// ping is a server's ping without a payload.
var ping = [...]byte{finBit | opPing, 0}
