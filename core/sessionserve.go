package core

// Serve is the life of a session in a handler that owns its frames: f has it
// until it returns. At the session's moment of a drain closing is called with
// DrainConfig.Code. Else, when f has returned, it is called with 1000 (normal
// closure), or with 1011 (internal error) where f returned an error without a
// close code; one with a code has closed already (RFC 6455 §7.4.1). closing does
// the closing handshake with that code, and returns nil where the peer answered
// it. Serve waits for it and returns f's error.
func (s *Session) Serve(closing func(code int) error, f func() error) error {
	if s == nil {
		return f()
	}
	say := func(code int) {
		if closing(code) == nil {
			s.Ended(code)
		}
	}
	s.OnDrain(func() { say(s.g.config.Drain.Code) })
	err := f()
	switch {
	case s.Settle(): // the drain's goodbye is said
	case err == nil:
		say(1000)
	case closeCode(err) == 0:
		say(1011)
	}
	return err
}
