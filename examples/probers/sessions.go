package main

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// sessions are clients that wait for a close frame.
type sessions struct {
	ready sync.WaitGroup // those that are to be opened
	over  sync.WaitGroup // those that are open

	mu     sync.Mutex
	failed error
	codes  map[int]int // close codes
	first  time.Time   // of the first close
	last   time.Time   // and of the last
}

// handshakes is how many are under way at a time.
const handshakes = 32

// openSessions opens n.
func openSessions(s *server, n int) (*sessions, error) {
	all := &sessions{codes: make(map[int]int)}
	places := make(chan struct{}, handshakes)
	for range n {
		places <- struct{}{}
		all.ready.Go(func() {
			defer func() { <-places }()
			ws, res, err := s.dial()
			if err != nil {
				all.mu.Lock()
				all.failed = errors.Join(all.failed, err)
				all.mu.Unlock()
				return
			}
			_ = res.Body.Close()
			all.over.Go(func() { all.listen(ws) })
		})
	}
	all.ready.Wait()
	return all, all.failed
}

func (s *server) dial() (*websocket.Conn, *http.Response, error) {
	dialer := websocket.Dialer{
		HandshakeTimeout: patience,
		TLSClientConfig:  anyCertificate,
	}
	return dialer.Dial(s.url("ws")+"/ws", nil)
}

func (all *sessions) listen(ws *websocket.Conn) {
	defer func() { _ = ws.Close() }()
	code := websocket.CloseAbnormalClosure // no close frame: RFC 6455 §7.1.5
	for {
		_, _, err := ws.ReadMessage() // also answers the closing handshake
		if err == nil {
			continue
		}
		var closed *websocket.CloseError
		if errors.As(err, &closed) {
			code = closed.Code
		}
		break
	}
	now := time.Now()
	all.mu.Lock()
	defer all.mu.Unlock()
	all.codes[code]++
	if all.first.IsZero() {
		all.first = now
	}
	all.last = now
}

// dismissed returns an error unless each of n clients got a close frame with 1001.
func (all *sessions) dismissed(n int) error {
	all.over.Wait()
	all.mu.Lock()
	defer all.mu.Unlock()
	if polite := all.codes[websocket.CloseGoingAway] + all.codes[websocket.CloseServiceRestart]; polite != n {
		return fmt.Errorf("%d of %d clients got a goodbye: close codes %v", polite, n, all.codes)
	}
	return nil
}
