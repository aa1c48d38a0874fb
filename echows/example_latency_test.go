package echows_test

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/coder/websocket"
	"github.com/labstack/echo/v4"

	"github.com/quietws/quietws/core/probetest"
	"github.com/quietws/quietws/echows"
)

// Keeping sessions out of latency metrics, where an hour of chat would count as a
// request of an hour. Their durations are in the events and metrics of sessions.
func ExampleIsUpgrade() {
	guard := newGuard()
	defer guard.Close()
	ln, target := listen()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()

	measure := func(path string, _ time.Duration) { fmt.Println("measured", path) } // a histogram's Observe
	e := echo.New()
	e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if echows.IsUpgrade(c) {
				return next(c)
			}
			start := time.Now()
			err := next(c)
			measure(c.Path(), time.Since(start))
			return err
		}
	})
	e.GET("/ws", echows.Handler(guard, echoes, nil))
	e.GET("/page", func(c echo.Context) error { return c.String(http.StatusOK, "hello") })
	served := make(chan error)
	go func() { served <- echows.ServeListener(ctx, guard, e, ln) }()

	client, _, err := websocket.Dial(ctx, "ws://"+target.Addr+"/ws", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = client.Close(websocket.StatusNormalClosure, "")
	ask(target, probetest.PlainGet("/page"))
	stop()
	fmt.Println(<-served)
	// Output:
	// measured /page
	// /page 200
	// <nil>
}
