package main

import (
	"net/http"

	gorilla "github.com/gorilla/websocket"
	"github.com/olahol/melody"
)

func melodyApp(deflate bool) (http.Handler, error) {
	m := melody.New()
	m.Config.MaxMessageSize = 2 * longest
	m.Config.MessageBufferSize = 4096 // what does not fit is dropped
	m.Upgrader.EnableCompression = deflate
	const key = "talk"
	m.HandleConnect(func(s *melody.Session) {
		s.Set(key, talkOver(wire{
			send: func(text bool, p []byte) error {
				if text {
					return s.Write(p)
				}
				return s.WriteBinary(p)
			},
			end: func(code int) error { return s.CloseWithMsg(gorilla.FormatCloseMessage(code, "")) },
		}))
	})
	message := func(text bool) func(*melody.Session, []byte) {
		return func(s *melody.Session, p []byte) {
			if err := s.MustGet(key).(*talk).message(text, p); err != nil {
				failed("message", s.Close())
			}
		}
	}
	m.HandleMessage(message(true))
	m.HandleMessageBinary(message(false))
	m.HandleDisconnect(func(s *melody.Session) { s.MustGet(key).(*talk).over() })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = m.HandleRequest(w, r) // it returns the error of how the session ended
	}), nil
}
