package health

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestPanicsBecomeFailures(t *testing.T) {
	for _, row := range []struct {
		rule string
		f    func(context.Context) error
		want string
	}{
		{"a panic", func(context.Context) error { panic("boom") }, "panic: boom"},
		{"a panic with nil", func(context.Context) error { panic(nil) }, "panic called with nil"},
		{"a panic with a value that panics", func(context.Context) error { panic(badError{}) }, "panic: "},
		{"an end of the goroutine", func(context.Context) error { runtime.Goexit(); return nil }, "without returning"},
		{"an error that panics", func(context.Context) error { return badError{} }, "an error whose Error panics"},
		{"an error without a text", func(context.Context) error { return errors.New("") }, "an error without a text"},
		{"a nil pointer in an interface", Ping((*pinger)(nil)), "nil pointer dereference"},
	} {
		t.Run(row.rule, func(t *testing.T) {
			bubble(t, Config{}, func(t *testing.T, c *Checker) {
				runs := 0
				mustAdd(t, c, Check{Name: "db", Func: func(ctx context.Context) error { runs++; return row.f(ctx) }})
				after(0)
				wantReady(t, c, row.rule, false)
				wantOutput(t, c, row.want)
				after(time.Minute)
				if runs < 2 {
					t.Error("the check is not run again")
				}
			})
		})
	}
}

type badError struct{}

type pinger struct{ err error }

func (p *pinger) PingContext(context.Context) error { return p.err }

func (badError) Error() string { panic("in Error") }

func TestLongErrorsAreCut(t *testing.T) {
	text := describe(errors.New(strings.Repeat("ä", 10_000)))
	if len(text) > maxText+len("…") || !strings.HasSuffix(text, "ä…") {
		t.Errorf("%d bytes, ending in %q", len(text), text[len(text)-6:])
	}
}
