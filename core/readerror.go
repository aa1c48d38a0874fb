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

// ReadError says which limit of the application's a request has passed: that of its
// head, which then was not read, or one of its body, whose head was, as with one
// that is too long or not what the head says.
//
// It is for authors of adapters.
type ReadError struct{ Head, Body bool }

// Unread is for a server that tells why it could not read a request, and is
// about to answer by itself. err is the transport's own, not wrapped, where not a
// byte of a request had come, or in the middle of a body. A connection on which
// nothing was asked is closed. What is no request is answered here, and nobody's
// handler asked; what has passed a limit, or has a body that did not come, is
// refused's to answer, which is the application's.
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
	case bare && c.Asked(): // half a body, of a request that the server has let go
		q := a.ordinary(c)
		refused()
		q.Done(m.Status(), nil)
		return
	case bare, !c.Secured(): // nothing was asked, and nothing is to be answered
		c.GiveUp(err)                          // m.Conn() is the server's to close, once
		m.SetStatusCode(http.StatusBadRequest) // of what the server writes all the same, to nobody
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
	if strings.Contains(usererror.Text(err), conn.H2Preface) { // some quote what they could not read
		c.Note(conn.Preface)
	}
	if c.Provenance() == conn.Reported || c.Above() != nil {
		c.SetAnswered(answer.Status)
	}
}

// unreadReason sorts the error of reading a request by its type.
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

// What is answered to what is no request: nothing of it.
var (
	answerMalformed = textAnswer(http.StatusBadRequest, "bad request\n")
	answerTimeout   = textAnswer(http.StatusRequestTimeout, "request timeout\n")
)
