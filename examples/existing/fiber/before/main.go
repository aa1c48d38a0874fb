// Command before is the WebSocket server of the documentation of Fiber's websocket
// middleware: a Use that passes only handshakes, and a route.
package main

import (
	"log"

	"github.com/gofiber/contrib/websocket"
	"github.com/gofiber/fiber/v2"
)

var addr = ":3000"

func main() {
	app := fiber.New()

	app.Use("/ws", func(c *fiber.Ctx) error {
		if !websocket.IsWebSocketUpgrade(c) {
			return fiber.ErrUpgradeRequired
		}
		return c.Next()
	})

	app.Get("/ws/:room", websocket.New(func(conn *websocket.Conn) {
		for {
			kind, message, err := conn.ReadMessage()
			if err != nil {
				log.Println(conn.Params("room"), "read:", err)
				return
			}
			if err := conn.WriteMessage(kind, message); err != nil {
				log.Println(conn.Params("room"), "write:", err)
				return
			}
		}
	}))

	log.Fatal(app.Listen(addr))
}
