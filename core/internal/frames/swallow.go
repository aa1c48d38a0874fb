package frames

// swallow is a Write after the beginning of our close frame.
func (s *Session) swallow(w Wire, p []byte) (int, error) {
	now := w.Now()
	s.state.Lock()
	defer s.state.Unlock()
	before, data := s.out, false
	for rest := p; len(rest) > 0; {
		if s.out.is(broken | closed) {
			data = true
			break
		}
		data = data || s.out.touchesDataWith(rest[0])
		rest = rest[s.out.step(rest):]
	}
	if data && (s.in.Closing() || s.is(failed) || s.is(whole) && now.UnixMilli()-s.since >= swallowFor.Milliseconds()) {
		s.out = before
		return 0, ErrAfterClose
	}
	return len(p), nil
}

// touchesData reports whether the frame that s is in is a data frame.
func (s *Stream) touchesData() bool { return !s.is(inAnswer) && s.head[0]&controlBit == 0 }

// touchesDataWith reports whether b, the next byte, belongs to a data frame.
func (s *Stream) touchesDataWith(b byte) bool {
	if s.n == 0 {
		return b&controlBit == 0
	}
	return s.touchesData()
}
