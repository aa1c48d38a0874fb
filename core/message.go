package core

import (
	"net"
	"net/http"
	"strings"

	"github.com/quietws/quietws/core/internal/head"
)

// Message is a request and its response in a server that writes the response
// when the handlers have returned, and hands a connection over after that. It is
// for authors of adapters. The methods are named as fasthttp's are, whose
// RequestCtx has most of them.
type Message interface {
	// Head is what is known of the request. Its strings may be the server's to use again.
	Head() Head
	// conn.Conn is the connection as the server has it.
	Conn() net.Conn
	// UserValue returns what SetUserValue has kept with the request, nil if
	// there is nothing.
	UserValue(key any) any
	// SetUserValue keeps a value with the request, and with the session that it
	// becomes.
	SetUserValue(key, value any)
	// SetConnection replaces the request's field Connection.
	SetConnection(value string)
	// Status is that of the response as it stands.
	Status() int
	// SetStatusCode sets the response's status.
	SetStatusCode(status int)
	// SetField sets a field of the response's header to one line.
	SetField(name, value string)
	// SetBodyString sets the response's body.
	SetBodyString(body string)
	// AnswerField returns a field of the response's header as it stands, "" if it is
	// not there. The name is in canonical form.
	AnswerField(name string) string
	// Reset drops the response as it stands, and the hijack that a handler has
	// asked for.
	Reset()
	// Streams reports whether the body of the request is read by handlers, and so
	// may not have been.
	Streams() bool
	// SetConnectionClose makes the response the last one on its connection.
	SetConnectionClose()
	// Hijacked reports whether a handler has asked for the connection.
	Hijacked() bool
}

// MessageKey is the key of the user value that holds the *[Request] of a
// candidate (see [Request.Candidate]), for the layers further in and for the
// session that it becomes.
const MessageKey = "github.com/quietws/quietws"

// BeginMessage is [Adapter.Begin] for a Message. A request that a layer outside
// has begun is the same request.
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

// Around writes the guard's answer, if it has one, or calls next; where this
// layer has begun the request it ends it. A framework that turns an error into an
// answer outside its chain does so in answered; it is called for candidates alone,
// and their error is then no longer returned. A panic is told and goes on.
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

// answer writes the verdict's answer. Where there is none the request is made
// ready for the next handler.
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

// write closes the connection where a body may be unread, which the server would
// take for the next requests. To read it could mean to wait.
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

// logPanic is to be deferred.
func (r *Request) logPanic() {
	if v := recover(); isAPanic(v, r.done) {
		r.notePanic(v)
		panic(v)
	}
}

// answerPanic is what the outermost layer answers where the server would end the
// process.
var answerPanic = textAnswer(http.StatusInternalServerError, "internal server error\n", HeaderField{head.FieldConnection, []string{"close"}})

// Recover is to be deferred by the outermost layer, where a panic that was not
// recovered further in would end the process: it is answered 500, with nothing of
// the panic. [Request.Around] has told it. returned is set once the handler has
// returned.
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

// IsProbeMessage is [Guard.IsProbe] for a Message. It may be asked after the
// request is done, as long as the Message is valid.
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
