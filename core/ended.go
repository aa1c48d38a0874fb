package core

import (
	"time"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/conn"
	"github.com/quietws/quietws/core/internal/journal"
	"github.com/quietws/quietws/core/internal/prober"
	"github.com/quietws/quietws/core/internal/remedy"
)

// host is a Guard as its connections see it.
type host Guard

// Over implements conn.Host.
func (h *host) Over(c *conn.Conn, end conn.End) { (*Guard)(h).over(c, end) }

// over counts a connection, and logs it unless a request on it was logged.
func (g *Guard) over(c *conn.Conn, end conn.End) {
	if end.Uncounted {
		return
	}
	if end.Bytes {
		g.listensAlone()
	}
	g.stats.countClosed(c, end.Class)
	if end.Unserved {
		g.refusedOverHTTP2(c, "")
	}
	if loggedByRequest(end.Class) {
		return
	}
	var e event.Event
	as := journal.Ordinary
	e.Class, e.Reason, e.Status, e.Time = end.Class, end.Reason, end.Status, time.Now()
	g.fill(c, &e)
	if e.Class == event.TLSFailed {
		if e.Err = end.TLSErr; end.Panicked {
			as = journal.Elsewhere
		}
	}
	if limit := g.servers.headLimit.Load(); e.Reason == event.ReasonTooLarge && end.Seen && end.In < limit {
		e.Remedy = remedy.ManyFields
	}
	if e.Class.Probe() {
		p := prober.None
		if e.Platform {
			p = g.proberAt(e.Remote.Addr())
		}
		g.stats.countProbe(e.Class, p, false)
		if e.Platform {
			g.sawProber(p, e.Time)
		}
	}
	g.logEventAs(&e, as)
}

// loggedByRequest reports whether events of this class are logged when they happen, by a
// request on the connection.
func loggedByRequest(c event.Class) bool {
	switch c {
	case event.HandlerPanic, event.UpgradeFailed, event.SessionEnded, event.HandshakeRefused, event.ProbeFailing, event.HTTP, event.HTTPProbe:
		return true
	}
	return false
}

// fill adds to e what the transport knows of the peer.
func (g *Guard) fill(c *conn.Conn, e *event.Event) {
	e.Remote = c.Remote()
	e.Platform = g.platform(e.Remote.Addr()) || !e.Remote.IsValid() && isUnix(c.Conn.RemoteAddr())
	if e.Prober == "" && e.Platform && e.Class.Probe() {
		e.Prober = g.proberAt(e.Remote.Addr()).String()
	}
}
