// Package probetest does to a server what platforms, proxies and the open
// internet do to it: every kind of health probe, and every kind of failure, as
// a function of an address. It is for tests: of a server's own log and
// metrics, of a deployment, of middleware.
//
// It uses the standard library only and knows nothing of the server: any
// program that listens on a TCP port can be the target.
//
//	t := probetest.Target{Addr: "127.0.0.1:8080"}
//	_, err := probetest.Connect(ctx, t, probetest.FIN)            // a TCP probe
//	res, err := probetest.Do(ctx, t, probetest.Kubelet("/livez")) // an HTTP probe
//	ses, res, err := probetest.Open(ctx, t)                       // a WebSocket session
//
// [Stimuli] is the whole set as a table, for tests that want all of it.
//
// # What every function promises
//
// It uses one TCP connection of its own and closes it before it returns, but
// for [Open], whose session is the caller's. It ends at the deadline of its
// context or, where that has none, after [DefaultTimeout]; a context that is
// cancelled ends it at once. No goroutine of its own outlives it; those of
// net/http's client, which [KeyOverHTTP2] uses, end with the connection.
//
// Its HTTP and WebSocket bytes are the same each time, keys and masks included.
// RFC 6455 §4.1 and §5.3 want those to be unpredictable, against caches and
// intermediaries that a test does not have.
//
// An error means that the stimulus could not be carried out as described: no
// connection, a TLS handshake that should have succeeded and did not, or one
// that should have failed and did not, no answer in time. What the server did,
// however bad, is in the [Result] and is no error: a test decides whether it
// is right.
//
// # Limits
//
// After a reset some systems throw away what the receiver has not read yet.
// Linux keeps it, so that there a server sees the bytes before the reset.
package probetest
