package ginws

import (
	"bufio"
	"cmp"
	"net"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/quietws/quietws/core"
)

// writer is the gin.ResponseWriter of a request that may be a handshake or a probe.
// Gin's own writer lies below the core's and keeps Gin's state, so what Gin writes
// later without this one still fits. Gin delays the header: the core learns the status
// when it is written, or when the chain has ended.
type writer struct {
	gin.ResponseWriter                     // Gin's
	core               http.ResponseWriter // the core's, which writes to Gin's
	final              int                 // the status sent without Gin: 101 at the hijack, or the core's; 0 for none
}

// wrap lets q see the response. It returns nil for an ordinary request, which needs no
// writer.
func wrap(q *core.HTTPRequest, c *gin.Context) *writer {
	if !q.Candidate() {
		return nil
	}
	w := &writer{ResponseWriter: c.Writer}
	w.core, c.Request = q.Wrap(c.Writer, c.Request)
	q.OnOpened(func(status int) { w.final = status })
	c.Writer = w
	return w
}

// ended is called after the chain, on nil for an ordinary request. It returns the last
// error that a handler added with c.Error, which outer middleware still answers;
// without one, the status is what Gin is about to write.
func (w *writer) ended(c *gin.Context) error {
	if last := c.Errors.Last(); last != nil {
		return last.Err
	}
	if w != nil {
		w.report()
	}
	return nil
}

// report gives the core the status that Gin has. If the core answers instead, that
// answer is written.
func (w *writer) report() {
	if status := w.Status(); !w.Written() {
		if w.core.WriteHeader(status); w.Status() != status {
			w.ResponseWriter.WriteHeaderNow()
		}
	}
}

// Status is 101 after the hijack, even if the library wrote its answer without Gin:
// access logs call it.
func (w *writer) Status() int { return cmp.Or(w.final, w.ResponseWriter.Status()) }

func (w *writer) WriteHeader(status int) {
	if w.final == 0 {
		w.ResponseWriter.WriteHeader(status)
	}
}

func (w *writer) WriteHeaderNow()                   { w.report(); w.ResponseWriter.WriteHeaderNow() }
func (w *writer) Write(p []byte) (int, error)       { w.WriteHeaderNow(); return w.core.Write(p) }
func (w *writer) WriteString(s string) (int, error) { return w.Write([]byte(s)) }
func (w *writer) Flush()                            { w.WriteHeaderNow(); w.core.(http.Flusher).Flush() }
func (w *writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return w.core.(http.Hijacker).Hijack()
}

// Unwrap is for http.ResponseController.
func (w *writer) Unwrap() http.ResponseWriter { return w.core }
