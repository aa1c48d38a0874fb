package core

import "time"

// decide runs once for each connection, when it is closed and no request on it
// is unfinished: the class is counted, and told where no request told it.
func (c *Conn) decide() {
	if !c.set(flagDecided) {
		return
	}
	g := c.ln.g
	x := c.current.Load()
	if x != nil && x.opened.Load() {
		x.settleSession(c)
	}
	g.conns.remove(c)
	f := c.facts()
	class, reason := classify(f)
	if c.is(flagUncounted) {
		return
	}
	g.stats.countClosed(c, class)
	if toldByRequest(class) {
		return
	}
	e := Event{Class: class, Reason: reason, Status: f.status(), Err: f.tlsErr}
	c.fill(&e)
	if class.Probe() {
		p := prober(0)
		if e.Platform {
			p = proberByAddr(e.Remote.Addr())
		}
		g.stats.countProbe(class, p, false, e.Platform)
	}
	g.tell(e)
}

// toldByRequest reports whether connections of this class were told when it
// happened, by a request on them.
func toldByRequest(c Class) bool {
	switch c {
	case HandlerPanic, UpgradeFailed, SessionEnded, HandshakeRefused, ProbeFailing, HTTP, HTTPProbe:
		return true
	}
	return false
}

// facts gathers what is known of a connection that is over.
func (c *Conn) facts() facts {
	f := facts{
		flags:       c.flags.Load(),
		refused:     Reason(c.refused.Load()),
		head:        c.head[:c.headLen.Load()],
		in:          c.in.Load(),
		out:         c.out.Load(),
		seen:        !c.is(flagShadow | flagSeenLate | flagUncounted),
		answer:      c.answer.Load(),
		readEnd:     endKind(c.readEnd.Load()),
		age:         c.ln.g.now() - c.accepted,
		timeout:     c.ln.timeout,
		expectProxy: c.ln.g.config.ExpectProxy,
		h2:          c.is(flagH2),
	}
	if ms := c.endAge.Load(); ms != 0 {
		f.age = time.Duration(ms-1) * time.Millisecond
	}
	above := c.tls.Load()
	f.tlsUnknown = above == nil && c.ln.tls.Load()
	f.tls = above != nil || f.tlsUnknown
	if above != nil && f.flags&flagsRequest == 0 {
		f.tlsErr = above.Handshake() // the stored result: it is over
		state := above.ConnectionState()
		f.tlsVersion = state.Version
		f.h2 = state.NegotiatedProtocol == "h2"
	}
	return f
}

// flagsRequest are the flags of a connection that had a request: its TLS
// handshake was good.
const flagsRequest = flagPanic | flagUpgradeFailed | flagSession | flagHijacked | flagRefused | flagProbeFailing | flagOrdinary | flagProbe

// peerGone reports whether the peer was seen to be gone.
func (c *Conn) peerGone() bool {
	end := endKind(c.readEnd.Load())
	return end == endEOF || end == endReset || endKind(c.writeEnd.Load()) == endReset
}

// fill adds to e what the transport says of the peer.
func (c *Conn) fill(e *Event) {
	e.Remote = c.remote()
	e.Platform = c.ln.g.platform(e.Remote.Addr())
	if e.Prober == "" && e.Platform {
		e.Prober = proberByAddr(e.Remote.Addr()).String()
	}
}
