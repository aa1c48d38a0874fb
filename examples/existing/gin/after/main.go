// Command after is the same server with quietws.
package main

import (
	"context"
	"log"
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/gorilla/websocket"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/ginws"
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
	guard := core.Must(core.New(core.Config{}))
	router := gin.Default()
	router.GET("/ws", ginws.Endpoint(guard), serveWS)
	log.Fatal(ginws.Serve(context.Background(), guard, router, addr))
}
