// Command after is the same server with quietws. /health still reports readiness, and
// there are /livez, /startupz and /healthz too.
package main

import (
	"context"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/health"
)

func main() {
	checker := health.New(health.Config{})
	err := checker.Add(
		health.Check{Name: "database", Timeout: 2 * time.Second, Func: database},
		health.Check{Name: "search", Interval: 15 * time.Second, Delay: 3 * time.Second, Func: search, FailAfter: 3},
	)
	if err != nil {
		log.Fatal(err)
	}
	guard, err := core.New(core.Config{Health: checker, Routes: core.Routes{Ready: "/health"}})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	srv := &http.Server{Addr: ":8080", Handler: mux}
	guard.Attach(srv) // before it serves
	log.Fatal(srv.ListenAndServe())
}

func database(ctx context.Context) error { return reach(ctx, "database:5432") }
func search(ctx context.Context) error   { return reach(ctx, "search:9200") }

func reach(ctx context.Context, address string) error {
	nc, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return nc.Close()
}
