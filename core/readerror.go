package core

import (
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/internal/conn"
	"github.com/quietws/quietws/core/internal/usererror"
)

// ReadError says which limit of the application a request has exceeded: the limit of its
// head, which then was not read, or one of its body, whose head was read. Body also
// covers a body that differs from what the head says. It is for authors of adapters.
type ReadError struct{ Head, Body bool }

// Unread is for a server that reports why it could not read a request, and is about to
// answer by itself. err is the transport's own error, not wrapped, if no byte of a
// request had come, or in the middle of a body.
//
// A connection without a request is closed. Bytes that are not a request are answered
// here, and no handler is called. A request that has exceeded a limit, or whose body did
// not come, is the application's to answer: refused does that.
func (a Adapter) Unread(m Message, err error, passed ReadError, refused func()) {
	if a.g == nil {
		refused()
		return
	}
	if passed.Body {
		q := a.BeginMessage(m)
		refused()
		q.Done(m.Status(), nil)
		return
	}
	c := a.g.connUnder(m.Head(), m.Conn())
	_, bare := err.(net.Error)
	switch {
	case c == nil:
	case bare && c.Asked(): // half a body of a request that the server gave up
		q := a.ordinary(c)
		refused()
		q.Done(m.Status(), nil)
		return
	case bare, !c.Secured(): // there was no request, so there is no answer
		c.GiveUp(err)                          // only the server may close m.Conn(), once
		m.SetStatusCode(http.StatusBadRequest) // the server writes an answer all the same, which no one reads
		return
	}
	reason, answer := unreadReason(passed, err), &answerMalformed
	switch {
	case passed.Head:
		refused()
		answer = &Answer{Status: m.Status()}
	case reason == event.ReasonTimeout:
		answer = &answerTimeout
		fallthrough
	default:
		answer.write(m)
	}
	if c == nil || c.Had(conn.AnyRequest) {
		return
	}
	c.SetBadRequest(reason)
	if strings.Contains(usererror.Text(err), conn.H2Preface) { // some errors quote what could not be read
		c.Note(conn.Preface)
	}
	if c.Provenance() == conn.Reported || c.Above() != nil {
		c.SetAnswered(answer.Status)
	}
}

// unreadReason classifies the error of reading a request by its type.
func unreadReason(passed ReadError, err error) event.Reason {
	switch {
	case passed.Head:
		return event.ReasonTooLarge
	case usererror.IsTimeout(err):
		return event.ReasonTimeout
	case usererror.Is(err, io.EOF, io.ErrUnexpectedEOF), conn.IsReset(err):
		return event.ReasonTruncated
	}
	return event.ReasonMalformed
}

// The answers to bytes that are not a request. They contain nothing of those bytes.
var (
	answerMalformed = textAnswer(http.StatusBadRequest, "bad request\n")
	answerTimeout   = textAnswer(http.StatusRequestTimeout, "request timeout\n")
)
