package coretest

import (
	"errors"
	"net/url"
	"strconv"
	"strings"
)

// App changes the application for one row.
type App struct {
	// OwnReady: the application has its own route for /readyz, which is in Answers.
	OwnReady bool
	// CatchAll: a route behind all others matches every path and method. It calls
	// [Setup.Caught] and answers 200 "catch-all".
	CatchAll bool
	// EndpointAround: the adapter's Endpoint is wrongly around the whole application, by
	// the framework's Use.
	EndpointAround bool
	// StreamBody: handlers are called before the body of a request is read, if the
	// framework has that setting (Fiber's StreamRequestBody).
	StreamBody bool
	// ErrorHandler: the framework's error handler is replaced by one that
	// answers 500 "custom" to every error and does not ask whether the
	// response is written already.
	ErrorHandler bool
}

// Answer is a route with a constant answer.
type Answer struct {
	Path   string
	Status int
	Body   string
}

// Answers are the simplest routes of the application, to be registered for GET. One
// answers 101 without a hijack.
func (a App) Answers() []Answer {
	all := []Answer{{"/app", 200, "app"}, {"/fail", 500, "fail"}, {"/forbidden", 401, "forbidden"}, {"/promise", 101, ""}}
	if a.OwnReady {
		all = append(all, Answer{"/readyz", 200, "own"})
	}
	return all
}

// Paths of an application that serves more than WebSocket. Each answers every method with
// the status of [OwnStatus] and with OwnBody, unless its comment says otherwise.
const (
	// HealthPath is the application's own health route.
	HealthPath = "/health"
	// SharedPath is a route with Endpoint, whose handler passes a GET with Upgrade to its
	// library.
	SharedPath = "/shared"
	// BesidePath answers POST; for GET it is one of Sockets.
	BesidePath = "/beside"
	OwnBody    = "own"
)

// OwnStatus is the status that a query such as "status=503" asks for, 200 by
// default.
func OwnStatus(query string) int {
	q, _ := url.ParseQuery(query)
	if status, err := strconv.Atoi(q.Get("status")); err == nil {
		return status
	}
	return 200
}

// SharedSocket is the session of SharedPath.
var SharedSocket = Socket{SharedPath, Endpoint}

// Family says what serves a WebSocket route.
type Family uint8

const (
	// Handler: the adapter's Handler.
	Handler Family = iota
	// Endpoint: a library of the application's own, behind the adapter's
	// Endpoint. The route registers a goodbye with Session.OnDrain.
	Endpoint
	// Library: the same library without Endpoint, as in an application before
	// quietws.
	Library
)

// Socket is a WebSocket route, to be registered for GET.
type Socket struct {
	Path   string
	Family Family
}

// Sockets are the WebSocket routes of the application.
func Sockets() []Socket {
	return []Socket{
		{"/ws", Handler}, {BesidePath, Handler}, {"/ws/panic", Handler}, {"/ws/error", Handler}, {"/ws/nil-error", Handler},
		{"/own", Endpoint}, {"/own/panic", Endpoint}, {"/own/panic-open", Endpoint}, {"/own/error", Endpoint}, {"/own/early", Endpoint},
		{"/bare", Library}, {"/bare/panic", Library}, {"/bare/panic-open", Library}, {"/bare/error", Library}, {"/bare/early", Library},
	}
}

// Early reports whether the handler of the route returns at once and leaves Session to a
// goroutine.
func (s Socket) Early() bool { return strings.HasSuffix(s.Path, "/early") }

// LeavesOpen reports whether the handler of the route lacks "defer conn.Close()".
func (s Socket) LeavesOpen() bool { return s.Early() || strings.HasSuffix(s.Path, "/panic-open") }

// ErrOnPurpose is the error of a handler that fails on purpose.
var ErrOnPurpose = errors.New("coretest: the handler fails on purpose")

// Lent is an error whose text is not a copy: a framework may return a part of a path in a
// buffer that the next request overwrites.
type Lent string

// Error returns the text itself.
func (l Lent) Error() string { return string(l) }

// Session runs the open session of the route. echo reads one message and sends it back.
// Session returns the first error.
func (s Socket) Session(echo func() error) error {
	switch {
	case strings.Contains(s.Path, "/panic"):
		panic(PanicText)
	case strings.HasSuffix(s.Path, "/nil-error"):
		return (*nilError)(nil) // the classic mistake: an error that is not nil, and whose Unwrap panics
	case strings.HasSuffix(s.Path, "/error"):
		return ErrOnPurpose
	}
	for {
		if err := echo(); err != nil {
			return err
		}
	}
}
