package usererror

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/quietws/quietws/core/internal/usererror/hostile"
)

// Whatever error user code comes with: what is asked of it is answered, and nothing of
// it gets out.
func TestHostileErrors(t *testing.T) {
	for i, err := range hostile.Errors() {
		if Is(err, context.Canceled) || IsTimeout(err) || OpError(err) != nil && i < 6 {
			t.Errorf("%d, %T: it is none of these", i, err)
		}
		_, _ = Text(err), Fix(err, false).Error()
	}
}

func TestErrorTree(t *testing.T) {
	deep := context.Canceled
	for range maxErrors - 1 {
		deep = fmt.Errorf("and %w", deep)
	}
	if !Is(deep, context.Canceled) || Is(fmt.Errorf("and %w", deep), context.Canceled) {
		t.Errorf("%d errors are looked at, and no more", maxErrors)
	}
	if !Is(errors.Join(io.EOF, deep), context.DeadlineExceeded, io.EOF) {
		t.Error("any of the targets counts")
	}
	dial := (&net.Dialer{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := dial.DialContext(ctx, "tcp", "127.0.0.1:1"); !Is(err, context.Canceled) {
		t.Errorf("%v is context.Canceled by its method Is", err)
	}
	if errno, ok := As[syscall.Errno](os.NewSyscallError("accept", syscall.EMFILE)); !ok || errno != syscall.EMFILE {
		t.Errorf("%v, %t", errno, ok)
	}
}
