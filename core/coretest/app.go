package coretest

import (
	"errors"
	"net/url"
	"strconv"
	"strings"
)

// App changes the application for one row.
type App struct {
	// OwnReady: there is a route of its own for /readyz; it is among Answers.
	OwnReady bool
	// CatchAll: a route behind all others takes every path by every method:
	// 200 "catch-all", when [Setup.Caught] has returned.
	CatchAll bool
	// EndpointAround: the adapter's Endpoint is around the whole application, by the
	// framework's Use, where it should not be.
	EndpointAround bool
	// StreamBody: handlers are called before the body of a request is read, where
	// that is a choice (Fiber's StreamRequestBody).
	StreamBody bool
	// ErrorHandler: the framework's error handler is replaced by one that
	// answers 500 "custom" to every error and does not ask whether the
	// response is written already.
	ErrorHandler bool
}

// Answer is a route that answers the same to everybody.
type Answer struct {
	Path   string
	Status int
	Body   string
}

// Answers are the plainest routes of the application, to be registered for GET.
// One answers 101 and does not take the connection over.
func (a App) Answers() []Answer {
	all := []Answer{{"/app", 200, "app"}, {"/fail", 500, "fail"}, {"/forbidden", 401, "forbidden"}, {"/promise", 101, ""}}
	if a.OwnReady {
		all = append(all, Answer{"/readyz", 200, "own"})
	}
	return all
}

// Paths of an application that is more than WebSocket. Each answers with the status
// of [OwnStatus] and with OwnBody, by every method where nothing else is said.
const (
	// HealthPath is the application's own health route.
	HealthPath = "/health"
	// SharedPath is a route with Endpoint, whose handler gives a request that asks
	// to upgrade, by GET and with Upgrade, to its library.
	SharedPath = "/shared"
	// BesidePath answers by POST; by GET it is one of Sockets.
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

// Family is who serves a WebSocket route.
type Family uint8

const (
	// Handler: the adapter's Handler.
	Handler Family = iota
	// Endpoint: a library of the application's own, behind the adapter's
	// Endpoint. The route registers a goodbye with Session.OnDrain.
	Endpoint
	// Library: the same library without Endpoint, an application as it was
	// before quietws.
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

// Early reports whether the handler of the route returns at once, while a
// goroutine of its own goes on with Session.
func (s Socket) Early() bool { return strings.HasSuffix(s.Path, "/early") }

// LeavesOpen reports whether the handler of the route does without
// "defer conn.Close()".
func (s Socket) LeavesOpen() bool { return s.Early() || strings.HasSuffix(s.Path, "/panic-open") }

// ErrOnPurpose is what a handler returns that is to fail.
var ErrOnPurpose = errors.New("coretest: the handler fails on purpose")

// Lent is an error that is its text, and no copy: what a framework gives for a
// part of a path may lie in a buffer that the next request overwrites.
type Lent string

// Error returns the text itself.
func (l Lent) Error() string { return string(l) }

// Session is what the route does once the session is open. echo reads one
// message and sends it back; the error of the first that fails is returned.
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
