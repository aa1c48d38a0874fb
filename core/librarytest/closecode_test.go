package librarytest

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	coder "github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/core/event"
	"github.com/quietws/quietws/core/probetest"
)

// The close code is found in the errors of all libraries.
func TestCloseCode(t *testing.T) {
	value := coder.CloseError{Code: coder.StatusGoingAway, Reason: "bye"}
	pointer := &gorilla.CloseError{Code: 1008, Text: "policy"}
	for _, row := range []struct {
		rule string
		err  error
		want int
	}{
		{"coder's", value, 1001},
		{"a pointer to coder's", &value, 1001},
		{"gorilla's", pointer, 1008},
		{"1005 of gorilla's: a close frame without a code", &gorilla.CloseError{Code: 1005}, 1005},
		{"wrapped", fmt.Errorf("read: %w", fmt.Errorf("frame: %w", value)), 1001},
		{"joined", errors.Join(errors.New("cleanup"), pointer), 1008},
		{"a nil pointer of gorilla's", (*gorilla.CloseError)(nil), 0},
		{"a nil pointer to coder's", (*coder.CloseError)(nil), 0},
	} {
		events := make(chan event.Event, 1)
		g := quietGuard(t, core.Config{Observe: func(e event.Event) { events <- e }})
		a := g.Adapter()
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			q := a.AtEndpoint(r, "/ws", nil)
			w, _ = q.Wrap(w, r)
			nc, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.WriteString(nc, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
			_ = nc.Close()
			_ = q.Finish(row.err)
		}))
		if _, err := probetest.Do(t.Context(), probetest.Target{Addr: server.Listener.Addr().String()}, probetest.WebSocket("/ws")); err != nil {
			t.Errorf("%s: %v", row.rule, err)
		}
		if e := <-events; e.Session.Code != row.want {
			t.Errorf("%s: the session ended with %d, want %d", row.rule, e.Session.Code, row.want)
		}
		server.Close()
	}
}
