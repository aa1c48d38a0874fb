package event

// HandshakeError says why a WebSocket handshake was refused. [Event.Err] holds it for
// HandshakeRefused: extract it with errors.As, or compare it with errors.Is. A handler
// gets one only from Hijack, as [ErrSaturated], and the client has been answered by then.
type HandshakeError struct {
	// Status is the HTTP status that the client got, 0 if not known.
	Status int
	// Reason is one of ReasonDraining to ReasonApplication.
	Reason Reason
	// Field is the header field at fault in its canonical form, for example
	// "Sec-Websocket-Key", "" if no field is at fault.
	Field string
	// Origin and Host are the two fields that were compared, for
	// ReasonOriginForbidden. They come from the client, cut above 200 bytes and not
	// quoted: treat them as hostile.
	Origin, Host string
}

// These refusals come from the state of the server, not from a fault of the request. Use
// them with errors.Is, which compares only the Reason.
var (
	// ErrDraining: the server is shutting down. The client got 503, Retry-After of 1
	// to 8 seconds, and Connection: close.
	ErrDraining error = &HandshakeError{Status: 503, Reason: ReasonDraining}
	// ErrSaturated: core.Config.MaxSessions is reached. The client got 503 and
	// Retry-After of 5 to 19 seconds.
	ErrSaturated error = &HandshakeError{Status: 503, Reason: ReasonSaturated}
)

// Error returns a text without anything that the peer sent.
func (e *HandshakeError) Error() string {
	s := "quietws: websocket handshake refused: " + e.Reason.String()
	if e.Field != "" {
		s += " (" + e.Field + ")"
	}
	return s
}

// Is reports whether target is a *HandshakeError with the same Reason.
func (e *HandshakeError) Is(target error) bool {
	t, ok := target.(*HandshakeError)
	return ok && t.Reason == e.Reason
}
