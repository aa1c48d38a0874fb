package fiberws_test

import (
	"context"
	"fmt"
	"time"

	fastws "github.com/fasthttp/websocket"
	"github.com/gofiber/fiber/v2"

	"github.com/quietws/quietws/core/probetest"
	"github.com/quietws/quietws/fiberws"
)

// Keeping sessions out of latency metrics: on Fiber the handler of a session returns
// before the session begins, so its duration is meaningless. The durations of
// sessions are in their events and metrics. The same function is the Next of Fiber's cache
// middleware, which would repeat one client's handshake to another.
func ExampleIsUpgrade() {
	guard := newGuard()
	defer guard.Close()
	ln, target := loopback()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()

	measure := func(path string, _ time.Duration) { fmt.Println("measured", path) } // a histogram's Observe
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Use(func(c *fiber.Ctx) error {
		if fiberws.IsUpgrade(c) {
			return c.Next()
		}
		start := time.Now()
		err := c.Next()
		measure(c.Route().Path, time.Since(start))
		return err
	})
	app.Get("/ws", fiberws.Handler(guard, echoes))
	app.Get("/page", func(c *fiber.Ctx) error { return c.SendString("hello") })
	served := make(chan error)
	go func() { served <- fiberws.ServeListener(ctx, guard, app, ln) }()

	client, _, err := fastws.DefaultDialer.Dial("ws://"+target.Addr+"/ws", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = client.Close()
	ask(target, probetest.PlainGet("/page"))
	stop()
	fmt.Println(<-served)
	// Output:
	// measured /page
	// /page 200
	// <nil>
}
