package conn

// The phases of a connection are in the comment of [Conn]. Here is what moves it from
// closed to over and from over to decided.

// Begin counts a request as unfinished. It returns false if the class is decided
// already; the request is then an event only.
func (c *Conn) Begin() bool {
	for {
		n := c.refs.Load()
		if n <= 0 {
			return false
		}
		if c.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// Release drops one reference. The call that drops the last one decides the class.
func (c *Conn) Release() {
	if c.refs.Add(-1) == 0 {
		c.decide()
	}
}

// Idle reports whether c is not over and has no unfinished request.
func (c *Conn) Idle() bool { return c.refs.Load() == 1 }

// closed runs once, after Close. A server that reports the states of its connections
// reports later that it is finished with this one, and that counts: by then a TLS
// handshake has ended. Otherwise a goroutine waits for a running handshake, because the
// caller of Close may hold the lock of that handshake.
func (c *Conn) closed() {
	if c.Saw(Attached) && !c.Saw(HandedOver) {
		return
	}
	if above := c.tls.Load(); above != nil && !c.Had(Ordinary|Probe|Session|Refused|UpgradeFailed|Hijacked) {
		go func() {
			_ = above.ConnectionState()
			c.Over()
		}()
		return
	}
	c.Over()
}

// Over says that nothing more will happen on the transport. It drops the reference that
// New took, once.
func (c *Conn) Over() {
	if c.Note(Over) {
		c.Release()
	}
}

// decide runs once for each connection, when it is over and its last request is
// finished.
func (c *Conn) decide() {
	if !c.Note(Decided) {
		return
	}
	if s := c.current.Load(); s != nil {
		s.Occupant.Leave()
	}
	c.source.Watch.Conns.remove(c)
	c.report()
}

// GiveUp closes c, on which no request came, because its server gives up with err.
func (c *Conn) GiveUp(err error) {
	c.lastLook() // before the error hides that the peer may be leaving
	c.setEnd(readEnd, endOf(err))
	_ = c.Close()
}
