package usererror

import (
	"net"
	"reflect"
	"slices"
)

// The errors of handlers, listeners, connections and TLS callbacks are user code. A nil
// pointer in an error is common, and then its methods panic; and Unwrap may never end. So
// nothing here uses errors.Is or errors.As for them.

// maxErrors limits how many errors of a tree are searched.
const maxErrors = 32

// Find calls match for each error in err's tree, in the order of errors.Is, until it
// returns true, and reports whether it did. The search ends at a panic and after maxErrors
// errors.
func Find(err error, match func(error) bool) (found bool) {
	defer func() {
		if recover() != nil {
			found = false
		}
	}()
	left := maxErrors
	return searchError(err, match, &left)
}

// searchError is Find without its recover; left is how many errors may still be searched.
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

// Is is errors.Is for several targets: it reports whether any of them matches.
func Is(err error, targets ...error) bool {
	return Find(err, func(e error) bool {
		is, _ := e.(interface{ Is(error) bool })
		return slices.ContainsFunc(targets, func(t error) bool {
			return reflect.TypeOf(t) == reflect.TypeOf(e) && reflect.TypeOf(e).Comparable() && e == t || is != nil && is.Is(t)
		})
	})
}

// As is errors.As, but compares only types.
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

// IsTimeout reports whether the first net.Error in err's tree is a timeout.
func IsTimeout(err error) (timeout bool) {
	Find(err, func(e error) bool {
		t, ok := e.(net.Error)
		timeout = ok && t.Timeout()
		return ok
	})
	return timeout
}
