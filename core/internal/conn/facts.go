package conn

import "github.com/quietws/quietws/core/event"

// Fact is something that was seen of a connection. HandedOver, Closed, Over and Decided
// are its phases, see [Conn].
type Fact uint32

const (
	Closed       Fact = 1 << iota // phase: Close was called
	Decided                       // phase: the class is decided
	Attached                      // its server reports its states, with ConnState
	Active                        // the server saw bytes above TLS
	ActiveAgain                   // the server reported that a second time: over HTTP/2 a stream began
	HTTP2                         // a request came over HTTP/2
	PastDeadline                  // the read deadline was already past when it was set
	PeerFirst                     // the peer ended before this side wrote anything
	Drained                       // the guard closed it in a drain
	Preface                       // the server took an HTTP/2 preface for a request
	Upgraded                      // it left HTTP by a WebSocket handshake
	HandedOver                    // phase: the server reported that it was hijacked
	Over                          // phase: the transport has ended
	Indexed                       // it is in the registry's index
)

// Saw reports whether any of f was seen.
func (c *Conn) Saw(f Fact) bool { return c.facts.Load()&uint32(f) != 0 }

// Note notes f and reports whether it was new.
func (c *Conn) Note(f Fact) bool { return c.facts.Or(uint32(f))&uint32(f) == 0 }

// Forget takes f back. No phase is ever taken back.
func (c *Conn) Forget(f Fact) { c.facts.And(^uint32(f)) }

// Outcome is what one request on a connection was. The first in this list that a
// connection had decides its class.
type Outcome uint32

const (
	Panicked      Outcome = 1 << iota // a handler panicked
	UpgradeFailed                     // a good handshake was not completed
	Session                           // a WebSocket session
	Hijacked                          // it left HTTP, but not for WebSocket
	Refused                           // a handshake was refused
	ProbeFailing                      // a known prober got a bad answer
	Ordinary                          // an ordinary request of the application
	Probe                             // a health answer, or a request of a known prober

	AnyRequest = 1<<iota - 1 // there was a request, so its TLS handshake was good
)

// Had reports whether any of o was marked.
func (c *Conn) Had(o Outcome) bool { return c.outcomes.Load()&uint32(o) != 0 }

// Mark notes o and reports whether it was new.
func (c *Conn) Mark(o Outcome) bool { return c.outcomes.Or(uint32(o))&uint32(o) == 0 }

// MarkRefused marks a refused handshake. Of several reasons the connection keeps the
// most significant: the first in the order of the reasons.
func (c *Conn) MarkRefused(r event.Reason) {
	for {
		old := c.ends.Load()
		if was := event.Reason(old >> refusedFor & 0xff); was != 0 && was <= r {
			break
		}
		if c.ends.CompareAndSwap(old, old&^(0xff<<refusedFor)|uint32(r)<<refusedFor) {
			break
		}
	}
	c.Mark(Refused)
}

// Asked reports whether a request, or the start of one, has come on c. The first request
// does not show under TLS, nor where the guard did not accept c.
func (c *Conn) Asked() bool {
	return c.Had(AnyRequest) || c.tls.Load() == nil && c.In.Load() > 0 &&
		!preambleAlone(c.head[:c.headLen.Load()], c.In.Load(), c.tail.Load())
}
