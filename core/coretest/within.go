package coretest

import (
	"bytes"
	"context"
	"runtime"
	"sync"
	"testing"
	"time"
)

// rowLimit is how long a row may stay where it is. A row as a whole takes as long as
// its connections, of which some make hundreds, take on a busy machine.
const rowLimit = 10 * time.Second

// within calls f. Where it has neither returned nor called step within the limit, t
// fails with the place where f is, f's context ends, and what f says later is not
// heard.
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

// goroutine is how the stack of the calling goroutine begins, such as
// "goroutine 7 ".
func goroutine() string {
	b := make([]byte, 64)
	b = b[:runtime.Stack(b, false)]
	return string(b[:bytes.IndexByte(b, '[')])
}

// stackOf returns the stack that begins so.
func stackOf(begin string) string {
	b := make([]byte, 16<<20)
	for stack := range bytes.SplitSeq(b[:runtime.Stack(b, true)], []byte("\n\n")) {
		if bytes.HasPrefix(stack, []byte(begin)) {
			return string(stack)
		}
	}
	return "a place that it has left"
}

// heard is a test whose function runs in a goroutine of its own, until mute.
type heard struct {
	testing.TB
	step  func() // is called where the row goes on
	mu    sync.Mutex
	muted bool
}

func (h *heard) mute() {
	h.mu.Lock()
	h.muted = true
	h.mu.Unlock()
}

// say calls f where h is still heard.
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
