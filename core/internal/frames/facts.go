package frames

// Side is one end of a session.
type Side uint8

// The sides, and neither.
const (
	Neither Side = iota
	Server
	Client
)

// Facts is what is known of a session at a moment.
type Facts struct {
	Opened   bool // the answer to the handshake is out, as far as it was followed
	Followed bool // what the server sends is understood, and all of it is seen
	Heard    bool // what the client sends is understood

	// By is the side whose close frame was first: the client's where it had been
	// read when the server's began to be written (RFC 6455 §7.1.5).
	By Side
	// Sent and Received are the codes of whole close frames, 0 without one, 1005
	// where it has no code.
	Sent, Received uint16
	// Answered: both close frames are whole.
	Answered bool
	// Ours: the server's close frame is that of Session.Close.
	Ours bool

	MessagesIn, MessagesOut uint64 // data messages that ended
	Discarded               uint64 // the library's data messages after or around our close frame
	LastIn, LastOut         int64  // Unix milliseconds of the last byte, 0 for none
	PingsIn, PongsIn        uint32
	PingsOut, PongsOut      uint32 // the library's own
}

// Facts returns what is known now. It never waits for a Write.
func (s *Session) Facts() Facts {
	s.state.Lock()
	defer s.state.Unlock()
	flags := s.flags.Load()
	f := Facts{
		Opened:      flags&started != 0 && !s.out.is(inAnswer),
		Followed:    flags&started != 0 && flags&off == 0,
		Heard:       flags&started != 0 && !s.in.Broken(),
		Ours:        flags&begun != 0,
		MessagesIn:  s.in.messages,
		MessagesOut: s.out.messages,
		LastIn:      s.lastIn,
		LastOut:     s.lastOut,
		PingsIn:     s.in.pings,
		PongsIn:     s.in.pongs,
		PingsOut:    s.out.pings,
		PongsOut:    s.out.pongs,
	}
	switch {
	case flags&begun != 0, flags&libraryClose != 0 && flags&peerFirst == 0:
		f.By = Server
	case s.in.Closing():
		f.By = Client
	}
	f.Received, _ = s.in.Closed()
	sent := flags&whole != 0
	if f.Ours {
		if sent {
			f.Sent = s.code
		}
		f.MessagesOut = s.atClose
		f.Discarded = s.out.messages - s.atClose
		if s.out.is(fragmented) || s.inDataFrame() {
			f.Discarded++
		}
	} else {
		f.Sent, sent = s.out.Closed()
	}
	f.Answered = sent && s.in.is(closed)
	return f
}

// inDataFrame reports whether the library is inside the first frame of a message.
func (s *Session) inDataFrame() bool { return s.out.n > 0 && s.out.touchesData() }
