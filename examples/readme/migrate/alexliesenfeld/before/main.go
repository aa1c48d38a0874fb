// Command before is a server with the health checks of alexliesenfeld/health.
package main

import (
	"context"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/alexliesenfeld/health"
)

func main() {
	checker := health.NewChecker(
		health.WithCheck(health.Check{Name: "database", Timeout: 2 * time.Second, Check: database}),
		health.WithPeriodicCheck(15*time.Second, 3*time.Second, health.Check{Name: "search", Check: search, MaxContiguousFails: 3}),
	)
	mux := http.NewServeMux()
	mux.Handle("/health", health.NewHandler(checker))
	srv := &http.Server{Addr: ":8080", Handler: mux}
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
