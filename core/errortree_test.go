package core

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quietws/quietws/core/event"
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

var badErrors = []error{
	(*nilError)(nil), fmt.Errorf("wrapped: %w", (*nilError)(nil)), errors.Join(io.ErrNoProgress, (*nilError)(nil)),
	circle{}, manyCircles{}, badText{}, (*net.OpError)(nil), (*event.HandshakeError)(nil), (*os.SyscallError)(nil), (*tls.CertificateVerificationError)(nil),
	&net.OpError{}, &net.OpError{Err: (*nilError)(nil)},
}

// Whatever error an application, a library or a listener of its own comes with:
// what is asked of it is answered, and nothing of it gets out.
func TestErrorsOfOthers(t *testing.T) {
	for i, err := range badErrors {
		t.Run(fmt.Sprintf("%d %T", i, err), func(t *testing.T) {
			if errorIs(err, context.Canceled) || passes(err) || isTimeout(err) || closeCode(err) != 0 {
				t.Error("it is none of these")
			}
			if kind := endOf(err); kind != endOther {
				t.Errorf("the end %v", kind)
			}
			if e := clearAlert(err, 0); e == nil {
				t.Error("the error is lost")
			}
			tlsReason(err, 0, true)
			unreadReason(Limits{}, err)
			classify(facts{seen: true, tls: true, in: 5, tlsErr: err})
			synctest.Test(t, func(t *testing.T) {
				log := &logLines{}
				j := newJournal(journalConfig{logger: slog.New(log)})
				for range 2 {
					j.post(&event.Event{Class: event.UpgradeFailed, Err: err})
					j.post(&event.Event{Class: event.SessionEnded, Err: err})
					j.post(&event.Event{Class: event.HandlerPanic, Panic: err})
				}
				if e := j.close(time.Second); e != nil {
					t.Error(e)
				}
				if j.dropped() != 0 || len(log.take()) == 0 {
					t.Error("its lines are lost")
				}
			})
		})
	}
}

func TestErrorTree(t *testing.T) {
	deep := context.Canceled
	for range maxErrors - 1 {
		deep = fmt.Errorf("and %w", deep)
	}
	if !errorIs(deep, context.Canceled) || errorIs(fmt.Errorf("and %w", deep), context.Canceled) {
		t.Errorf("%d errors are looked at, and no more", maxErrors)
	}
	if !errorIs(errors.Join(io.EOF, deep), context.DeadlineExceeded, io.EOF) {
		t.Error("any of the targets counts")
	}
	dial := (&net.Dialer{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := dial.DialContext(ctx, "tcp", "127.0.0.1:1"); !errorIs(err, context.Canceled) {
		t.Errorf("%v is context.Canceled by its method Is", err)
	}
	if errno, ok := errorAs[syscall.Errno](os.NewSyscallError("accept", syscall.EMFILE)); !ok || errno != syscall.EMFILE {
		t.Errorf("%v, %t", errno, ok)
	}
}
