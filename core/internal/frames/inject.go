package frames

import (
	"errors"
	"io"
	"net"
	"time"
)

const (
	// patience is how long a control frame of ours may take to be written, and
	// lastingPatience where a Write that times out ends the session.
	patience, lastingPatience = time.Second, 5 * time.Second
	// fragmentPatience is how long the end of a fragmented message is waited for,
	// before our close frame goes between two of its frames.
	fragmentPatience = time.Second
	// swallowFor is how long after our close frame data is swallowed.
	swallowFor = time.Second
)

// State is what became of Session.Close.
type State uint8

// The states. Idle and Pending may change; the others are the outcome, and Failed
// is but for a library that goes on with its frame after an error.
const (
	Idle       State = iota // nobody asked for a close frame
	Pending                 // it waits for the end of a message, or for room on the wire
	Sent                    // it is out
	Needless                // a close frame of either side came before it
	Unfollowed              // not possible: what is written or read is no WebSocket, or is not seen
	Failed                  // not possible: a write failed, of ours or inside a frame of the library's
)

// Close asks for a close frame, and writes it where that may be now. It goes out
// between two messages, after a second between two frames of a fragmented one,
// and never where either side's close frame has begun (RFC 6455 §5.5.1). What is
// in the way is looked at again at the end of each Write of the library's, and by
// Push. It blocks for at most a second, under a lasting error five, and not for a
// Write of the library's. Only the first call counts. The error is that of
// CheckCode.
func (s *Session) Close(w Wire, code int, reason string) (State, error) {
	if err := CheckCode(code); err != nil {
		return s.State(), err
	}
	reason = CutReason(reason)
	s.state.Lock()
	if !s.is(asked) {
		s.code, s.reason, s.since = uint16(code), reason, w.Now().UnixMilli()
		s.flags.Or(asked | pending)
	}
	s.state.Unlock()
	return s.Push(w), nil
}

// Push tries again what Close asked for, and returns what became of it. Call it
// now and then while it returns Pending; it blocks as Close does.
func (s *Session) Push(w Wire) State {
	if s.is(pending) {
		s.push(w)
	}
	return s.State()
}

// State returns what became of Close.
func (s *Session) State() State {
	switch flags := s.flags.Load(); {
	case flags&asked == 0:
		return Idle
	case flags&whole != 0:
		return Sent
	case flags&needless != 0:
		return Needless
	case flags&unfollowed != 0:
		return Unfollowed
	case flags&(failed|torn) != 0:
		return Failed
	}
	return Pending
}

// push does what is pending, unless somebody is writing: whoever that is looks
// for it after unlocking.
func (s *Session) push(w Wire) {
	if !s.writing.TryLock() {
		return
	}
	defer s.writing.Unlock()
	s.tryClose(w)
}

// tryClose writes our close frame, or the rest of it, if it may be written now,
// and reports whether it tried. s.writing is held.
func (s *Session) tryClose(w Wire) (tried bool) {
	s.state.Lock()
	if !s.mayClose(w) {
		s.state.Unlock()
		return false
	}
	frame := make([]byte, 0, len(ping)+controlHead+maxControl)
	half := 0 // bytes of a ping that come first
	if s.is(halfPing) {
		frame, half = append(frame, ping[1:]...), 1
	}
	frame = append(frame, AppendClose(nil, s.code, s.reason)[s.sent:]...)
	if !s.is(begun) {
		s.flags.Or(begun)
		s.atClose = s.out.messages
	}
	s.state.Unlock()

	n, err := s.inject(w, frame, false)
	now := w.Now()
	s.state.Lock()
	defer s.state.Unlock()
	if n > 0 {
		s.lastOut = now.UnixMilli()
		s.flags.And(^halfPing)
		s.sent += uint8(n - half)
	}
	switch {
	case n == len(frame):
		s.since = now.UnixMilli()
		s.flags.Or(whole)
		s.flags.And(^pending)
	case !s.mayRetry(err):
		s.flags.Or(failed)
		s.flags.And(^pending)
	}
	if s.sent == 0 {
		s.flags.And(^begun)
	}
	return true
}

// mayClose reports whether our close frame may be written now, and takes back
// what can never be.
func (s *Session) mayClose(w Wire) bool {
	switch {
	case !s.is(pending):
		return false
	case s.is(begun):
		return true
	case !s.mayInject():
		s.flags.Or(unfollowed)
	case s.out.Closing() || s.in.Closing():
		s.flags.Or(needless)
	default:
		return s.out.BetweenMessages() || s.out.BetweenFrames() && s.isLate(w)
	}
	s.flags.And(^pending)
	return false
}

// mayInject reports whether this is a session in which frames of ours are safe.
func (s *Session) mayInject() bool {
	return s.is(started) && !s.is(off) && !s.out.Broken() && (s.in.is(good) || !s.in.Broken())
}

// isLate reports whether the end of a message was waited for long enough.
func (s *Session) isLate(w Wire) bool {
	return w.Now().UnixMilli()-s.since >= fragmentPatience.Milliseconds()
}

// inject writes frame with a deadline of its own, or with the library's, and then
// sets the library's again.
func (s *Session) inject(w Wire, frame []byte, keepDeadline bool) (int, error) {
	if keepDeadline {
		return w.Write(frame)
	}
	limit := patience
	if s.is(lastingError) {
		limit = lastingPatience
	}
	s.state.Lock()
	s.flags.Or(injecting)
	err := w.SetWriteDeadline(w.Now().Add(limit))
	s.state.Unlock()
	defer func() {
		s.state.Lock()
		s.flags.And(^injecting)
		_ = w.SetWriteDeadline(s.libraryDeadline())
		s.state.Unlock()
	}()
	if err != nil { // without one the wait would have no end
		return 0, err
	}
	return w.Write(frame)
}

// mayRetry reports whether a Write may succeed after err.
func (s *Session) mayRetry(err error) bool {
	var timeout net.Error
	return !s.is(lastingError) && errors.As(err, &timeout) && timeout.Timeout()
}

// Ping writes a ping without a payload, and reports whether it did: not while
// somebody writes or a message is under way, not once a close frame was asked for
// or has begun on either side. It blocks for at most a second; under a lasting
// error as long as a Write of the library's would, since giving up would end the
// session.
func (s *Session) Ping(w Wire) bool {
	sent := s.ping(w)
	if s.is(pending) {
		s.push(w)
	}
	return sent
}

func (s *Session) ping(w Wire) bool {
	if !s.writing.TryLock() {
		return false
	}
	defer s.writing.Unlock()
	s.state.Lock()
	may := s.mayInject() && !s.is(asked|halfPing) && !s.in.Closing() && s.out.BetweenMessages()
	s.state.Unlock()
	if !may {
		return false
	}
	n, _ := s.inject(w, ping[:], s.is(lastingError))
	if n <= 0 {
		return false
	}
	now := w.Now().UnixMilli()
	s.state.Lock()
	defer s.state.Unlock()
	s.lastOut = now
	if n < len(ping) {
		s.flags.Or(halfPing)
	}
	return n == len(ping)
}

// finishPing writes the rest of a ping with the library's deadline, since it is
// the library that waits.
func (s *Session) finishPing(w Wire) error {
	n, err := w.Write(ping[1:])
	if n <= 0 {
		if err == nil {
			err = io.ErrShortWrite
		}
		return err
	}
	s.state.Lock()
	s.flags.And(^halfPing)
	s.state.Unlock()
	return nil
}
