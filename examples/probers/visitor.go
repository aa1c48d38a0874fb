package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/gorilla/websocket"
)

// visitor is a normal client: while something else goes on, it opens session after
// session, sends a message on each, reads the echo and leaves. It also keeps one session
// open all the time.
type visitor struct {
	s      *server
	stop   chan struct{}
	done   chan struct{}
	opened int
	failed error
}

// visitPause is how long it waits between two sessions.
const visitPause = 50 * time.Millisecond

func (s *server) visit() (*visitor, error) {
	kept, res, err := s.dial()
	if err != nil {
		return nil, err
	}
	_ = res.Body.Close()
	v := &visitor{s: s, stop: make(chan struct{}), done: make(chan struct{}), opened: 1}
	go func() {
		defer close(v.done)
		defer func() { _ = kept.Close() }()
		tick := time.NewTicker(visitPause)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-v.stop:
				return
			}
			v.opened++
			if err := errors.Join(v.once(), echo(kept, "still here")); err != nil {
				v.failed = fmt.Errorf("session %d: %w", v.opened, err)
				return
			}
		}
	}()
	return v, nil
}

// over ends the visits and returns how many sessions there were, and the error
// of one that was not as it should be.
func (v *visitor) over() (int, error) {
	close(v.stop)
	<-v.done
	return v.opened, v.failed
}

func (v *visitor) once() error {
	ws, res, err := v.s.dial()
	if err != nil {
		return err
	}
	_ = res.Body.Close()
	defer func() { _ = ws.Close() }()
	if err := echo(ws, "hello"); err != nil {
		return err
	}
	goodbye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	if err := ws.WriteControl(websocket.CloseMessage, goodbye, time.Now().Add(patience)); err != nil {
		return err
	}
	_ = ws.SetReadDeadline(time.Now().Add(patience))
	if _, _, err = ws.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
		return fmt.Errorf("the goodbye was answered with %w", err)
	}
	return nil
}

// echo sends a message and reads it back.
func echo(ws *websocket.Conn, text string) error {
	_ = ws.SetWriteDeadline(time.Now().Add(patience))
	_ = ws.SetReadDeadline(time.Now().Add(patience))
	if err := ws.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		return err
	}
	_, got, err := ws.ReadMessage()
	if err == nil && string(got) != text {
		err = fmt.Errorf("%q came back as %q", text, got)
	}
	return err
}
