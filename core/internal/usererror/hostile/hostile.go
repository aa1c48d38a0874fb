// Package hostile has the errors that user code comes with on its worst days, for
// tests of whatever is asked about errors.
package hostile

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
)

// nilError is the classic: a nil pointer in an error.
type nilError struct{ err error }

func (e *nilError) Error() string   { return e.err.Error() }
func (e *nilError) Unwrap() error   { return e.err }
func (e *nilError) Is(error) bool   { return e.err != nil }
func (e *nilError) Timeout() bool   { return e.err != nil }
func (e *nilError) Temporary() bool { return false }

// circle is an error that wraps itself.
type circle struct{}

func (c circle) Error() string   { return "circle" }
func (c circle) Unwrap() error   { return c }
func (c circle) Timeout() bool   { return false }
func (c circle) Temporary() bool { return false }

type manyCircles struct{}

func (m manyCircles) Error() string   { return "circles" }
func (m manyCircles) Unwrap() []error { return []error{m, m} }

type badText struct{ _ []string }

func (badText) Error() string { panic("Error panics") }

// Errors returns errors whose methods panic, run in a circle or are called on nil.
func Errors() []error {
	return []error{
		(*nilError)(nil), fmt.Errorf("wrapped: %w", (*nilError)(nil)), errors.Join(io.ErrNoProgress, (*nilError)(nil)),
		circle{}, manyCircles{}, badText{}, (*net.OpError)(nil), (*os.SyscallError)(nil), (*tls.CertificateVerificationError)(nil),
		&net.OpError{}, &net.OpError{Err: (*nilError)(nil)},
	}
}
