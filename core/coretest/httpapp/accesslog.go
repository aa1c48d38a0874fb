package httpapp

import (
	"bufio"
	"fmt"
	"net"
	"net/http"

	"github.com/quietws/quietws/core/coretest"
)

// AccessLog is an access log as users of net/http write it, with
// [core.Guard.IsProbe] as its filter.
func AccessLog(s coretest.Setup) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			probe := s.Guard != nil && s.Guard.IsProbe(r)
			sw := &statusWriter{w, http.StatusOK}
			defer func() {
				if s.Guard != nil {
					s.Asked(r.URL.Path, probe, s.Guard.IsProbe(r))
				}
				if !probe {
					_, _ = fmt.Fprintln(s.AccessLog, sw.status, r.Method, r.URL.Path)
				}
			}()
			next.ServeHTTP(sw, r)
		})
	}
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *statusWriter) WriteHeader(status int) {
	if w.status != http.StatusSwitchingProtocols {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Hijack is for gorilla/websocket, which does not use Unwrap.
func (w *statusWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.status = http.StatusSwitchingProtocols
	return http.NewResponseController(w.ResponseWriter).Hijack()
}
