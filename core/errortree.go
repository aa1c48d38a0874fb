package core

import (
	"net"
	"reflect"
	"slices"
)

// The errors of handlers, listeners, connections and TLS callbacks are user code:
// a nil pointer in an error, whose methods then panic, is common, and Unwrap may go
// round in a circle. So nothing here asks errors.Is or errors.As about one.

// maxErrors bounds how many errors of a tree are looked at.
const maxErrors = 32

// findError calls match for each error in err's tree, in the order of errors.Is,
// until it is true, and reports whether it was. A panic ends the search, as does
// the error after maxErrors.
func findError(err error, match func(error) bool) (found bool) {
	defer func() {
		if recover() != nil {
			found = false
		}
	}()
	left := maxErrors
	return searchError(err, match, &left)
}

func searchError(err error, match func(error) bool, left *int) bool {
	for err != nil && *left > 0 {
		*left--
		if match(err) {
			return true
		}
		switch e := err.(type) {
		case interface{ Unwrap() error }:
			err = e.Unwrap()
		case interface{ Unwrap() []error }:
			return slices.ContainsFunc(e.Unwrap(), func(one error) bool { return searchError(one, match, left) })
		default:
			return false
		}
	}
	return false
}

// errorIs is errors.Is, true for any of the targets.
func errorIs(err error, targets ...error) bool {
	return findError(err, func(e error) bool {
		is, _ := e.(interface{ Is(error) bool })
		return slices.ContainsFunc(targets, func(t error) bool {
			return reflect.TypeOf(t) == reflect.TypeOf(e) && reflect.TypeOf(e).Comparable() && e == t || is != nil && is.Is(t)
		})
	})
}

// errorAs is errors.As by the type alone.
func errorAs[T error](err error) (as T, ok bool) {
	ok = findError(err, func(e error) bool {
		var is bool
		as, is = e.(T)
		return is
	})
	return as, ok
}

// opError returns the first net.OpError in err's tree, nil if there is none.
func opError(err error) *net.OpError {
	op, _ := errorAs[*net.OpError](err)
	return op
}

// isTimeout reports whether the first error in err's tree that is a net.Error is a
// timeout.
func isTimeout(err error) (timeout bool) {
	findError(err, func(e error) bool {
		t, ok := e.(net.Error)
		timeout = ok && t.Timeout()
		return ok
	})
	return timeout
}
