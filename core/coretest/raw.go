package coretest

import (
	"context"
	"io"

	"github.com/quietws/quietws/core/probetest"
)

// openOnly opens a session and reads what the server sends until it closes.
func openOnly(ctx context.Context, t probetest.Target) (probetest.Result, error) {
	s, res, err := probetest.Open(ctx, t)
	if err != nil {
		return res, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = s.Conn().SetReadDeadline(deadline)
	}
	b, err := io.ReadAll(io.LimitReader(s.Conn(), 1<<20))
	res.Body, res.Err = string(b), err
	_, _ = s.Vanish(probetest.FIN)
	return res, nil
}

// getOnly asks for path, and does not mind where no answer comes.
func getOnly(path string) func(context.Context, probetest.Target) (probetest.Result, error) {
	return func(ctx context.Context, t probetest.Target) (probetest.Result, error) {
		return probetest.Get(ctx, t, path, "")
	}
}
