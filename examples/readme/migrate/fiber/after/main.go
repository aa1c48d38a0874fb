// Command after is the same server with quietws. /livez and /readyz are where they were,
// HEAD works on both, and a probe no longer waits for the database.
package main

import (
	"context"
	"log"
	"net"

	"github.com/gofiber/fiber/v2"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/fiberws"
	"github.com/quietws/quietws/health"
)

func main() {
	app := fiber.New()
	checker := health.New(health.Config{})
	if err := checker.Add(health.Check{Name: "database", Func: database}); err != nil {
		log.Fatal(err)
	}
	guard, err := core.New(core.Config{Health: checker})
	if err != nil {
		log.Fatal(err)
	}
	fiberws.Attach(guard, app)
	log.Fatal(app.Listen(":8080"))
}

func database(ctx context.Context) error {
	nc, err := new(net.Dialer).DialContext(ctx, "tcp", "database:5432")
	if err != nil {
		return err
	}
	return nc.Close()
}
