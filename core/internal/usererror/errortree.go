package usererror

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

// Find calls match for each error in err's tree, in the order of errors.Is,
// until it is true, and reports whether it was. A panic ends the search, as does
// the error after maxErrors.
func Find(err error, match func(error) bool) (found bool) {
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

// Is is errors.Is, true for any of the targets.
func Is(err error, targets ...error) bool {
	return Find(err, func(e error) bool {
		is, _ := e.(interface{ Is(error) bool })
		return slices.ContainsFunc(targets, func(t error) bool {
			return reflect.TypeOf(t) == reflect.TypeOf(e) && reflect.TypeOf(e).Comparable() && e == t || is != nil && is.Is(t)
		})
	})
}

// As is errors.As by the type alone.
func As[T error](err error) (as T, ok bool) {
	ok = Find(err, func(e error) bool {
		var is bool
		as, is = e.(T)
		return is
	})
	return as, ok
}

// OpError returns the first net.OpError in err's tree, nil if there is none.
func OpError(err error) *net.OpError {
	op, _ := As[*net.OpError](err)
	return op
}

// IsTimeout reports whether the first error in err's tree that is a net.Error is a
// timeout.
func IsTimeout(err error) (timeout bool) {
	Find(err, func(e error) bool {
		t, ok := e.(net.Error)
		timeout = ok && t.Timeout()
		return ok
	})
	return timeout
}
