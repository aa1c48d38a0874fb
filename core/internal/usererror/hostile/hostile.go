// Package hostile has the worst errors that user code may return, for tests of code that
// takes errors.
package hostile

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
)

// nilError is for the common case: a nil pointer in an error.
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

// manyCircles is an error that wraps itself twice.
type manyCircles struct{}

func (m manyCircles) Error() string   { return "circles" }
func (m manyCircles) Unwrap() []error { return []error{m, m} }

// badText is an error whose text cannot be made and that cannot be compared.
type badText struct{ _ []string }

func (badText) Error() string { panic("Error panics") }

// Errors returns errors whose methods panic, never end or are called on nil.
func Errors() []error {
	return []error{
		(*nilError)(nil), fmt.Errorf("wrapped: %w", (*nilError)(nil)), errors.Join(io.ErrNoProgress, (*nilError)(nil)),
		circle{}, manyCircles{}, badText{}, (*net.OpError)(nil), (*os.SyscallError)(nil), (*tls.CertificateVerificationError)(nil),
		&net.OpError{}, &net.OpError{Err: (*nilError)(nil)},
	}
}
