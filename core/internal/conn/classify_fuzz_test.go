package conn

import (
	"crypto/tls"
	"slices"
	"testing"
	"time"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/conn/conntest"
)

// FuzzClassify: whatever the evidence is, a connection ends in exactly one class with a
// reason that the class can have, and a request is never lost.
func FuzzClassify(f *testing.F) {
	for _, head := range [][]byte{nil, conntest.LineProxyV1, conntest.ProxyV2Local, conntest.ProxyV2Addrs, conntest.H2Start, conntest.GetApp, conntest.GetHealth, []byte("\x16\x03\x01")} {
		for end := range byte(endOther + 1) {
			f.Add(head, uint32(0), byte(0), uint32(0), end, byte(1), byte(0), uint16(0), uint16(1000))
			f.Add(head, uint32(PeerFirst), byte(0), uint32(400), end, byte(1), byte(0), uint16(40), uint16(1000))
			f.Add(head, uint32(ActiveAgain), byte(0), uint32(0), end, byte(9), byte(0), uint16(40), uint16(1000))
			f.Add(head, uint32(Active), byte(Probe), uint32(answerTLS), end, byte(3), end, uint16(40), uint16(7000))
		}
	}
	refusals := event.HandshakeRefused.Reasons()
	f.Fuzz(func(t *testing.T, head []byte, facts uint32, outcomes byte, answer uint32, end, bits, tlsErr byte, out, age uint16) {
		x := evidence{
			facts: Fact(facts), outcomes: Outcome(outcomes), refused: refusals[int(tlsErr)%len(refusals)],
			head: head[:min(len(head), headSize)], in: int64(len(head)), out: int64(out),
			seen: bits&1 != 0, tls: bits&2 != 0, tlsUnknown: bits&6 == 6, h2: bits&8 != 0, expectProxy: bits&16 != 0,
			answer: answer, readEnd: endKind(end) % (endOther + 1), age: time.Duration(age) * time.Millisecond,
		}
		if !x.seen { // then there are no bytes, and the server's timeout is known
			x.head, x.in, x.out, x.timeout = nil, 0, 0, time.Duration(bits>>5)*time.Second
		}
		if x.tls && !x.tlsUnknown {
			x.tlsErr = tlsErrors[int(tlsErr)%len(tlsErrors)]
			x.tlsVersion = out % 2 * tls.VersionTLS13
		}
		class, reason := classify(x)
		if !slices.Contains(event.Classes(), class) || !belongs(class, reason) {
			t.Fatalf("%v with reason %q: %+v", class, reason, x)
		}
		// Without an outcome there was no request, unless the bytes or the server say so.
		request := class <= event.HTTPProbe
		shown := class == event.HTTP || class == event.Hijacked && !x.tls && x.status() == 101 ||
			class == event.HandshakeRefused && reason == event.ReasonHTTP2 && x.unserved()
		if x.outcomes != 0 && !request || x.outcomes == 0 && request && !shown {
			t.Fatalf("%v for a connection with outcomes %b", class, x.outcomes)
		}
		if class == event.TCPProbe && (x.in > 0 || x.age > ProbeAge) {
			t.Fatalf("a connection with %d bytes, gone after %v, is a tcp_probe", x.in, x.age)
		}
		if class.Probe() && class > event.HTTPProbe && x.saw(Drained) {
			t.Fatalf("a connection closed by the drain is a %v", class)
		}
	})
}
