// Command after is the same server with quietws: quietws has the health routes, and
// counts what the filter dropped.
package main

import (
	"log"
	"net/http"

	"github.com/gorilla/websocket"

	"github.com/quietws/quietws/core"
)

func main() {
	guard, err := core.New(core.Config{})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/ws", guard.Endpoint(http.HandlerFunc(echo)))
	srv := &http.Server{Addr: ":8443", Handler: mux}
	guard.Attach(srv) // before it serves
	log.Fatal(srv.ListenAndServeTLS("cert.pem", "key.pem"))
}

var upgrader websocket.Upgrader

func echo(w http.ResponseWriter, r *http.Request) {
	ws, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer func() { _ = ws.Close() }()
	for {
		kind, message, err := ws.ReadMessage()
		if err != nil || ws.WriteMessage(kind, message) != nil {
			return
		}
	}
}
