// Command before is a server with Fiber's own healthcheck.
package main

import (
	"context"
	"log"
	"net"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/healthcheck"
)

func main() {
	app := fiber.New()
	app.Use(healthcheck.New(healthcheck.Config{
		ReadinessProbe: func(c *fiber.Ctx) bool { return database(c.Context()) == nil },
	}))
	log.Fatal(app.Listen(":8080"))
}

func database(ctx context.Context) error {
	nc, err := new(net.Dialer).DialContext(ctx, "tcp", "database:5432")
	if err != nil {
		return err
	}
	return nc.Close()
}
