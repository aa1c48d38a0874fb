package ginws_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/quietws/quietws/ginws"
)

// An engine that routes by the undecoded path has no /livez at /%6civez.
func TestPathsAsTheRouterReadsThem(t *testing.T) {
	for raw, want := range map[bool]string{false: "ok\n", true: "catch-all"} {
		guard := newGuard()
		engine := gin.New()
		engine.UseRawPath = raw
		engine.NoRoute(func(c *gin.Context) { c.String(http.StatusOK, "catch-all") })
		srv := httptest.NewUnstartedServer(engine)
		ginws.Attach(guard, srv.Config, engine)
		srv.Start()
		res, err := http.Get(srv.URL + "/%6civez")
		if err != nil {
			t.Fatal(err)
		}
		body := make([]byte, 64)
		n, _ := res.Body.Read(body)
		_ = res.Body.Close()
		if got := string(body[:n]); got != want {
			t.Errorf("UseRawPath %t: %q, want %q", raw, got, want)
		}
		srv.Close()
		_ = guard.Close()
	}
}
