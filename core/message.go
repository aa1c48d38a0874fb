package core

import (
	"net"
	"net/http"
	"strings"

	"github.com/quietws/quietws/core/internal/head"
)

// Message is a request and its response on a server that writes the response after the
// handlers have returned, and hands a connection over after that. It is for authors of
// adapters. The methods have the names of fasthttp's RequestCtx, which has most of them.
type Message interface {
	// Head is what is known of the request. The server may reuse its strings.
	Head() Head
	// Conn is the connection as the server has it.
	Conn() net.Conn
	// UserValue returns what SetUserValue has stored, nil if there is nothing.
	UserValue(key any) any
	// SetUserValue stores a value with the request, and with the session that it becomes.
	SetUserValue(key, value any)
	// SetConnection replaces the request's Connection field.
	SetConnection(value string)
	// Status is the present status of the response.
	Status() int
	// SetStatusCode sets the response's status.
	SetStatusCode(status int)
	// SetField sets a field of the response's header to one line.
	SetField(name, value string)
	// SetBodyString sets the response's body.
	SetBodyString(body string)
	// AnswerField returns a field of the response's present header, "" if it is not
	// there. The name is in canonical form.
	AnswerField(name string) string
	// Reset discards the present response, and the hijack that a handler has requested.
	Reset()
	// Streams reports whether handlers read the body of the request, so that part of it
	// may be unread.
	Streams() bool
	// SetConnectionClose makes the response the last one on its connection.
	SetConnectionClose()
	// Hijacked reports whether a handler has requested the connection.
	Hijacked() bool
}

// MessageKey is the key of the user value that holds the *[Request] of a candidate (see
// [Request.Candidate]), for the layers further in and for the session that it becomes.
const MessageKey = "github.com/quietws/quietws"

// BeginMessage judges the request of a Message, before any handler has run. A request
// that a layer outside has begun remains the same request.
func (a Adapter) BeginMessage(m Message) Request {
	if a.g == nil {
		return Request{}
	}
	if q, _ := m.UserValue(MessageKey).(*Request); q != nil {
		if q.question() {
			return *q
		}
		if q.x != nil && q.x.g == a.g {
			return Request{c: q.x.c, x: q.x}
		}
	}
	return a.beginOnConn(m.Head(), m.Conn())
}

// Around writes the guard's answer, if it has one, or calls next. The layer that began
// the request also ends it here. A framework that turns an error into an answer outside
// its chain does that in answered. It is called only for candidates, and their error is
// then not returned. A panic is logged and goes on.
func (r *Request) Around(m Message, next func() error, answered func(error)) error {
	if r.x != nil {
		if r.answer(m) {
			return nil
		}
		kept := *r
		m.SetUserValue(MessageKey, &kept)
	}
	if !r.begun {
		return next()
	}
	defer r.logPanic()
	err := next()
	if r.x != nil {
		if err != nil && answered != nil {
			answered(err)
			err = nil
		}
		if a, ours := r.fallback(m.Head(), m.Status()); ours {
			m.Reset()
			a.write(m)
		}
	}
	if x := r.x; x != nil {
		if m.Hijacked() && !x.admit(m.Status()) {
			m.Reset()
			x.answer.write(m)
		} else if x.verdict != verdictProbe {
			x.answering(m.Head(), m.Status(), messageHeader{m})
		}
	}
	if status := m.Status(); m.Hijacked() {
		r.lend(m.Conn())
		r.handOver(status)
	} else {
		r.Done(status, nil)
	}
	return err
}

// messageHeader is the header of a Message's answer.
type messageHeader struct{ m Message }

func (h messageHeader) Get(name string) string { return h.m.AnswerField(name) }

// answer writes the guard's answer, if there is one. Otherwise it prepares the request
// for the next handler.
func (r *Request) answer(m Message) bool {
	v := r.decision()
	if v.connection != "" {
		m.SetConnection(v.connection)
	}
	if v.verdict != verdictProbe && v.verdict != verdictRefuse {
		return false
	}
	v.answer.write(m)
	r.Done(v.answer.Status, nil)
	r.recycle()
	return true
}

// write closes the connection if the body may be unread, because the server would take
// the rest for the next requests, and reading it could mean waiting.
func (a *Answer) write(m Message) {
	m.SetStatusCode(a.Status)
	for _, f := range a.Header {
		m.SetField(f.Name, strings.Join(f.Values, ", "))
	}
	m.SetBodyString(a.Body)
	if m.Streams() {
		m.SetConnectionClose()
	}
}

// logPanic must be deferred.
func (r *Request) logPanic() {
	if v := recover(); isAPanic(v, r.done) {
		r.notePanic(v)
		panic(v)
	}
}

// answerPanic is what the outermost layer answers where the server would end the process.
var answerPanic = textAnswer(http.StatusInternalServerError, "internal server error\n", HeaderField{head.FieldConnection, []string{"close"}})

// Recover must be deferred by the outermost layer, where a panic that is not recovered
// further in would end the process. It answers 500, without any text of the panic.
// [Request.Around] has logged it. returned is set after the handler has returned.
func (a Adapter) Recover(m Message, returned *bool) {
	if a.g == nil {
		return
	}
	if isAPanic(recover(), *returned) {
		m.Reset()
		answerPanic.write(m)
	}
}

// IsUpgradeMessage is [IsUpgrade] for a Message.
func IsUpgradeMessage(m Message) bool { return head.AsksToUpgrade(m.Head()) }

// IsProbeMessage is [Guard.IsProbe] for a Message. It may be called after the request is
// done, as long as the Message is valid.
func (a Adapter) IsProbeMessage(m Message) bool {
	if a.g == nil {
		return false
	}
	var x *exchange
	if q, _ := m.UserValue(MessageKey).(*Request); q != nil {
		if q.question() {
			return true
		}
		x = q.x
	} else {
		x = a.look(m.Head())
	}
	return x != nil && x.quiet()
}
