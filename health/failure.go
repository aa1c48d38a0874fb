package health

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrTimeout is in [Change.Err] when a run took longer than its timeout.
	ErrTimeout = errors.New("timed out")
	// ErrStale is in [Change.Err] when a check had no result for its MaxAge.
	ErrStale = errors.New("stale")

	errExit = errors.New("ended its goroutine without returning")
)

// PanicError is in [Change.Err] when a check panicked. It has the value and the stack of
// debug.Stack.
type PanicError struct {
	Value any
	Stack []byte
}

// Error does not contain the stack.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// describe returns the text of err as valid UTF-8 of limited length, "" for nil. It calls
// the user's code.
func describe(err error) (text string) {
	if err == nil {
		return ""
	}
	defer func() {
		if recover() != nil {
			text = "an error whose Error panics"
		}
	}()
	text = err.Error()
	if len(text) > maxText {
		text = text[:maxText] + "…"
	}
	if text = strings.ToValidUTF8(text, ""); text == "" {
		text = "an error without a text"
	}
	return text
}

// maxText is how many bytes of an error's text are kept.
const maxText = 300
