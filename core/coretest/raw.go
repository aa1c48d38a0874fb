package coretest

import (
	"context"
	"io"

	"github.com/quietws/quietws/core/probetest"
)

// closeByte begins a close frame (RFC 6455 §5.2).
const closeByte = 0x80 | probetest.OpClose

// openOnly opens a session and reads what the server sends until it closes into
// [probetest.Result.Body]. It answers a close frame.
func openOnly(ctx context.Context, t probetest.Target) (probetest.Result, error) {
	s, res, err := probetest.Open(ctx, t)
	if err != nil {
		return res, err
	}
	defer func() { _, _ = s.Vanish(probetest.FIN) }()
	if deadline, ok := ctx.Deadline(); ok {
		_ = s.Conn().SetReadDeadline(deadline)
	}
	first := make([]byte, 512)
	n, err := s.Conn().Read(first)
	if n > 0 && first[0] == closeByte {
		_ = s.Send(ctx, probetest.CloseFrame(1000, ""))
		if deadline, ok := ctx.Deadline(); ok {
			_ = s.Conn().SetReadDeadline(deadline) // Send has cleared it
		}
	}
	var rest []byte
	if err == nil {
		rest, err = io.ReadAll(io.LimitReader(s.Conn(), 1<<20))
	}
	res.Body, res.Err = string(first[:n])+string(rest), err
	return res, nil
}

// getOnly requests path. It is not an error if no answer comes.
func getOnly(path string) func(context.Context, probetest.Target) (probetest.Result, error) {
	return func(ctx context.Context, t probetest.Target) (probetest.Result, error) {
		return probetest.Get(ctx, t, path, "")
	}
}
