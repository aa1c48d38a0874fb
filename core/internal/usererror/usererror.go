// Package usererror handles errors and panics of user code, which may be hostile: it
// makes their text at once (usererror.go), and searches their trees with a limit and
// without passing on their panics (errortree.go).
package usererror

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// The log's goroutine shows errors and panics of handlers after they happened. By then the
// memory that they point to may belong to another request: Fiber's strings are in buffers
// that the next request overwrites, and Gin and Echo reuse their contexts. So the text is
// made where the error happens.

// maxText is how many bytes of the text of an error or a panic are kept.
const maxText = 8 << 10

// fixed is an error of user code, with its text from the time at which it happened.
type fixed struct {
	text string
	err  error
	lent bool // err may hold text in a buffer that is reused
}

// Fix returns err with its text made now. lent says that the server reuses the buffers of
// a request.
func Fix(err error, lent bool) error {
	return &fixed{Text(err), err, lent}
}

func (e *fixed) Error() string { return e.text }

// Is is for errors.Is. In a lent error it compares only errors that hold no text, such as
// io.EOF, and calls no Is method.
func (e *fixed) Is(target error) (is bool) {
	defer func() { is = recover() == nil && is }()
	if !e.lent {
		return Is(e.err, target)
	}
	return holdsNoText(target) && Find(e.err, func(one error) bool { return holdsNoText(one) && one == target })
}

// As is for errors.As. It finds nothing in a lent error.
func (e *fixed) As(target any) (as bool) {
	defer func() { as = recover() == nil && as }()
	return !e.lent && errors.As(e.err, target)
}

// holdsNoText reports whether err can be compared without reading text: it is a pointer, a
// number, or of size zero.
func holdsNoText(err error) bool {
	t := reflect.TypeOf(err)
	return t != nil && (t.Kind() == reflect.Pointer || t.Kind() <= reflect.Complex128 || t.Size() == 0)
}

// FixPanic returns what is kept of the value of a panic: a bool or a number as it is, an
// error as Fix returns it, or else the text of the value.
func FixPanic(v any, lent bool) any {
	if err, ok := v.(error); ok {
		return Fix(err, lent)
	}
	switch v.(type) {
	case bool, int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64, uintptr, float32, float64, complex64, complex128:
		return v
	}
	return ValueText(v)
}

// ValueText returns the text of v. If v has no text of its own, it returns only the type,
// as the runtime does: other goroutines may be changing the fields.
func ValueText(v any) string {
	switch v.(type) {
	case error, fmt.Stringer:
		return Text(v)
	}
	switch k := reflect.ValueOf(v).Kind(); {
	case k >= reflect.Bool && k <= reflect.Complex128, k == reflect.String:
		return Text(v)
	}
	return fmt.Sprintf("(%T)", v)
}

// Text is fmt.Sprint for user code. It copies, and it contains the panics that fmt passes
// on: those of a value that a method of v panicked with.
func Text(v any) (text string) {
	defer func() {
		if recover() != nil {
			text = fmt.Sprintf("(%T, whose text cannot be made)", v)
		}
		if len(text) > maxText {
			text = strings.Clone(text[:maxText])
		}
	}()
	return fmt.Sprint(v)
}
