// Package frames follows a WebSocket session by the heads of its frames (RFC 6455
// §5.2) and writes a control frame of its own between two messages of a library
// that knows nothing of it.
//
// A [Stream] follows one direction: it reads heads and skips payloads by their
// length, except for the two bytes of a close code. A [Session] has both
// directions of a server's session; every Read and Write of the connection is to
// go through it once the handshake has been judged. Package core does not use it
// yet.
//
// The package has no goroutine, no connection, no clock and no log: the
// connection and the time come in as a [Wire] with each call. The caller decides
// when to ask for a close and when to give up; see [Session.Close] and
// [Session.Push].
package frames
