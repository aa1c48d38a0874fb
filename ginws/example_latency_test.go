package ginws_test

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/coder/websocket"
	"github.com/gin-gonic/gin"

	"github.com/quietws/quietws/core/probetest"
	"github.com/quietws/quietws/ginws"
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
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	engine.Use(func(c *gin.Context) {
		if ginws.IsUpgrade(c) {
			return
		}
		start := time.Now()
		c.Next()
		measure(c.FullPath(), time.Since(start))
	})
	engine.GET("/ws", ginws.Handler(guard, echoes, nil))
	engine.GET("/page", func(c *gin.Context) { c.String(http.StatusOK, "hello") })
	served := make(chan error)
	go func() { served <- ginws.ServeListener(ctx, guard, engine, ln) }()

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
