package usererror

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"unsafe"
)

// textError is an error whose text, and its Is method, lie in a buffer.
type textError string

func (e textError) Error() string { return string(e) }

type brokenError struct{ with any }

func (e brokenError) Error() string          { panic(e.with) }
func (e brokenError) Is(error) bool          { panic(e.with) }
func (e brokenError) As(any) bool            { panic(e.with) }
func (e *badStringer) String() string        { panic(e) }
func (*badStringer) GoString() string        { panic("GoString") }
func (*badFormatter) Format(fmt.State, rune) { panic(brokenError{brokenError{1}}) }

type (
	badStringer  struct{ io.Reader }
	badFormatter struct{ error }
)

func TestTextOfUserCodeIsFixed(t *testing.T) {
	buffer := []byte("the first client")
	lent := unsafe.String(&buffer[0], len(buffer))
	wrapped := fmt.Errorf("wrapped: %w", errors.Join(textError(lent), io.EOF, syscall.EPIPE, net.ErrClosed))
	const want = "wrapped: the first client\nEOF\nbroken pipe\nuse of closed network connection"
	onHTTP, onFiber := Fix(wrapped, false), Fix(wrapped, true)
	panics := []any{FixPanic(lent, true), FixPanic(textError(lent), true), FixPanic(textError(lent), false)}
	same := textError("the first client")
	var as textError
	if !errors.Is(onHTTP, same) || !errors.As(onHTTP, &as) || errors.Is(onFiber, same) || errors.As(onFiber, &as) {
		t.Error("off Fiber an error answers as itself, and on Fiber for nothing that has text")
	}
	for _, err := range []error{onHTTP, onFiber} {
		for _, target := range []error{io.EOF, syscall.EPIPE, net.ErrClosed} {
			if !errors.Is(err, target) {
				t.Errorf("%v is not %v", err, target)
			}
		}
		if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, nil) || errors.Is(err, errors.New("EOF")) {
			t.Error("an error is what it is not")
		}
	}
	copy(buffer, "another client's")
	if onHTTP.Error() != want || onFiber.Error() != want {
		t.Errorf("the text has changed: %q, %q", onHTTP, onFiber)
	}
	for _, p := range panics {
		if fmt.Sprint(p) != "the first client" {
			t.Errorf("the panic has changed: %v", p)
		}
	}
}

func TestWhatIsKeptOfAPanic(t *testing.T) {
	var nilError *badStringer
	type number int
	for _, row := range []struct {
		value any
		want  any
	}{
		{"text", "text"}, {7, 7}, {true, true}, {number(7), "7"}, {textError("text"), "text"}, {nilError, "<nil>"},
		{struct{ secret string }{"secret"}, `(struct { secret string })`},
		{[]byte("bytes"), "([]uint8)"}, {strings.Repeat("x", 1<<20), strings.Repeat("x", maxText)},
		{brokenError{"again"}, "%!v(PANIC=Error method: again)"},
		{brokenError{brokenError{1}}, "(usererror.brokenError, whose text cannot be made)"},
		{&badStringer{}, "(*usererror.badStringer, whose text cannot be made)"},
		{&badFormatter{}, "(*usererror.badFormatter, whose text cannot be made)"},
	} {
		for _, lent := range []bool{false, true} {
			got := FixPanic(row.value, lent)
			if err, ok := got.(error); ok {
				got = err.Error()
				if errors.Is(err, io.EOF) || errors.As(err, new(*net.OpError)) {
					t.Errorf("%T is another error", row.value)
				}
			}
			if got != row.want {
				t.Errorf("of %T there is %#v, want %#v", row.value, got, row.want)
			}
		}
	}
}
