// Command after is the same server with quietws.
package main

import (
	"context"
	"log"

	"github.com/gofiber/contrib/websocket"
	"github.com/gofiber/fiber/v2"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/fiberws"
)

var addr = ":3000"

func main() {
	guard := core.Must(core.New(core.Config{}))
	app := fiber.New()

	app.Use("/ws", func(c *fiber.Ctx) error {
		if !websocket.IsWebSocketUpgrade(c) {
			return fiber.ErrUpgradeRequired
		}
		return c.Next()
	})

	app.Get("/ws/:room", fiberws.Endpoint(guard), websocket.New(func(conn *websocket.Conn) {
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

	log.Fatal(fiberws.Serve(context.Background(), guard, app, addr))
}
