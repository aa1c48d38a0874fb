// Package probetest does to a server what platforms, proxies and the open internet do to
// it. It has a function for each kind of health probe and each kind of failure, which
// takes the server's address. It is for tests of a server's own log and metrics, of a
// deployment, or of middleware.
//
// It uses the standard library only. Any program that listens on a TCP port can be the
// target.
//
//	t := probetest.Target{Addr: "127.0.0.1:8080"}
//	_, err := probetest.Connect(ctx, t, probetest.FIN)            // a TCP probe
//	res, err := probetest.Do(ctx, t, probetest.Kubelet("/livez")) // an HTTP probe
//	ses, res, err := probetest.Open(ctx, t)                       // a WebSocket session
//
// [Scenarios] returns all of them as a table.
//
// # What every function promises
//
// It opens one TCP connection and closes it before it returns; only the session of [Open]
// stays open, and the caller closes it. It ends at the deadline of its context, or after
// [DefaultTimeout] if the context has none. Cancelling the context ends it at once. It
// leaves no goroutine behind; those of net/http's client, which [KeyOverHTTP2] uses, end
// with the connection.
//
// Its HTTP and WebSocket bytes are the same each time, keys and masks included. RFC 6455
// §4.1 and §5.3 require unpredictable ones to protect caches and intermediaries, which a
// test does not have.
//
// An error means that the scenario could not be carried out as described: there was no
// connection, no answer in time, or a TLS handshake succeeded or failed when it should
// not have. What the server did, however bad, is in the [Result] and is not an error: the
// test decides whether it is right.
//
// # Limits
//
// After a reset some systems discard what the receiver has not read yet. Linux keeps it,
// so a server on Linux sees the bytes before the reset.
package probetest
