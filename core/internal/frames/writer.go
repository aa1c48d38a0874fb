package frames

import "io"

// Write is the library's Write of p: all bytes of the session go through it, the
// answer to the handshake included. at is the time in Unix milliseconds; it may be
// a little old. Where nothing was asked for, p goes out in one Write of w.
//
// While a close frame is pending, p is split at the first place where it may be
// written. After it, the library's control frames are dropped, its data for a
// second or until the peer's close frame came, and then data is refused with
// [ErrAfterClose].
func (s *Session) Write(w Wire, p []byte, at int64) (int, error) {
	s.writing.Lock()
	defer s.unlock(w)
	if s.flags.Load()&unusual != started || len(p) == 0 || s.out.message(p) != len(p) {
		return s.writeOther(w, p, at)
	}
	n, err := w.Write(p) // one message: nothing has to be known before it is out
	if n != len(p) || err != nil {
		s.cutShort(p, n, err, at)
		return n, err
	}
	s.state.Lock()
	s.out.messages++
	s.lastOut = at
	s.state.Unlock()
	return n, nil
}

// unlock ends a Write. A close frame may have been asked for meanwhile by somebody
// who could not take the lock.
func (s *Session) unlock(w Wire) {
	s.writing.Unlock()
	if s.flags.Load()&(pending|tried) == pending {
		s.push(w)
	}
}

// cutShort follows a message that was written in part.
func (s *Session) cutShort(p []byte, n int, err error, at int64) {
	before := s.out
	s.correct(&before, s.lastOut, p, n, err)
	if n > 0 {
		s.state.Lock()
		s.lastOut = at
		s.state.Unlock()
	}
}

// writeOther is Write of anything but one message, or at an unusual time.
func (s *Session) writeOther(w Wire, p []byte, at int64) (int, error) {
	switch flags := s.flags.Load(); {
	case flags&(halfPing|pending|begun) != 0:
		s.flags.And(^tried)
		return s.writeAround(w, p, at)
	case flags&(started|off) != started || len(p) == 0:
		return w.Write(p)
	}
	return s.pass(w, p, at)
}

// pass writes p and follows it. The close frame of the library counts from the
// moment before it is written: the peer's answer may be read before Write returns.
func (s *Session) pass(w Wire, p []byte, at int64) (int, error) {
	s.state.Lock()
	before, last := s.out, s.lastOut
	s.lastOut = at
	s.out.Feed(p)
	if s.out.flags&(closing|broken) != 0 {
		s.noteSpecial()
	}
	s.state.Unlock()
	n, err := w.Write(p)
	if n < len(p) || err != nil || s.is(torn) {
		s.correct(&before, last, p, n, err)
	}
	return n, err
}

// noteSpecial notes that the library closes, or that it writes no frames.
func (s *Session) noteSpecial() {
	if s.out.Closing() && !s.is(libraryClose) {
		s.flags.Or(libraryClose)
		if s.in.Closing() {
			s.flags.Or(peerFirst)
		}
	}
	if s.out.Broken() {
		s.flags.Or(off)
	}
}

// correct makes up for bytes that were not written.
func (s *Session) correct(before *Stream, last int64, p []byte, n int, err error) {
	s.state.Lock()
	defer s.state.Unlock()
	if n = max(n, 0); n <= len(p) {
		s.out = *before
		s.out.Feed(p[:n])
		if n == 0 {
			s.lastOut = last
		}
		if s.is(libraryClose) && !s.out.Closing() {
			s.flags.And(^(libraryClose | peerFirst))
		}
	}
	s.flags.And(^torn)
	if err != nil && s.out.n > 0 && !s.out.is(broken|closed) {
		s.flags.Or(torn)
	}
}

// writeAround is Write where a control frame of ours is pending, begun or written.
// It tries to write ours once.
func (s *Session) writeAround(w Wire, p []byte, at int64) (written int, err error) {
	for {
		if s.flags.Load()&(pending|tried) == pending && s.tryClose(w) {
			s.flags.Or(tried)
		}
		rest := p[written:]
		switch flags := s.flags.Load(); {
		case flags&begun != 0:
			n, err := s.swallow(w, rest)
			return written + n, err
		case len(rest) == 0:
			return written, nil
		case flags&halfPing != 0:
			if err = s.finishPing(w); err != nil {
				return written, err
			}
			continue
		case flags&off != 0:
			n, err := w.Write(rest)
			return written + n, err
		case flags&(pending|tried) == pending:
			rest = rest[:s.nextPlace(w, rest)]
		}
		n, err := s.pass(w, rest, at)
		written += n
		if err == nil && n < len(rest) {
			err = io.ErrShortWrite
		}
		if err != nil {
			return written, err
		}
	}
}

// nextPlace returns how many bytes of p may go out before our close frame can.
func (s *Session) nextPlace(w Wire, p []byte) int {
	s.state.Lock()
	defer s.state.Unlock()
	ahead, late, i := s.out, s.isLate(w), 0
	for i < len(p) && !ahead.is(broken|closed) {
		i += ahead.step(p[i:])
		if ahead.BetweenMessages() || late && ahead.BetweenFrames() {
			return i
		}
	}
	return len(p)
}
