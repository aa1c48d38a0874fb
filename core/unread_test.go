package core

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
)

// What a server could not read is sorted by type, nothing of it is answered, and
// a limit of the application's is the application's to answer.
func TestUnread(t *testing.T) {
	transport := func(err error) error { return &net.OpError{Op: "read", Err: err} }
	for _, row := range []struct {
		rule   string
		limit  int
		err    error
		reason Reason
		status int
		ours   bool
	}{
		{"a passed limit", 431, errors.New("too long"), ReasonTooLarge, 431, false},
		{"half a head, then a reset", 0, fmt.Errorf("head: %w", transport(syscall.ECONNRESET)), ReasonTruncated, 400, true},
		{"half a head, then an end", 0, fmt.Errorf("head: %w", io.ErrUnexpectedEOF), ReasonTruncated, 400, true},
		{"half a head, then silence", 0, fmt.Errorf("head: %w", transport(os.ErrDeadlineExceeded)), ReasonTimeout, 408, true},
		{"words that are no request", 0, errors.New("no method in s3cr3t"), ReasonMalformed, 400, true},
		{"a reset before anything came", 0, transport(syscall.ECONNRESET), NoReason, 400, true},
	} {
		g := quietGuard(t, Config{})
		c := watched(g, &script{})
		a, ours := g.Adapter().Unread(c, row.limit, row.err)
		if got := Reason(c.ends.Load() >> unreadFor); got != row.reason || ours != row.ours || ours && a.Status != row.status {
			t.Errorf("%s: reason %v, answer %d, ours %v; want %v, %d, %v", row.rule, got, a.Status, ours, row.reason, row.status, row.ours)
		}
		_ = c.Close()
	}
}

// A default health route whose owner shows when it has answered is the
// application's for what it has a route for, or a middleware that answers.
func TestFallbackMatch(t *testing.T) {
	for _, row := range []struct {
		m      Match
		status int
		ours   bool
	}{
		{MatchUnknown, 404, true}, {MatchUnknown, 401, true}, {MatchUnknown, 200, false}, {MatchUnknown, 500, false},
		{MatchPattern, 200, true}, {MatchPattern, 503, true}, {MatchPattern, 404, true},
		{MatchMiddleware, 401, true}, {MatchMiddleware, 404, true}, {MatchMiddleware, 302, true},
		{MatchMiddleware, 200, false}, {MatchMiddleware, 503, false},
		{MatchExact, 404, false}, {MatchExact, 200, false},
	} {
		g := quietGuard(t, Config{})
		h := pathHead("/readyz")
		q := g.Adapter().Owner(func(Head) (bool, bool) { return false, false }).Begin(h, nil)
		if !q.Undecided() {
			t.Fatal("the owner could not be asked, and it is decided")
		}
		if _, ours := q.Fallback(h, row.status, row.m); ours != row.ours {
			t.Errorf("match %d, status %d: ours is %v", row.m, row.status, ours)
		}
		q.Done(row.status, nil)
	}
}
