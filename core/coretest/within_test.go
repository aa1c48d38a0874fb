package coretest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// failing keeps the failures of a test.
type failing struct {
	testing.TB
	mu     sync.Mutex // a row and the one that waits for it may fail at once
	errors []string
}

func (f *failing) Helper() {}
func (f *failing) Errorf(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.errors = append(f.errors, fmt.Sprintf(format, args...))
}

func waitingHere(ctx context.Context) { <-ctx.Done() }

// A row that waits for ever fails by itself with its stack, and its later failures are
// ignored.
func TestRowThatDoesNotEnd(t *testing.T) {
	outer, left := &failing{TB: t}, make(chan struct{})
	within(outer, 10*time.Millisecond, func(t *heard, ctx context.Context) {
		defer close(left)
		t.Errorf("before")
		waitingHere(ctx)
		t.Fatalf("after")
	})
	<-left
	if len(outer.errors) != 2 || outer.errors[0] != "before" {
		t.Fatalf("failed with %q", outer.errors)
	}
	if got := outer.errors[1]; !strings.Contains(got, "no further for 10ms") || !strings.Contains(got, "coretest.waitingHere") {
		t.Errorf("failed with %s", got)
	}
}

// Fatalf ends a row at once.
func TestRowThatFails(t *testing.T) {
	outer := &failing{TB: t}
	within(outer, time.Minute, func(t *heard, _ context.Context) {
		fail := t.Fatalf
		fail("one")
		t.Errorf("two")
	})
	if len(outer.errors) != 1 || outer.errors[0] != "one" {
		t.Errorf("failed with %q", outer.errors)
	}
}
