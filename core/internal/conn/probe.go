package conn

import (
	"bytes"
	"time"

	"github.com/quietws/quietws/core/event"
)

// What counts as a probe, by the transport alone:
//
//   - a TCP probe sends nothing and leaves within ProbeAge,
//   - a TLS probe completes its handshake, sends no request and leaves within ProbeAge,
//   - a PROXY probe sends a PROXY v2 LOCAL header, or another preamble, and leaves
//     without another byte.
//
// Whether a request is a probe is not decided here: core marks it as [Probe].

// ProbeAge is how soon after it connected a TCP or TLS probe has left again.
const ProbeAge = 5 * time.Second

// bare decides for a connection that asked for nothing: a probe left at once, others
// idled, or this server closed them.
func (e evidence) bare(probe event.Class) (event.Class, event.Reason) {
	switch {
	case e.readEnd == endTimeout, e.timeout > 0 && e.age >= e.timeout:
		return event.IdleConnect, event.NoReason
	case e.readEnd == endClosed, e.seen && e.in == 0 && e.readEnd == endNone:
		return event.ServerClosed, event.ReasonShutdown
	case e.age > ProbeAge:
		return event.IdleConnect, event.NoReason
	}
	return probe, event.NoReason
}

// proxied decides for a connection that began with a PROXY preamble. known is false if
// it did not.
func (e evidence) proxied() (class event.Class, reason event.Reason, known bool) {
	v2 := bytes.HasPrefix(e.head, []byte(proxyV2))
	if !v2 && !bytes.HasPrefix(e.head, []byte(proxyV1)) {
		return event.Undecided, event.NoReason, false
	}
	local := v2 && len(e.head) == headSize && e.head[12] == 0x20 && e.in == proxyV2Length(e.head)
	switch {
	case local, e.saw(PeerFirst), preambleAlone(e.head, e.in, e.tail) && (e.readEnd == endEOF || e.readEnd == endReset):
		return event.ProxyProbe, event.NoReason, true
	case !e.expectProxy:
		return event.WrongProtocol, event.ReasonProxyPreamble, true
	}
	return event.Undecided, event.NoReason, true // what came after the preamble decides
}
