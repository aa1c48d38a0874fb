package health

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"
)

// The checks in this file depend on something outside the process: they are
// for Ready and Startup, never for Live.

// TCP returns a check that opens a connection to address, "host:port", and
// closes it. It proves that a server accepts there, not that it serves. Use it for Ready
// and Startup, like all checks of something outside the process.
func TCP(address string) func(context.Context) error {
	return func(ctx context.Context) error {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		return conn.Close()
	}
}

// HTTP returns a check that sends GET to a URL and passes on any status from 200 to 399.
// With a nil client each run opens a new connection, through the proxy of the environment,
// and follows no redirect. The User-Agent is "quietws-health"; the body is not read. The
// error leaves out the URL, which may have a secret in it. An invalid URL fails when the
// check runs.
func HTTP(target string, client *http.Client) func(context.Context) error {
	if client == nil {
		client = &freshClient
	}
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
		if err != nil {
			return withoutURL(err)
		}
		req.Header.Set("User-Agent", "quietws-health")
		res, err := client.Do(req)
		if err != nil {
			return withoutURL(err)
		}
		_ = res.Body.Close()
		if res.StatusCode < 200 || res.StatusCode > 399 {
			return fmt.Errorf("answered %d", res.StatusCode)
		}
		return nil
	}
}

// freshClient keeps no connection, because a kept one does not show that a new one can be
// made.
var freshClient = http.Client{
	Transport: &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DisableKeepAlives:      true,
		TLSHandshakeTimeout:    10 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// Pinger is implemented by *sql.DB, *sql.Conn, sqlx, and pgx through database/sql.
type Pinger interface {
	PingContext(context.Context) error
}

// Ping returns a check that calls PingContext. The method value works too:
// Func: db.PingContext.
func Ping(p Pinger) func(context.Context) error {
	if p == nil {
		panic("health.Ping: nil Pinger")
	}
	return func(ctx context.Context) error { return p.PingContext(ctx) }
}

// Reply returns a check from a function whose result holds its error, as in go-redis:
// health.Reply(rdb.Ping).
func Reply[R interface{ Err() error }](do func(context.Context) R) func(context.Context) error {
	if do == nil {
		panic("health.Reply: nil function")
	}
	return func(ctx context.Context) error { return do(ctx).Err() }
}
