package event

// HandshakeError says why a WebSocket handshake was refused. It is what
// [Event.Err] holds for HandshakeRefused: take it out with errors.As, or compare
// with errors.Is. A handler gets it from Hijack alone, as ErrSaturated, and its
// client has its answer by then.
type HandshakeError struct {
	// Status is the HTTP status that the client was told, 0 if not known.
	Status int
	// Reason is one of ReasonDraining to ReasonApplication.
	Reason Reason
	// Field is the header field at fault in its canonical form, as
	// "Sec-Websocket-Key", "" if it is none.
	Field string
	// Origin and Host are the two fields that were compared, for
	// ReasonOriginForbidden. They are the client's words, cut above 200 bytes and
	// not quoted: treat them as hostile.
	Origin, Host string
}

// The refusals that are states of the server rather than faults of a request, for
// errors.Is, which compares the Reason alone.
var (
	// ErrDraining: the server is shutting down. The client was told 503,
	// Retry-After of 1 to 8 seconds, and Connection: close.
	ErrDraining error = &HandshakeError{Status: 503, Reason: ReasonDraining}
	// ErrSaturated: core.Config.MaxSessions is reached. The client was told 503, and
	// Retry-After of 5 to 19 seconds.
	ErrSaturated error = &HandshakeError{Status: 503, Reason: ReasonSaturated}
)

// Error never contains anything that the peer sent.
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
