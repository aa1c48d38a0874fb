// Command before is a WebSocket server with a /healthz of its own and a filter that
// removes the lines about probes from the log.
package main

import (
	"bytes"
	"io"
	"log"
	"net/http"
	"os"

	"github.com/gorilla/websocket"
)

func main() {
	mux := http.NewServeMux()
	mux.HandleFunc("/ws", echo)
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	srv := &http.Server{Addr: ":8443", Handler: mux}
	srv.ErrorLog = log.New(noEOF{os.Stderr}, "", log.LstdFlags)
	log.Fatal(srv.ListenAndServeTLS("cert.pem", "key.pem"))
}

type noEOF struct{ io.Writer }

func (w noEOF) Write(p []byte) (int, error) {
	if bytes.HasSuffix(p, []byte(": EOF\n")) {
		return len(p), nil
	}
	return w.Writer.Write(p)
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
