package coretest

import (
	"bytes"
	"context"
	"runtime"
	"sync"
	"testing"
	"time"
)

// rowLimit is how long a row may go without progress. There is no limit for a full row,
// because some make hundreds of connections.
const rowLimit = 10 * time.Second

// within calls f. If f neither returns nor calls step within the limit, t fails with the
// stack of f, the context of f ends, and later failures of f are ignored.
func within(t testing.TB, limit time.Duration, f func(*heard, context.Context)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	mine, done, at := &heard{TB: t, step: func() { timer.Reset(limit) }}, make(chan struct{}), make(chan string, 1)
	go func() {
		defer close(done)
		at <- goroutine()
		f(mine, ctx)
	}()
	select {
	case <-done:
	case <-timer.C:
		t.Errorf("the row has gone no further for %v; it is in\n%s", limit, stackOf(<-at))
		mine.mute()
	}
}

// goroutine is the start of the stack of the calling goroutine, such as "goroutine 7 ".
func goroutine() string {
	b := make([]byte, 64)
	b = b[:runtime.Stack(b, false)]
	return string(b[:bytes.IndexByte(b, '[')])
}

// stackOf returns the stack with this start.
func stackOf(begin string) string {
	b := make([]byte, 16<<20)
	for stack := range bytes.SplitSeq(b[:runtime.Stack(b, true)], []byte("\n\n")) {
		if bytes.HasPrefix(stack, []byte(begin)) {
			return string(stack)
		}
	}
	return "a place that it has left"
}

// heard is a test whose function runs in another goroutine. mute makes it ignore failures.
type heard struct {
	testing.TB
	step  func() // called when the row makes progress
	mu    sync.Mutex
	muted bool
}

func (h *heard) mute() {
	h.mu.Lock()
	h.muted = true
	h.mu.Unlock()
}

// say calls f unless h is mute.
func (h *heard) say(f func()) {
	h.TB.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.muted {
		f()
	}
}

func (h *heard) Log(args ...any) {
	h.TB.Helper()
	h.say(func() { h.TB.Helper(); h.TB.Log(args...) })
}

func (h *heard) Logf(format string, args ...any) {
	h.TB.Helper()
	h.say(func() { h.TB.Helper(); h.TB.Logf(format, args...) })
}

func (h *heard) Error(args ...any) {
	h.TB.Helper()
	h.say(func() { h.TB.Helper(); h.TB.Error(args...) })
}

func (h *heard) Errorf(format string, args ...any) {
	h.TB.Helper()
	h.say(func() { h.TB.Helper(); h.TB.Errorf(format, args...) })
}

func (h *heard) Fatal(args ...any) {
	h.TB.Helper()
	h.say(func() { h.TB.Helper(); h.TB.Error(args...) })
	runtime.Goexit()
}

func (h *heard) Fatalf(format string, args ...any) {
	h.TB.Helper()
	h.say(func() { h.TB.Helper(); h.TB.Errorf(format, args...) })
	runtime.Goexit()
}

func (h *heard) FailNow() {
	h.say(h.TB.Fail)
	runtime.Goexit()
}
