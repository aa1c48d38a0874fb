package event

import (
	"errors"
	"fmt"
	"testing"
)

func TestHandshakeError(t *testing.T) {
	err := fmt.Errorf("wrapped: %w", &HandshakeError{Status: 503, Reason: ReasonDraining, Field: "x"})
	if !errors.Is(err, ErrDraining) || errors.Is(err, ErrSaturated) || errors.Is(ErrSaturated, ErrDraining) {
		t.Error("errors.Is compares the reason, and that alone")
	}
	if errors.Is(&HandshakeError{}, errors.New("x")) {
		t.Error("a *HandshakeError is another error")
	}
	for e, want := range map[*HandshakeError]string{
		{Reason: ReasonBadKey, Field: "Sec-Websocket-Key"}: "quietws: websocket handshake refused: bad_key (Sec-Websocket-Key)",
		{Reason: ReasonHTTP2}:                              "quietws: websocket handshake refused: http_2",
	} {
		if e.Error() != want {
			t.Errorf("%q, want %q", e.Error(), want)
		}
	}
}
