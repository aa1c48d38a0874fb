package kit

import (
	"net"
	"slices"
	"strings"
	"sync"

	"github.com/quietws/quietws/core"
)

// Context is a request and its answer, as all versions of fasthttp have them.
type Context interface {
	Conn() net.Conn
	Done() <-chan struct{}
	Hijacked() bool
	SetConnectionClose()
	SetUserValue(key, value any)
}

// Handler returns the outermost handler of a server, around next. message makes the
// core.Message of a request. If closes is set, each connection is closed after its answer,
// as with DisableKeepalive, unless it is hijacked. hold calls [Hold] for each request.
func Handler[C Context](a core.Adapter, next func(C), message func(C) core.Message, closes, hold bool) func(C) {
	var started sync.Once
	return func(ctx C) {
		started.Do(func() { a.ShuttingDownAfter(ctx.Done()) }) // a framework's own hook may run only after the shutdown
		m := message(ctx)
		returned := false
		defer a.Recover(m, &returned)
		q := a.BeginMessage(m)
		_ = q.Around(m, func() error { next(ctx); return nil }, nil)
		if hold {
			Hold(&q, ctx)
		}
		if closes && !ctx.Hijacked() {
			ctx.SetConnectionClose()
		}
		returned = true
	}
}

// Hold lets the core close a hijacked connection when its handler has returned, for a
// library that makes fasthttp leave the connection itself open: fasthttp still closes
// user values at that moment.
func Hold[C Context](q *core.Request, ctx C) {
	if ctx.Hijacked() {
		if h := q.Held(ctx.Conn()); h != nil {
			ctx.SetUserValue(core.MessageKey+"/held", h)
		}
	}
}

// Printer is the logger of servers that do not log to a *log.Logger, such as fasthttp's.
type Printer interface {
	Printf(format string, args ...any)
}

// QuietPrinter returns next without the lines whose format begins with about: those that
// the server logs about connections, which the guard logs itself. It returns next if that
// is nil.
func QuietPrinter(next Printer, about string) Printer {
	if next == nil {
		return next
	}
	return quietPrinter{next, about}
}

type quietPrinter struct {
	next  Printer
	about string
}

func (p quietPrinter) Printf(format string, args ...any) {
	if !strings.HasPrefix(format, p.about) {
		p.next.Printf(format, args...)
	}
}

// Chain returns a hook that calls hooks in their order and leaves out those that are nil.
// A user's hooks go first, before the guard's.
func Chain[A, B any](hooks ...func(A, B)) func(A, B) {
	hooks = slices.DeleteFunc(slices.Clone(hooks), func(hook func(A, B)) bool { return hook == nil })
	if len(hooks) == 1 {
		return hooks[0]
	}
	return func(a A, b B) {
		for _, hook := range hooks {
			hook(a, b)
		}
	}
}
