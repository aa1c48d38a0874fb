package ginws

import (
	"bufio"
	"net"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/quietws/quietws/core"
)

// writer is the gin.ResponseWriter of a request whose outcome matters. Gin's own
// lies below the core's and keeps what Gin wants to know, so what Gin writes
// past this one later still fits. Gin delays the header: the core learns the
// status when it is written, or when the chain has ended.
type writer struct {
	gin.ResponseWriter                     // Gin's
	core               http.ResponseWriter // the core's, which writes to Gin's
	final              int                 // what is answered past Gin: 101 at the hijack, or the core's own; 0: nothing
}

// wrap lets q see what is answered, nil where that does not matter.
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

// ended is called after the chain, with nil for a request that is ordinary. It
// returns the last error that a handler has left with c.Error, for whoever is
// outside it to answer; without one the status is what Gin will write.
func (w *writer) ended(c *gin.Context) error {
	if last := c.Errors.Last(); last != nil {
		return last.Err
	}
	if w != nil {
		w.tell()
	}
	return nil
}

// tell tells the core the status that Gin has. Where the core answers instead,
// that is written.
func (w *writer) tell() {
	if status := w.Status(); !w.Written() {
		if w.core.WriteHeader(status); w.Status() != status {
			w.ResponseWriter.WriteHeaderNow()
		}
	}
}

// Status is 101 after the hijack, also for libraries that write their answer
// past Gin: it is what an access log asks for.
func (w *writer) Status() int {
	if w.final != 0 {
		return w.final
	}
	return w.ResponseWriter.Status()
}

func (w *writer) WriteHeader(status int) {
	if w.final == 0 {
		w.ResponseWriter.WriteHeader(status)
	}
}

func (w *writer) WriteHeaderNow()                   { w.tell(); w.ResponseWriter.WriteHeaderNow() }
func (w *writer) Write(p []byte) (int, error)       { w.WriteHeaderNow(); return w.core.Write(p) }
func (w *writer) WriteString(s string) (int, error) { return w.Write([]byte(s)) }
func (w *writer) Flush()                            { w.WriteHeaderNow(); w.core.(http.Flusher).Flush() }
func (w *writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return w.core.(http.Hijacker).Hijack()
}

// Unwrap is for http.ResponseController.
func (w *writer) Unwrap() http.ResponseWriter { return w.core }
