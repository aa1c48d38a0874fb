package core

import (
	"errors"
	"io"
	"net"
	"net/http"
)

// Unread reports that a server that tells why could not read a request, and is
// about to answer by itself. err is the transport's own, not wrapped, where not
// a byte of a request had come: such a connection is closed. status is that of a limit which the application
// has set and which was passed, 0 for everything else. Unread returns the answer
// to give: nobody's handler is asked about what is no request. For a limit it
// returns false: that is the application's to answer.
func (a Adapter) Unread(nc net.Conn, status int, err error) (Answer, bool) {
	reason, answer := unreadReason(status, err), &answerMalformed
	if reason == ReasonTimeout {
		answer = &answerTimeout
	}
	if status == 0 {
		status = answer.Status
	}
	c := a.g.connOf(nc)
	_, bare := err.(net.Error)
	switch {
	case bare: // nothing was asked, and nothing is to be answered
		if c != nil {
			c.setEnd(readEnd, endOf(err))
		}
		_ = nc.Close()
	case c != nil && !c.is(flagsRequest):
		c.setUnread(reason)
		if c.is(flagShadow) || c.tls.Load() != nil {
			c.answer.Or(uint32(status))
		}
	}
	return *answer, status == answer.Status
}

// unreadReason sorts the error of reading a request by its type.
func unreadReason(status int, err error) Reason {
	switch {
	case status == http.StatusRequestHeaderFieldsTooLarge, status == http.StatusRequestEntityTooLarge:
		return ReasonTooLarge
	case isTimeout(err):
		return ReasonTimeout
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), endOf(err) == endReset:
		return ReasonTruncated
	}
	return ReasonMalformed
}

// What is answered to what is no request: nothing of it.
var (
	answerMalformed = textAnswer(http.StatusBadRequest, "bad request\n")
	answerTimeout   = textAnswer(http.StatusRequestTimeout, "request timeout\n")
)

func (c *Conn) setUnread(r Reason) { c.ends.Or(uint32(r) << unreadFor) }
