package health

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrTimeout is in [Change.Err] when a run took longer than its timeout.
	ErrTimeout = errors.New("timed out")
	// ErrStale is in [Change.Err] when a check was not heard of for its MaxAge.
	ErrStale = errors.New("stale")

	errExit = errors.New("ended its goroutine without returning")
)

// PanicError is in [Change.Err] when a check panicked: the value, and the stack as
// debug.Stack has it.
type PanicError struct {
	Value any
	Stack []byte
}

// Error does not contain the stack.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// describe returns the text of err, valid and cut; "" for nil. It calls code
// of the user's.
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

// maxText is how much of an error is kept, in bytes.
const maxText = 300
