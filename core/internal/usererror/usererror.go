// Package usererror looks at the errors and panics of code that is not ours: their
// text is made at once, their trees are searched contained and bounded.
package usererror

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// Errors and panics of handlers are shown later than they happened, by the log's
// goroutine, when whatever they point to may be another request's: Fiber's strings
// lie in buffers that the next request overwrites, and Gin and Echo use their
// contexts again. So their text is made where they happened.

// journal.MaxText is how much text of an error or a panic is kept.
const maxText = 8 << 10

// fixed is an error of user code with the text that it had when it happened.
type fixed struct {
	text string
	err  error
	lent bool // err may hold text of a buffer that is used again
}

// Fix makes the text of err. lent says that the server uses the buffers of a
// request again.
func Fix(err error, lent bool) error {
	return &fixed{Text(err), err, lent}
}

func (e *fixed) Error() string { return e.text }

// Is is for errors.Is. Of a lent error it compares what holds no text, such as
// io.EOF; the Is methods of such errors are not asked.
func (e *fixed) Is(target error) (is bool) {
	defer func() { is = recover() == nil && is }()
	if !e.lent {
		return Is(e.err, target)
	}
	return holdsNoText(target) && Find(e.err, func(one error) bool { return holdsNoText(one) && one == target })
}

// As is for errors.As, and gives out nothing of a lent error.
func (e *fixed) As(target any) (as bool) {
	defer func() { as = recover() == nil && as }()
	return !e.lent && errors.As(e.err, target)
}

// holdsNoText reports whether err can be compared without a look at any text: a
// pointer, a number, or nothing at all.
func holdsNoText(err error) bool {
	t := reflect.TypeOf(err)
	return t != nil && (t.Kind() == reflect.Pointer || t.Kind() <= reflect.Complex128 || t.Size() == 0)
}

// FixPanic returns what is kept of a panic's value: a number, a string, an error
// with its text, or else the text of the value.
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

// ValueText says what v is. As in the runtime, a value that cannot describe itself
// is named by its type only: its fields may be changing in other goroutines.
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

// Text is fmt.Sprint for user code: it copies, and contains the panics that fmt
// lets pass, which are those of a value that a method of v panicked with.
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
