package conn

// The parts of Conn.answer, which is 0 before the first write: the status of the first
// response, or that the first bytes written were a TLS record or something else.
const (
	answerStatus    = 0xffff
	answerExplained = 1 << 16 // net/http wrote a reason: "400 Bad Request: why"
	answerTLS       = 1 << 17
	answerOther     = 1 << 18
	answerPart      = 1 << 19 // only the start of the answer to a handshake so far
	answerAt        = 20      // how far to shift for the number of its bytes
)

// noteAnswer notes what this side writes first. On a plain port its status line says
// how the server answered a request itself, without a handler; a TLS record says that
// TLS is above. The server wrote these bytes, so they are not hostile.
func (c *Conn) noteAnswer(p []byte) {
	v := uint32(answerOther)
	switch {
	case len(p) >= 3 && p[0] >= 0x14 && p[0] <= 0x17 && p[1] == 3:
		v = answerTLS
		if !c.source.TLS.Load() && c.headLen.Load() > 0 && c.head[0] == 0x16 { // a record answers a record
			c.source.TLS.Store(true)
		}
	case len(p) >= 12 && string(p[:7]) == "HTTP/1." && p[8] == ' ':
		if s := int(p[9]-'0')*100 + int(p[10]-'0')*10 + int(p[11]-'0'); s >= 100 && s <= 599 {
			v = uint32(s)
			if i := 12 + len(" Bad Request"); s == 400 && len(p) > i && p[i] == ':' {
				v |= answerExplained
			}
		}
	case len(p) == 0:
		return
	}
	c.answer.CompareAndSwap(0, v)
}

// unanswered reports whether the first answer, or the rest of its status line, is still
// to be written.
func (c *Conn) unanswered() bool {
	a := c.answer.Load()
	return (a == 0 || a&answerPart != 0) && !c.Saw(Closed)
}

// AwaitAnswer says that the next bytes written will answer a handshake.
func (c *Conn) AwaitAnswer() { c.answer.Store(0) }

// SetAnswered notes the status of an answer whose bytes c did not see.
func (c *Conn) SetAnswered(status int) { c.answer.Or(uint32(status)) }

// longestAlert is more than any TLS record with only an alert, and less than the records
// of the shortest answer to a handshake.
const longestAlert = 64

// noteUpgrade finds the answer to the handshake in what is written after a hijack,
// where gorilla/websocket writes it. In plain text it reads the status line, however
// the writes split it. TLS hides the status, but the length shows that it is an answer
// and not only the alert of a close.
func (c *Conn) noteUpgrade(p []byte) {
	s, a := c.current.Load(), c.answer.Load()
	switch {
	case s == nil:
		c.answer.Store(answerOther)
	case c.plain():
		for _, b := range p {
			if a = statusLine(a, b); a&answerPart == 0 {
				break
			}
		}
		c.answer.Store(a)
		if a&answerStatus != 0 && a&answerPart == 0 {
			s.Occupant.Confirm(int(a & answerStatus))
		}
	case int(a&answerStatus)+len(p) < longestAlert:
		c.answer.Store(answerPart | a + uint32(len(p)))
	default:
		c.answer.Store(answerOther)
		s.Occupant.Confirm(0)
	}
}

// plain reports whether c sees plain HTTP: the request was readable, or the server
// handed over the connection from above TLS.
func (c *Conn) plain() bool {
	return c.Provenance() >= SeenFromHijack || c.tls.Load() == nil && (c.headLen.Load() == 0 || c.head[0] >= 'A' && c.head[0] <= 'Z')
}

// statusLine takes the next byte of a status line such as "HTTP/1.1 101" and returns the
// next a: the part so far, the status, or answerOther.
func statusLine(a uint32, b byte) uint32 {
	const form = "HTTP/1.x sss"
	at, status := a>>answerAt, a&answerStatus
	switch f := form[at]; {
	case f == 's' && b >= '0' && b <= '9':
		status = status*10 + uint32(b-'0')
	case f == 'x', f == b:
	default:
		return answerOther
	}
	if at++; int(at) < len(form) {
		return answerPart | at<<answerAt | status
	}
	if status < 100 || status > 599 {
		return answerOther
	}
	return status
}
