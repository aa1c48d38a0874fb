package frames

import (
	"sync"
	"sync/atomic"
	"time"
)

// Wire is the connection below a session, and the clock. Its methods are called
// under the session's locks: SetWriteDeadline and Now must not block, and none of
// them may call the session.
type Wire interface {
	Write(p []byte) (int, error)
	SetWriteDeadline(t time.Time) error
	// Now is called only around a control frame of ours and after it, never for a
	// plain Write or Read.
	Now() time.Time
}

// Session follows both directions of a server's session. The zero Session follows
// nothing and hands every Write on; see Start. It must not be copied. All methods
// are safe for concurrent use. A blocked Write holds up Write alone.
type Session struct {
	writing sync.Mutex // held while bytes go out; taken before state
	state   sync.Mutex // of all that follows; never held over a Write

	flags    atomic.Uint32 // changed with state held
	code     uint16        // of our close frame
	sent     uint8         // bytes of our close frame that are out
	out, in  Stream
	reason   string
	deadline int64  // the library's for writing, in Unix nanoseconds; 0: none
	since    int64  // Unix milliseconds: when our close frame was asked for, and then when it was out
	lastIn   int64  // Unix milliseconds
	lastOut  int64  // Unix milliseconds
	atClose  uint64 // the messages that went out before our close frame
}

// The flags of a Session.
const (
	started      uint32 = 1 << iota
	off                 // no frame of ours any more, and out is not followed
	asked               // Close was called, with an outcome still to come or known
	pending             // our close frame is to be written, all of it or the rest
	begun               // a byte of it is out, or about to be
	whole               // all of it is out
	needless            // the session was closing when it would have been written
	failed              // the wire did not take it
	torn                // the library's last Write failed inside a frame
	injecting           // the write deadline is ours
	halfPing            // one byte of our ping is out
	lastingError        // a Write that timed out is the last one, as with crypto/tls
	libraryClose        // the library's close frame has begun
	peerFirst           // and the peer's had been read by then
	unfollowed          // for off, broken: no close frame was possible
	tried               // the Write under way, or the last one, tried to write our close frame

	// unusual are the flags that concern a Write of one message.
	unusual = started | off | pending | begun | halfPing
)

func (s *Session) is(f uint32) bool { return s.flags.Load()&f != 0 }

// Start begins to follow a session whose handshake is good. It is called before
// the first byte of the answer is written where answered is false: then an HTTP
// response with the status 101 comes first, in however many Writes, and anything
// else leaves the session unfollowed. lasting says that the Wire takes nothing
// any more after a Write that timed out, as crypto/tls.
func (s *Session) Start(answered, lasting bool) {
	s.state.Lock()
	defer s.state.Unlock()
	s.in.flags = masked
	if !answered {
		s.out.flags = inAnswer
	}
	s.flags.Or(started)
	if lasting {
		s.flags.Or(lastingError)
	}
}

// Off ends the writing of own frames for good, because bytes may go out that
// are not seen from now on: the raw descriptor was taken, or the writing half was
// closed. What the peer sends is followed further.
func (s *Session) Off() {
	s.state.Lock()
	s.flags.Or(off)
	s.state.Unlock()
}

// Received follows bytes that came from the peer: what a Read returned, and once
// what was read together with the handshake. at is the time in Unix milliseconds;
// it may be a little old.
func (s *Session) Received(p []byte, at int64) {
	if len(p) == 0 || !s.is(started) {
		return
	}
	s.state.Lock()
	s.lastIn = at
	s.in.Feed(p)
	s.state.Unlock()
}

// SetWriteDeadline sets the library's deadline for writing on w, or, while a frame
// of ours is being written, after it. SetDeadline of a connection must go through
// here too, and a deadline that was set before Start must be set again or be over:
// what was not set here is not restored.
func (s *Session) SetWriteDeadline(w Wire, t time.Time) error {
	s.state.Lock()
	defer s.state.Unlock()
	s.deadline = unixNano(t)
	if s.is(injecting) {
		return nil
	}
	return w.SetWriteDeadline(t)
}

// The years in which UnixNano means something.
const firstYear, lastYear = 1678, 2262

func unixNano(t time.Time) int64 {
	switch {
	case t.IsZero():
		return 0
	case t.Year() <= firstYear, t.UnixNano() == 0: // long over
		return 1
	case t.Year() >= lastYear: // as good as none
		return 0
	}
	return t.UnixNano()
}

func (s *Session) libraryDeadline() time.Time {
	if s.deadline == 0 {
		return time.Time{}
	}
	return time.Unix(0, s.deadline)
}
