// Command before is the WebSocket server of Gin's documentation: gorilla's upgrader in
// a handler, gin.Default and Run.
package main

import (
	"log"
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/gorilla/websocket"
)

var addr = ":8080"

var upgrader = websocket.Upgrader{
	CheckOrigin: func(*http.Request) bool { return true },
}

func serveWS(c *gin.Context) {
	conn, err := upgrader.Upgrade(c.Writer, c.Request, nil)
	if err != nil {
		log.Println("upgrade:", err)
		return
	}
	defer func() { _ = conn.Close() }()
	for {
		kind, message, err := conn.ReadMessage()
		if err != nil {
			log.Println("read:", err)
			return
		}
		if err := conn.WriteMessage(kind, message); err != nil {
			log.Println("write:", err)
			return
		}
	}
}

func main() {
	router := gin.Default()
	router.GET("/ws", serveWS)
	log.Fatal(router.Run(addr))
}
