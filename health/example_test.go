package health_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"time"

	"github.com/quietws/quietws/core"
	"github.com/quietws/quietws/health"
)

// Readiness depends on a database, the cache is optional, and the start takes a while.
func Example() {
	changes := make(chan health.Change, 16)
	checks := health.New(health.Config{
		Logger:   slog.New(slog.DiscardHandler),
		OnChange: func(ch health.Change) { changes <- ch },
	})
	defer checks.Close()

	database := func(context.Context) error { return nil }
	cache := func(context.Context) error { return errors.New("connection refused") }
	migrated := func(context.Context) error { return nil }
	err := checks.Add(
		health.Check{Name: "db", Func: database},
		health.Check{Name: "cache", Func: cache, Optional: true},
		health.Check{Name: "migrations", Kind: health.Startup, Func: migrated},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	for decided := 0; decided < 3; {
		if ch := <-changes; ch.To != health.Pending {
			decided++
		}
	}

	answer, _ := checks.Answer(core.HealthQuery{Route: core.RouteReady, Head: head{}})
	fmt.Print(answer.Status, " ", answer.Body)
	for _, check := range checks.Checks() {
		fmt.Println(check.Name, check.Status)
	}
	// Output:
	// 200 ok
	// cache warn
	// db pass
	// migrations pass
}

// Add reports all errors at once, and then adds no check.
func ExampleChecker_Add() {
	checks := health.New(health.Config{})
	fmt.Println(checks.Add(
		health.Check{Name: "db"},
		health.Check{Name: "db", Func: func(context.Context) error { return nil }, Timeout: -1},
	))
	// Output:
	// health: check "db": Func is nil
	// health: check "db": Timeout is -1ns, not between 0 and 720h0m0s
	// health: check "db": there is one of that name
}

// OnChange gets the check that took the server out of rotation, the reason, and the routes
// that it changed.
func ExampleConfig_onChange() {
	changes := make(chan health.Change, 16)
	checks := health.New(health.Config{
		Logger:   slog.New(slog.DiscardHandler),
		OnChange: func(ch health.Change) { changes <- ch },
	})
	defer checks.Close()
	_ = checks.Add(health.Check{Name: "db", Func: func(context.Context) error { return errors.New("connection refused") }})
	for ch := range changes {
		if ch.To != health.Fail {
			continue
		}
		fmt.Println(ch.Check, ch.From, "to", ch.To, "because", ch.Err)
		for _, r := range ch.Routes {
			fmt.Println(r.Route, r.From, "to", r.To)
		}
		break
	}
	// Output:
	// db pending to fail because connection refused
	// ready pending to fail
}

// A queue as a readiness check: at its limit the server takes itself out of
// rotation.
func ExampleBelow() {
	waiting := 960.0
	check := health.Below(func() float64 { return waiting }, 950, "messages")
	fmt.Println(check(context.Background()))
	waiting = 12
	fmt.Println(check(context.Background()))
	// Output:
	// 960 messages, the limit is 950
	// <nil>
}

// The guard's sessions and handshakes are readiness checks. Create the guard before you add
// them.
func ExampleSessions() {
	checks := health.New(health.Config{})
	defer checks.Close()
	guard, err := core.New(core.Config{Health: checks, MaxSessions: 1000})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer guard.Close()
	err = checks.Add(
		health.Check{Name: "sessions", Func: health.Sessions(guard, 950)},
		health.Check{Name: "handshakes", Func: health.Handshakes(guard, 0.5, 20), FailAfter: 3},
	)
	fmt.Println(err, len(checks.Checks()))
	// Output: <nil> 2
}

// The share of failures since the last run counts only if there were at least 20 requests.
func ExampleShareBelow() {
	var failed, all uint64
	check := health.ShareBelow(func() (uint64, uint64) { return failed, all }, 0.5, 20)
	fmt.Println(check(context.Background()))
	failed, all = 30, 40
	fmt.Println(check(context.Background()))
	// Output:
	// <nil>
	// 30 of 40, the limit is 50 %
}

// Checks for what a server depends on. A *sql.DB is a Pinger, and a method of go-redis
// returns a reply with its error in it.
func ExamplePing() {
	checks := health.New(health.Config{})
	defer checks.Close()
	var db database
	var rdb cache
	err := checks.Add(
		health.Check{Name: "db", Func: health.Ping(db)},
		health.Check{Name: "cache", Func: health.Reply(rdb.Ping), Optional: true},
		health.Check{Name: "broker", Func: health.TCP("127.0.0.1:5672"), Timeout: time.Second},
		health.Check{Name: "payments", Func: health.HTTP("http://127.0.0.1:8081/livez", nil), Interval: 30 * time.Second, FailAfter: 3},
	)
	fmt.Println(err, len(checks.Checks()))
	// Output: <nil> 4
}

type database struct{}

func (database) PingContext(context.Context) error { return nil }

type cache struct{}

type reply struct{ err error }

func (r reply) Err() error { return r.err }

func (cache) Ping(context.Context) reply { return reply{errors.New("connection refused")} }

// The result of a go-redis command holds its error.
func ExampleReply() {
	var rdb cache
	check := health.Reply(rdb.Ping)
	fmt.Println(check(context.Background()))
	// Output: connection refused
}

// The port must accept connections.
func ExampleTCP() {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	check := health.TCP(ln.Addr().String())
	fmt.Println(check(context.Background()))
	_ = ln.Close()
	fmt.Println(check(context.Background()) != nil)
	// Output:
	// <nil>
	// true
}

// The report shows this number instead of the duration of the check.
func ExampleObserve() {
	free := func() (gigabytes float64) { return 2.5 }
	check := health.Check{Name: "disk", Func: func(ctx context.Context) error {
		health.Observe(ctx, free(), "GB")
		if free() < 1 {
			return errors.New("the disk is nearly full")
		}
		return nil
	}}
	fmt.Println(check.Func(context.Background()))
	// Output: <nil>
}

// The server's health routes show the details of the checks to a prober with the secret.
func ExampleChecker_Answer() {
	passed := make(chan health.Change, 4)
	checks := health.New(health.Config{
		Logger:   slog.New(slog.DiscardHandler),
		OnChange: func(ch health.Change) { passed <- ch },
	})
	defer checks.Close()
	if err := checks.Add(health.Check{Name: "db", Func: health.Ping(database{})}); err != nil {
		fmt.Println(err)
		return
	}
	guard, err := core.New(core.Config{
		Logger:  slog.New(slog.DiscardHandler),
		Health:  checks,
		Details: func(h core.Head) bool { return h.Field("Authorization") == "Bearer a-word" },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer guard.Close()
	server := httptest.NewServer(guard.Wrap(http.NewServeMux()))
	defer server.Close()
	for ch := range passed {
		if ch.To == health.Pass {
			break
		}
	}

	for _, word := range []string{"", "Bearer a-word"} {
		r, _ := http.NewRequest("GET", server.URL+"/readyz?verbose", nil)
		r.Header.Set("Authorization", word)
		res, err := server.Client().Do(r)
		if err != nil {
			fmt.Println(err)
			return
		}
		var report struct {
			Status string
			Checks map[string]any
		}
		err = json.NewDecoder(res.Body).Decode(&report)
		_ = res.Body.Close()
		fmt.Println(res.StatusCode, report.Status, len(report.Checks), err)
	}
	// Output:
	// 200 pass 0 <nil>
	// 200 pass 1 <nil>
}

// The URL must answer with a status from 200 to 399.
func ExampleHTTP() {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	fmt.Println(health.HTTP(server.URL, nil)(context.Background()))
	// Output: answered 404
}

// head is a request without a query or an Accept field.
type head struct{}

func (head) Method() string         { return "GET" }
func (head) Path() string           { return "/readyz" }
func (head) Query() string          { return "" }
func (head) Host() string           { return "" }
func (head) Proto() string          { return "HTTP/1.1" }
func (head) Field(string) string    { return "" }
func (head) Remote() netip.AddrPort { return netip.AddrPort{} }
func (head) TLS() bool              { return false }
